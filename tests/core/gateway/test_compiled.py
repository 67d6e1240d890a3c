"""What has to hold for the data path where it is compiled, as it is in a wheel; the other tests here run on it too."""

import tomllib
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.core.gateway.test_exchange import Stage

from beyond_ai.gateway import exchange

PROJECT = tomllib.loads(Path(__file__).parents[3].joinpath("pyproject.toml").read_text(encoding="utf-8"))
FILES: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["compiled"]

pytestmark = pytest.mark.skipif(exchange.__file__.endswith(".py"), reason="the data path is not compiled here")


@pytest.fixture(params=FILES)
def module(request: pytest.FixtureRequest) -> ModuleType:
    return import_module(request.param.removesuffix(".py").replace("/", "."))


def test_it_is_all_compiled(module: ModuleType) -> None:
    assert module.__file__ is not None
    assert module.__file__.endswith(".so")


def test_no_class_has_a_base_with_a_dictionary(module: ModuleType) -> None:
    """A dictionary that lies before the object, as in Python's own classes, is where the collector's header is here."""
    for name, found in vars(module).items():
        if isinstance(found, type) and hasattr(found, "__mypyc_attrs__"):
            assert found.__dictoffset__ >= 0, name


@pytest.mark.parametrize("data", [bytearray(b"x"), memoryview(b"x"), "x", None], ids=lambda data: type(data).__name__)
def test_a_transport_is_told_of_a_body_that_is_not_bytes(data: Any) -> None:
    stage = Stage()
    stage.play("provider: head 200 chunked | client: head 200, no length")
    with pytest.raises(TypeError, match="bytes object expected; got "):
        stage.exchange.upstream_body(data)
