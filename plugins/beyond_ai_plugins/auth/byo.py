"""Bring your own key: whatever nobody else claims is the client's own, and passes through untouched and unbilled."""

from collections.abc import Iterable

from beyond_ai import AuthScheme, Component, Context, Identity, hookimpl


class OwnKeys:
    """Takes every credential; the provider is the one to judge it."""

    managed = False

    def claims(self, credential: str) -> bool:  # noqa: ARG002 - the seam's signature
        """Claim everything: this scheme is asked last."""
        return True

    def authenticate(self, credential: str) -> Identity:  # noqa: ARG002 - the seam's signature
        """Nobody that we know."""
        return _NOBODY


_NOBODY = Identity()


def _create(_context: Context) -> OwnKeys:
    return OwnKeys()


@hookimpl(trylast=True)
def beyond_auth_schemes() -> Iterable[Component[AuthScheme]]:
    """Offer the clients' own keys."""
    yield Component(name="byo", summary="the client's own provider key, passed through", create=_create)
