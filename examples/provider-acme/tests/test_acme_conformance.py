"""Acme keeps to what every provider keeps to."""

from beyond_ai.testing.conformance import ProviderConformance


class TestAcme(ProviderConformance):
    plugin = "acme"
    members = ("cached_prompt_tokens", "charged_usd")
