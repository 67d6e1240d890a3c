"""Our scanners keep the rules of their kind: the native one with each instruction set of this machine."""

from typing import cast

import pytest
from tests.plugins.scanners.backends import INSTRUCTION_SETS, if_built, new_scanner

from beyond_ai.testing.conformance import ScannerConformance
from beyond_ai.testing.conformance.scanner_rules import NewScanner


class TestPython(ScannerConformance):
    plugin = "python"


@if_built
class TestSimd(ScannerConformance):
    plugin = "simd"

    @pytest.fixture(params=INSTRUCTION_SETS or ["none"])
    def new_scanner(self, request: pytest.FixtureRequest) -> NewScanner:
        instruction_set = cast(str, request.param)
        return lambda: new_scanner(instruction_set)
