"""The table `[plugins.oidc]`. Times are seconds."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures with a private key. `none`, and HS256, for which the public key would be the secret, cannot be chosen."""


class OidcSettings(BaseModel):
    """Whose tokens are taken, and how the issuer's keys are kept."""

    model_config = ConfigDict(extra="forbid")

    issuer: str = Field(min_length=1, description="`iss` of every token")
    audience: str = Field(min_length=1, description="this must be among a token's `aud`")
    jwks_url: str = Field(description="where the issuer publishes its keys (RFC 7517)")
    algorithms: tuple[Algorithm, ...] = Field(default=("RS256", "ES256"), min_length=1)
    tenant_claim: str = Field(default="tenant_id", description="an unsigned 64-bit number, or its digits")
    vpc_claim: str = Field(default="vpc_id", description="the same; 0 where a token has none")
    key_claim: str = Field(default="key_id", description="the same; may be missing")
    leeway_secs: float = Field(default=30.0, ge=0, le=300, description="how far two clocks may be apart")
    fresh_secs: float = Field(default=300.0, gt=0, description="age from which keys are fetched anew")
    stale_secs: float = Field(default=3600.0, ge=0, description="how long older keys serve while the issuer is away")
    refetch_secs: float = Field(default=10.0, gt=0, description="least time between two fetches")
    timeout_secs: float = Field(default=5.0, gt=0, description="of one fetch")

    @field_validator("jwks_url")
    @classmethod
    def _over_tls(cls, url: str) -> str:
        if not url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
            raise ValueError("must begin with https://, since whoever answers there can make keys")
        return url
