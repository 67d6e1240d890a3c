"""Our commands keep the rules of their kind."""

from beyond_ai.testing.conformance import CommandConformance


class TestKeys(CommandConformance):
    plugin = "keys"


class TestDeny(CommandConformance):
    plugin = "deny"
