"""What every auth scheme keeps to: it stands before every request, and whatever it raises is a refusal."""

import asyncio
import inspect
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from beyond_ai.spec.auth import AuthScheme, DevAuthScheme, Identity, InvalidCredential
from beyond_ai.spec.token_count import U64_MAX
from beyond_ai.testing.conformance.rule import ComponentConformance

LONG: Final = 16_384
"""Characters of a credential that is as long as a header may be."""
CLAIM_SECONDS: Final = 0.001
FOREIGN: Final = ("", "sk-fake", "sk-ant-fake", "AKIAFAKE", " ", "ключ", "\udcff", "\0")


class AuthConformance(ComponentConformance[AuthScheme]):
    """The rules of auth schemes.

        class TestTeam(AuthConformance):
            plugin = "team"
            valid = ("team-blue",)
            invalid = ("team-nobody",)

    Attributes:
        valid: credentials that are accepted, where they can be written down; else override `credentials`.
        invalid: credentials of this scheme that are not.
        foreign: credentials of other schemes.
    """

    kind = "auth"
    valid: ClassVar[Sequence[str]] = ()
    invalid: ClassVar[Sequence[str]] = ()
    foreign: ClassVar[Sequence[str]] = FOREIGN

    def credentials(self, scheme: AuthScheme) -> Sequence[str]:
        """Credentials that SCHEME, just made, accepts: `valid`, or one that the scheme itself makes for `--dev`."""
        if self.valid or not isinstance(scheme, DevAuthScheme):
            return self.valid
        return [scheme.dev_credential().credential]

    def test_it_says_what_becomes_of_a_request(self, tmp_path: Path) -> None:
        """The key is swapped and the request billed, or neither."""
        managed: object = self.make(tmp_path).managed
        self.require(isinstance(managed, bool), "`managed` is True or False", "AuthScheme.managed", repr(managed))

    def test_it_accepts_its_own(self, tmp_path: Path) -> None:
        """Twice: what is remembered must be the same."""
        scheme = self.make(tmp_path)
        known = self.credentials(scheme)
        self.require(known, "this suite needs a credential that is accepted: set `valid`", "AuthScheme.authenticate")
        for credential in known:
            self.require(
                scheme.claims(credential) is True, "it claims what it accepts", "AuthScheme.claims", credential
            )
            with self.requiring("it accepts a valid credential", "AuthScheme.authenticate"):
                first, second = _answer(scheme, credential), _answer(scheme, credential)
            self.require(first == second, "one credential is one identity", "AuthScheme.authenticate", (first, second))
            self._require_identity(first)

    def test_it_leaves_other_schemes_theirs(self, tmp_path: Path) -> None:
        """The first scheme that claims a credential decides, so that one too many is everybody's outage."""
        scheme = self.make(tmp_path)
        for credential in self.foreign:
            self.require(
                not scheme.claims(credential), "it claims none of `foreign`", "AuthScheme.claims", repr(credential)
            )

    def test_it_refuses_what_is_not_valid(self, tmp_path: Path) -> None:
        """And says so without a part of the credential: the text goes to the log."""
        scheme = self.make(tmp_path)
        for credential in self.invalid:
            self.require(
                scheme.claims(credential), "it claims `invalid`, to refuse it", "AuthScheme.claims", credential
            )
            self._require_refusal(scheme, credential)

    def test_nothing_that_is_close_to_valid_is(self, tmp_path: Path) -> None:
        """One character changed, cut off or added makes another credential."""
        scheme = self.make(tmp_path)
        if not scheme.managed:
            return
        known = set(self.credentials(scheme))
        for credential in known:
            near = {credential[:-1], credential + "A", credential + "=", credential + " ", f" {credential}"}
            near |= {credential[:at] + "~" + credential[at + 1 :] for at in range(len(credential))}
            for text in sorted(near - known):
                if scheme.claims(text):
                    self._require_refusal(scheme, text)

    def test_no_text_at_all_surprises_it(self, tmp_path: Path) -> None:
        """Anybody may send anything, bytes that are no UTF-8 (as surrogates) included."""
        scheme = self.make(tmp_path)
        starts = ["", *(text[: len(text) // 2] for text in (*self.credentials(scheme), *self.invalid))]

        @settings(max_examples=200, deadline=None, report_multiple_bugs=False)
        @given(start=st.sampled_from(starts), rest=st.text(st.characters(), max_size=40))
        def check(start: str, rest: str) -> None:
            credential = start + rest
            with self.requiring("`claims` raises nothing", "AuthScheme.claims"):
                claimed: object = scheme.claims(credential)
            self.require(isinstance(claimed, bool), "`claims` says True or False", "AuthScheme.claims", repr(claimed))
            if claimed:
                rule = "`authenticate` raises nothing but InvalidCredential"
                with self.requiring(rule, "AuthScheme.authenticate", (InvalidCredential,)):
                    try:
                        self._require_identity(_answer(scheme, credential))
                    except InvalidCredential as refused:
                        self._require_secrecy(credential, refused)

        check()

    def test_a_long_credential_costs_no_more_than_a_look(self, tmp_path: Path) -> None:
        """`claims` is asked of every credential of every request, before anybody is known."""
        scheme = self.make(tmp_path)
        for start in ("", *self.credentials(scheme)):
            credential = start + "A" * LONG
            took = _least_seconds(scheme, credential)
            self.require(
                took < CLAIM_SECONDS,
                "`claims` is cheap whatever it is given",
                "AuthScheme.claims",
                f"{took * 1e3:.1f} ms",
            )

    def test_a_credential_for_dev_works_there_and_nowhere_else(self, tmp_path: Path) -> None:
        """For a scheme that can make one: it must not open another gateway."""
        scheme, other = self.make(tmp_path), self.make(tmp_path)
        if not isinstance(scheme, DevAuthScheme):
            return
        made = scheme.dev_credential()
        with self.requiring("it accepts the credential that it made", "DevAuthScheme.dev_credential"):
            self._require_identity(_answer(scheme, made.credential))
        self._require_refusal(other, made.credential)

    def _require_identity(self, identity: object) -> None:
        self.require(
            isinstance(identity, Identity), "an answer is an Identity", "AuthScheme.authenticate", repr(identity)
        )
        assert isinstance(identity, Identity)
        numbers = [identity.tenant_id, identity.vpc_id, *([] if identity.key_id is None else [identity.key_id])]
        within = all(type(number) is int and 0 <= number <= U64_MAX for number in numbers)
        self.require(within, "ids are unsigned 64-bit numbers", "Identity", repr(identity))

    def _require_refusal(self, scheme: AuthScheme, credential: str) -> None:
        try:
            with self.requiring("a refusal is InvalidCredential", "AuthScheme.authenticate", (InvalidCredential,)):
                identity = _answer(scheme, credential)
        except InvalidCredential as refused:
            self._require_secrecy(credential, refused)
            return
        self.require(False, "what is not valid is refused", "AuthScheme.authenticate", f"{credential!r} is {identity}")

    def _require_secrecy(self, credential: str, refused: InvalidCredential) -> None:
        parts = [credential[at : at + 12] for at in range(0, len(credential) - 11, 4)]
        told = [part for part in parts if part in str(refused)]
        self.require(not told, "a reason holds no part of the credential", "InvalidCredential", str(refused))


def _answer(scheme: AuthScheme, credential: str) -> object:
    answer = scheme.authenticate(credential)
    if inspect.isawaitable(answer):

        async def waited() -> object:
            return await answer

        return asyncio.run(waited())
    return answer


def _least_seconds(scheme: AuthScheme, credential: str) -> float:
    """What the quickest of some calls took; the others met a busy machine."""
    least = CLAIM_SECONDS
    for _ in range(5):
        began = time.perf_counter()
        scheme.claims(credential)
        took = time.perf_counter() - began
        if took < CLAIM_SECONDS:
            return took
        least = max(least, took)
    return least
