"""Reading usage out of answers, by the wire of the path that was served and never by the provider's name.

Pure functions over the bytes that a `Tap` kept. Read top-down: `wire` (whose shape an answer has), `parser` (where its
usage object is), `counts` (what the object says), and below them `events` (server-sent events, from either end) and
`fragments` (JSON of which only one end was kept).
"""

from beyond_ai.gateway.usage.counts import Usage
from beyond_ai.gateway.usage.estimate import estimate_usage
from beyond_ai.gateway.usage.parser import has_event_form, parse_usage
from beyond_ai.gateway.usage.wire import Wire, wire_of

__all__ = ["Usage", "Wire", "estimate_usage", "has_event_form", "parse_usage", "wire_of"]
