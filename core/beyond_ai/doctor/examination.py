"""The whole examination: what takes time runs side by side, and each part is bounded."""

import asyncio
import contextlib
import sys
from pathlib import Path

from beyond_ai.doctor.clock import check_clock
from beyond_ai.doctor.configuration import Examined, check_configuration, check_keys, check_plugins
from beyond_ai.doctor.deny_store import check_deny_store
from beyond_ai.doctor.finding import Finding
from beyond_ai.doctor.machine import check_listeners, check_open_files
from beyond_ai.doctor.providers import check_providers
from beyond_ai.doctor.threads import Strays


def examine(config_file: Path | None) -> list[Finding]:
    """Every finding, in the order in which they are shown. What plugins print meanwhile goes to stderr.

    Takes about as long as its slowest part, at most some ten seconds.
    """
    with contextlib.redirect_stdout(sys.stderr):
        examined, findings = check_configuration(config_file)
        findings += check_plugins(examined)
        findings += check_keys(examined)
        findings += asyncio.run(_look_outside(examined))
    return findings


async def _look_outside(examined: Examined) -> list[Finding]:
    asyncio.get_running_loop().set_default_executor(Strays())
    settings = examined.settings
    (denying, store_skew), (providers, skews), listeners = await asyncio.gather(
        check_deny_store(examined),
        check_providers(examined),
        check_listeners(settings) if settings is not None else _nothing(),
    )
    if store_skew is not None:
        skews.append(store_skew)
    return [denying, *providers, check_clock(skews), check_open_files(), *listeners]


async def _nothing() -> list[Finding]:
    return []
