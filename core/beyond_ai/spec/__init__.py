"""The seams of Beyond AI: one file a seam, its types and its hookspec together.

A plugin is a module (or any object) named by an entry point. It marks one function with `hookimpl`, and that
function yields records: what the plugin offers. The registry calls it once, when a program starts, and builds
plain tables from the records; no hook is ever called on the byte path.

| file | entry-point group | hook | yields |
| --- | --- | --- | --- |
| `provider` | `beyond_ai.providers` | `beyond_providers` | `Provider` |
| `auth` | `beyond_ai.auth` | `beyond_auth_schemes` | `Component[AuthScheme]` |
| `scanner` | `beyond_ai.scanners` | `beyond_scanners` | `Component[ScannerFactory]` |
| `sink` | `beyond_ai.sinks` | `beyond_usage_sinks` | `Component[UsageSink]` |
| `transport` | `beyond_ai.transports` | `beyond_transports` | `Component[Transport]` |
| `deny` (kind `deny_store`) | `beyond_ai.deny_stores` | `beyond_deny_stores` | `Component[DenyStore]` |
| `observer` | `beyond_ai.observers` | `beyond_observers` | `Component[Observer]` |
| `tool` | `beyond_ai.tools` | `beyond_tools` | `Tool` |
| `command` | `beyond_ai.commands` | `beyond_commands` | `Command` |

A plugin that needs a newer framework says so in a module attribute, `BEYOND_AI_API = 1`; one that asks for more
than `API_VERSION` is set aside with that reason.
"""

from beyond_ai.spec.kinds import KINDS, Kind, kind_named
from beyond_ai.spec.markers import API_VERSION, hookimpl, hookspec

__all__ = ["API_VERSION", "KINDS", "Kind", "hookimpl", "hookspec", "kind_named"]
