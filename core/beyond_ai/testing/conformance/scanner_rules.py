"""What every scanner makes of single bodies, whole, byte by byte and in chunks of seven bytes."""

from collections.abc import Callable
from typing import TypeAlias

import pytest

from beyond_ai.spec.scanner import OPTIONS_KEPT, Scanner
from beyond_ai.testing.conformance.reference_scanner import Reading, read
from beyond_ai.testing.conformance.scanner_bodies import cut

NewScanner: TypeAlias = Callable[[], Scanner]
in_each_size = pytest.mark.parametrize("size", [1, 7, 10_000])
ALL_ESCAPED = b"".join(b"\\u%04x" % letter for letter in b"stream_options")


class ScannerRules:
    """The rules, one by one."""

    @in_each_size
    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            (b'{"model":"gpt-4o"}', b"gpt-4o"),
            (b'{"messages":[{"model":"no"}],"model" : "m"}', b"m"),
            (b'[{"model":"no"}]', None),
            (b'"{\\"model\\":\\"no\\"}"', None),
            (b'{"model":"first","model":"second"}', b"first"),
            (b'{"model":5,"x":1,"model":"later"}', b"later"),
            (b'{"model":{"model":"inner","x":"y"},"n":"z"}', None),
            (b'{"model":["a"],"model":null,"model":"b"}', b"b"),
            (b'{"a\\"b":1,"model":"m"}', b"m"),
            (b'{"model":"a\\/b"}', b"a/b"),
            (b'{"model":"\\u0041"}', b"u0041"),
            (b'{"mod\\el":"m"}', b"m"),
            (b'{"mod\\u0065l":"m"}', None),
            (b'{"model":""}', b""),
            (b'{"model":"unfinished', None),
            (b'{"model":"\xff\xfe"}', b"\xff\xfe"),
            (b'{"model":"a"}{"model":"b"}', b"a"),
            (b'text before {"model":"m"}', b"m"),
            (b'{"id":1}\n{"model":"m"}', b"m"),
            (b"", None),
            *((b'{"model":"%b"}' % (b"v" * length), b"v" * min(length, 256)) for length in (255, 256, 257, 5000)),
            *((b'{"model%b":"no","model":"yes"}' % (b"x" * length), b"yes") for length in (78, 79, 80, 5000)),
            (b'{"model":"%b"}' % (b"\\v" * 300), b"v" * 256),
        ],
        ids=lambda value: repr(value)[:40],
    )
    def test_model(self, new_scanner: NewScanner, size: int, body: bytes, expected: bytes | None) -> None:
        """The first `model` of the root that is a string, cut at 256 bytes, each backslash dropped."""
        assert _scan(new_scanner(), body, size).model == expected

    @in_each_size
    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            (b'{"stream":true}', True),
            (b'{ "stream" :\r\n false\t,"a":1', False),
            (b'{"stream":true,"stream":false}', False),
            (b'{"stream":true,"stream":null}', None),
            (b'{"stream":true,"stream":"true"}', None),
            (b'{"stream":true,"stream":tru', True),
            (b'{"stream":true', None),
            (b'{"stream":trueish}', None),
            (b'{"stream":true false}', None),
            (b'{"stream":[true],"a":1}', None),
            (b'{"\\u0073\\u0074\\u0072\\u0065\\u0061\\u006D":true}', True),
            (b'{"\\stream":true}', None),
            (b'{"\\\\u0073tream":true}', None),
            (b'{"streams":true,"strea":true,"Stream":true}', None),
            (b'{"a":{"stream":true}}', None),
            (b'{"a":"\\",\\"stream\\":true"}', None),
            (b'[true,{"stream":true}]', None),
            (b'{"a":1}{"stream":true}', None),
            (b'{"stream":true}{"stream":false}', True),
        ],
    )
    def test_stream(self, new_scanner: NewScanner, size: int, body: bytes, expected: bool | None) -> None:
        """The last complete `stream` of the root, in every spelling of its key."""
        assert _scan(new_scanner(), body, size).stream is expected

    @in_each_size
    @pytest.mark.parametrize(
        ("body", "complete", "opened"),
        [
            (b'{"stream_options":{"include_usage":true}}', [b'{"include_usage":true}'], b""),
            (b'{"stream_options" : \t {"a":[{}]}\r\n , "b":1}', [b'{"a":[{}]}'], b""),
            (b'{"stream_options":null,"stream_options":{}}', [b"null", b"{}"], b""),
            (b'{"stream_options":"a,\\"}b" }', [b'"a,\\"}b"'], b""),
            (b'{"stream_options":{"a":1} 2,', [b'{"a":1} 2'], b""),
            (b'{"%b":1}' % ALL_ESCAPED, [b"1"], b""),
            (b'{"%bs":1}' % ALL_ESCAPED, [], b""),
            (b'{"stream_options":{}', [], b"{}"),
            (b'{"stream_options":{"a":{}, ', [], b'{"a":{}, '),
            (b'{"stream_options":nu', [], b"nu"),
            (b'{"stream_options": ', [], b""),
            (b'{"stream_options"', [], b""),
            (b'{"stream_options":,"a":1}', [], b""),
            (b'{"stream_options":}', [], b""),
            (b'{"a":{"stream_options":{}},"b":[{"stream_options":{', [], b""),
            (b'[{"stream_options":{}}]', [], b""),
            (b'{"a":1}{"stream_options":{}}{"stream_options":', [], b""),
            (b'{%b"a":{' % (b'"stream_options":1,' * 40), [b"1"] * OPTIONS_KEPT, b""),
            (b'{%b"stream_options":{' % (b'"stream_options":1,' * 40), [b"1"] * OPTIONS_KEPT, b"{"),
        ],
        ids=lambda value: repr(value)[:60],
    )
    def test_options(
        self, new_scanner: NewScanner, size: int, body: bytes, complete: list[bytes], opened: bytes
    ) -> None:
        """Where each value of `stream_options` begins and ends, and which is open."""
        found = _scan(new_scanner(), body, size)
        assert [body[start:end] for start, end in found.options] == complete
        assert (body[found.open_option :] if found.open_option >= 0 else b"") == opened

    @in_each_size
    @pytest.mark.parametrize(
        ("body", "end", "empty"),
        [
            (b"{}", 1, True),
            (b" { \n } \n", 5, True),
            (b'{"', -1, False),
            (b'{"a":1}', 6, False),
            (b'{"a":{"b":"}"}', -1, False),
            (b'{"a":{"b":"}"}}', 14, False),
            (b'{"a":1}{"b":2}', 6, False),
            (b'{}{"b":2}', 1, True),
            (b"[{}]", -1, True),
            (b'[{}]{"a":1}', -1, True),
            (b'"{}"', -1, True),
            (b"}]", -1, True),
            (b"", -1, True),
            (b'{"a":"%b"}' % (b" " * 100_000), 100_007, False),
        ],
        ids=lambda value: repr(value)[:40],
    )
    def test_root(self, new_scanner: NewScanner, size: int, body: bytes, end: int, empty: bool) -> None:
        """Where the root ends, and whether it has a member."""
        found = _scan(new_scanner(), body, size)
        assert (found.root_end, found.root_empty) == (end, empty)

    @in_each_size
    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"a b c", 2),
            (b"A Z a z @ [ ` { 1 \xe1 ", 4),
            (b"a  b\tc\nd", 1),
            (b'{"a":"to be or not to be ","b c":[{"d e":1}]} f ', 9),
            (b"the cat " * 20_000, 40_000),
            (b" ", 0),
            (b"a", 0),
            (b"", 0),
        ],
        ids=lambda value: repr(value)[:40],
    )
    def test_words(self, new_scanner: NewScanner, size: int, body: bytes, words: int) -> None:
        """How often an ASCII letter is followed by a space."""
        assert _scan(new_scanner(), body, size).words == words

    def test_words_may_be_asked_for_at_any_time(self, new_scanner: NewScanner) -> None:
        """Between any two chunks, and twice."""
        scanner = new_scanner()
        counts = []
        for chunk in (b"a b", b"", b" c", b" ", b"\xff" * 70_000 + b"d ", b"e"):
            scanner.feed(chunk)
            counts += [scanner.words, scanner.words]
        assert counts == [1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4]

    def test_deep_nesting_is_only_counted(self, new_scanner: NewScanner) -> None:
        """No depth is too much."""
        deep = b"[{" * 100_000
        scanner = new_scanner()
        scanner.feed(b'{"a":' + deep + b'"model":"no"')
        scanner.feed(b"]" * len(deep) + b',"model":"yes"}')
        assert (scanner.model, scanner.root_end) == (b"yes", 5 + len(deep) + 12 + len(deep) + 14)


def _scan(scanner: Scanner, body: bytes, size: int) -> Reading:
    return read(scanner, cut(body, size))
