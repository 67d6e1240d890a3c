"""Our auth schemes keep the rules of their kind."""

from collections.abc import Sequence
from pathlib import Path

from nacl.signing import SigningKey

from beyond_ai import AuthScheme, Context, Identity
from beyond_ai.testing.conformance import AuthConformance
from beyond_ai.testing.conformance.auth import FOREIGN
from beyond_ai_plugins.auth import token

KEY = SigningKey(b"\x07" * 32)


class TestBai(AuthConformance):
    plugin = "bai"
    invalid = (
        *("bai_", "bai_v1.1.x", "bai_v3.1.AA.AA", "bai_v1é\udcff\0"),
        token.mint(SigningKey(b"\x08" * 32), 1, Identity(42, 7)),
    )
    foreign = (*FOREIGN, "sk-test", "BAI_v1.1", " bai_v1", "bai")

    def context(self, folder: Path) -> Context:
        return Context(signing_keys={1: bytes(KEY.verify_key)})

    def credentials(self, scheme: AuthScheme) -> Sequence[str]:
        return [token.mint(KEY, 1, Identity(42, 7)), token.mint(KEY, 1, Identity(2**64 - 1, 7, 9))]


class TestByo(AuthConformance):
    plugin = "byo"
    valid = ("sk-fake", "sk-ant-fake", "", "ключ\udcff")
    foreign = ()
