"""The scheme keeps to what every scheme keeps to, with an issuer that answers."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from beyond_ai.testing import ReadBody, Send, ThreadedUpstream, json_response
from beyond_ai.testing.conformance import AuthConformance

KEY, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
CLAIMS = {"iss": "https://login.example.com/", "aud": "gateway", "exp": time.time() + 3600, "tenant_id": 42}
PUBLIC = {**jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "1", "alg": "ES256"}


class TestOidc(AuthConformance):
    plugin = "oidc"
    valid = (jwt.encode(CLAIMS, KEY, "ES256", headers={"kid": "1"}),)
    invalid = (jwt.encode(CLAIMS, OTHER, "ES256", headers={"kid": "1"}), "eyJh.eyJh.eyJh")
    issuer = ""

    @pytest.fixture(autouse=True, scope="class")
    @staticmethod
    def _issuer(request: pytest.FixtureRequest) -> Iterator[None]:
        with ThreadedUpstream(default=(ReadBody(), Send(json_response({"keys": [PUBLIC]})))) as server:
            request.cls.issuer = server.authority
            yield

    def settings(self, folder: Path) -> Mapping[str, object]:
        return {"issuer": CLAIMS["iss"], "audience": "gateway", "jwks_url": f"http://{self.issuer}/jwks"}
