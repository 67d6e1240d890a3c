"""Usage: what a provider's answer says of tokens, and how a provider's report differs from its wire's.

The gateway reads a usage object by the wire of the path that was served. A provider whose report says more than that,
or says it elsewhere, brings a `UsageQuirk` in its record; it holds on every wire that the provider serves.

    from beyond_ai import Provider, UsageQuirk, hookimpl, token_count

    def flat_cache(report, counts):
        cached = token_count(report.get("cached_prompt_tokens"))
        if cached is not None:
            counts.cache_read_tokens = cached

    @hookimpl
    def beyond_providers():
        yield Provider(name="acme", authority="api.acme.example:443",
                       usage=UsageQuirk(adjust=flat_cache, cost="cost_usd"))

This seam fails open: what a quirk raises is logged, and the counts that the wire reads stand.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class UsageCounts:
    """What one usage object says. A count that its wire always has is 0 where it was left out; the others are None.

    Attributes:
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens: tokens, each in its wire's own meaning.
        cache_write_1h_tokens: those of `cache_write_tokens` that stay for an hour; None when the provider did not say.
        reasoning_tokens: those of `output_tokens` that are hidden reasoning; None when the provider did not say.
        service_tier: the tier that served; None when the provider did not say, or what it said is no name.
        server_tool_calls: calls of tools that the provider itself ran; None when it did not say.
        upstream_cost_usd: what the provider says that the request cost, in US dollars, as the text of a JSON number.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    service_tier: str | None = None
    server_tool_calls: int | None = None
    upstream_cost_usd: str | None = None


Adjust = Callable[[Mapping[str, object], UsageCounts], None]
"""Given a usage object, as JSON, and the counts that its wire read in it, which it may change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageQuirk:
    """How a provider's usage report differs from its wire's.

    Attributes:
        paths: further places of the usage object, from the root of an event or body, tried after the wire's own:
            `(("x_groq", "usage"),)`. The last name of each is `usage`.
        adjust: called in the event loop's thread with each usage object that was found and a copy of the counts. The
            copy is taken over when it returns; counts above 64 bits are cut to that. Must be quick.
        cost: the member of the usage object in which the provider states the request's cost, a number of US dollars.
            It is passed on digit for digit, which a `float` would not be.
    """

    paths: tuple[tuple[str, ...], ...] = ()
    adjust: Adjust | None = None
    cost: str = ""

    def check(self) -> None:
        """Raise ValueError or TypeError, naming the attribute, for a quirk that cannot be applied."""
        paths: object = self.paths
        if not isinstance(paths, tuple) or not all(_is_path(path) for path in paths):
            raise TypeError("usage.paths must be a tuple of tuples of strings")
        for path in self.paths:
            if not path or path[-1] != "usage":
                raise ValueError(f"usage.paths: {path!r} does not end in 'usage'")
        if self.adjust is not None and not callable(self.adjust):
            raise TypeError("usage.adjust must be callable")
        cost: object = self.cost
        if not isinstance(cost, str):
            raise TypeError("usage.cost must be a string")
        if not cost.isascii():
            raise ValueError("usage.cost must be ASCII")


def _is_path(path: object) -> bool:
    return isinstance(path, tuple) and all(isinstance(name, str) for name in path)
