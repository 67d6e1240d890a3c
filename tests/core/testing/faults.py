"""How the tests of the suites call one test of a suite on a plugin with a fault."""

from collections.abc import Iterator

import hypothesis
import pytest


@pytest.fixture(autouse=True)
def quick_search() -> Iterator[None]:
    """What is found is enough here; making it small takes seconds."""
    before = hypothesis.settings.get_current_profile_name()
    hypothesis.settings.register_profile("found", phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate])
    hypothesis.settings.load_profile("found")
    yield
    hypothesis.settings.load_profile(before)


def called(suite: object, test: str, **fixtures: object) -> None:
    """Call TEST of SUITE with those of FIXTURES that it takes."""
    method = getattr(suite, test)
    names = method.__code__.co_varnames[: method.__code__.co_argcount]
    method(**{name: value for name, value in fixtures.items() if name in names})
