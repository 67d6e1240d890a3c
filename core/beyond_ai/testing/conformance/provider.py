"""What every provider's record keeps to, and what its quirk may and may not do to counts."""

import copy
import re
from dataclasses import fields, replace
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from beyond_ai.spec.provider import Provider
from beyond_ai.spec.usage import UsageCounts, UsageQuirk
from beyond_ai.testing.conformance.rule import Conformance

VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]*")
NAMES: Final = (
    *("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens", "cached_tokens"),
    *("prompt_tokens_details", "completion_tokens_details", "reasoning_tokens", "cache_read_input_tokens", "usage"),
    *("prompt_cache_hit_tokens", "service_tier", "cost", "cost_in_usd_ticks", "server_tool_use", "num_sources_used"),
)
"""Members of usage objects, so that random reports have some that a quirk looks for."""
TEXT_COUNTS: Final = ("service_tier", "upstream_cost_usd")

scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8)


class ProviderConformance(Conformance[Provider]):
    """The rules of providers.

        class TestAcme(ProviderConformance):
            plugin = "acme"
            members = ("cached_prompt_tokens",)

    Attributes:
        members: names in a usage object that the provider's quirk reads, so that random reports have them.
    """

    kind = "provider"
    members: tuple[str, ...] = ()

    def test_its_record_can_be_routed_to(self) -> None:
        """As the gateway checks it when it starts."""
        with self.requiring("the record is valid", "Provider.check"):
            self.record().check()

    def test_its_facts_have_a_source(self) -> None:
        """Whoever doubts an address or a header must find where it was read."""
        record = self.record()
        self.require(
            record.documentation.startswith("https://"),
            "`documentation` is the public page that the facts come from",
            "Provider.documentation",
            repr(record.documentation),
        )
        summary = record.summary
        self.require(
            summary.strip() and "\n" not in summary, "`summary` is one line for listings", "Provider.summary", summary
        )
        variable = record.key_env
        self.require(
            not variable or VARIABLE.fullmatch(variable),
            "`key_env` is the name of a variable",
            "Provider.key_env",
            repr(variable),
        )

    def test_a_pool_key_is_presented_once(self) -> None:
        """A header that is added to every managed request must not be the one with the key."""
        record = self.record()
        name, value = record.key_scheme.header("pool-key-fake")
        self.require(b"pool-key-fake" in value, "the key is in its header", "KeyScheme.header", value)
        added = [header.lower().encode() for header, _ in record.pool_headers]
        self.require(name not in added, "`pool_headers` hold no key", "Provider.pool_headers", added)

    def test_a_report_that_says_nothing_changes_nothing(self) -> None:
        """A quirk adds what the provider said. It makes nothing up."""
        quirk = self.record().usage
        if quirk is None or quirk.adjust is None:
            return
        counts = UsageCounts(input_tokens=100, output_tokens=20, cache_read_tokens=5)
        expected = replace(counts)
        with self.requiring("a quirk takes any report", "UsageQuirk.adjust"):
            quirk.adjust({}, counts)
        self.require(
            counts == expected, "an empty report leaves the counts as the wire read them", "UsageQuirk", counts
        )

    def test_no_report_surprises_its_quirk(self) -> None:
        """The report is whatever the provider sent; the counts go on a bill."""
        quirk = self.record().usage
        if quirk is None or quirk.adjust is None:
            return
        names = st.sampled_from((*NAMES, *self.members)) | st.text(max_size=6)
        values = st.recursive(
            scalars,
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
            max_leaves=10,
        )

        @settings(max_examples=100, deadline=None, report_multiple_bugs=False)
        @given(report=st.dictionaries(names, values, max_size=8))
        def check(report: dict[str, object]) -> None:
            self._check_adjusted(quirk, report)

        check()

    def _check_adjusted(self, quirk: UsageQuirk, report: dict[str, object]) -> None:
        assert quirk.adjust is not None
        given_report, counts = copy.deepcopy(report), UsageCounts(input_tokens=100, output_tokens=20)
        with self.requiring("a quirk raises on no JSON", "UsageQuirk.adjust"):
            quirk.adjust(report, counts)
        # repr: NaN is not equal to itself
        self.require(repr(report) == repr(given_report), "a quirk changes counts, not the report", "Adjust", report)
        for field in fields(UsageCounts):
            value = getattr(counts, field.name)
            if field.name in TEXT_COUNTS:
                continue  # checked by the gateway, character by character
            fits = (value is None and field.default is None) or (type(value) is int and value >= 0)
            self.require(
                fits,
                "a count is an integer and not negative, as `token_count` makes it of what a provider sent",
                f"UsageCounts.{field.name}",
                f"{value!r}, from {report}",
            )
