"""Shell commands as simple commands: enough of the grammar to see what runs, and with which words.

What is read is bash's: quotes, escapes, substitutions, here-documents, redirections, lists and pipelines. Reserved
words and brackets only part commands; what a function or a loop makes of them is not followed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

Kind = Literal["plain", "quoted", "variable", "command", "unknown"]

_OPERATORS: Final = (
    "&>>",
    "<<<",
    "<<-",
    "&&",
    "||",
    "|&",
    ";;",
    "&>",
    ">>",
    ">|",
    ">&",
    "<<",
    "<&",
    "<>",
    *"&|;()<>\n",
)
_REDIRECTIONS: Final = frozenset({"<", ">", "<<", "<<-", "<<<", ">>", ">|", ">&", "<&", "<>", "&>", "&>>"})
_PIPES: Final = frozenset({"|", "|&"})
_BRACKETS: Final = frozenset("()")
_SPACE: Final = " \t\r"
_PLAIN: Final = re.compile(r"""[^ \t\r\n&|;()<>'"$`\\]+""")
_QUOTED: Final = re.compile(r"""[^"$`\\]+""")
_ESCAPED_IN_QUOTES: Final = '$`"\\'
_LEADING: Final = frozenset(
    ("if", "then", "else", "elif", "fi", "do", "done", "while", "until", "esac", "!", "{", "}", "time", "coproc")
)
"""Reserved words that a command may follow, or that end one."""


class UnreadError(ValueError):
    """A command is not whole, or no command."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a word: text as it stands, or the name of a variable, or the source of a substitution."""

    kind: Kind
    text: str


Word = tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Redirection:
    """`operator` and what it leads to; the body of a here-document is a word of one piece."""

    operator: str
    target: Word


@dataclass(slots=True)
class Simple:
    """A simple command; `piped`, it reads what the one before it writes."""

    words: list[Word] = field(default_factory=list)
    redirections: list[Redirection] = field(default_factory=list)
    piped: bool = False


Step = Simple | str
"""A command, or `(` or `)`: what changes between them, as the folder, changes for nothing behind them."""


def steps(source: str) -> Iterator[Step]:
    """The simple commands in SOURCE, in their order. Raises UnreadError."""
    try:
        tokens = _Lexer(source).tokens()
    except RecursionError:
        raise UnreadError("it is nested too deeply") from None
    command = Simple()
    at = 0
    while at < len(tokens):
        token = tokens[at]
        at += 1
        if isinstance(token, tuple):
            if command.words or literal(token) not in _LEADING:
                command.words.append(token)
        elif token in _REDIRECTIONS:
            if at == len(tokens) or isinstance(target := tokens[at], str):
                raise UnreadError(f"nothing follows {token}")
            at += 1
            command.redirections.append(Redirection(token, target))
        else:
            if command.words or command.redirections:
                yield command
            command = Simple(piped=token in _PIPES)
            if token in _BRACKETS:
                yield token
    if command.words or command.redirections:
        yield command


def literal(word: Word) -> str | None:
    """The text of WORD when the shell leaves it as it stands, quotes taken off; None when it does not."""
    if all(piece.kind in ("plain", "quoted") for piece in word):
        return "".join(piece.text for piece in word)
    return None


class _Lexer:
    """Words, and operators as text."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._awaited: list[tuple[list[Word | str], int, str, bool]] = []
        """here-documents whose bodies begin behind the line: where they go, their delimiters, whether tabs are cut"""

    def tokens(self, *, closing: str = "") -> list[Word | str]:
        """All tokens, or those up to a bracket CLOSING that none opens. Raises UnreadError."""
        found: list[Word | str] = []
        depth = 0
        while True:
            self._skip_blank()
            if self._at >= len(self._source):
                if closing:
                    raise UnreadError(f"{closing} is missing")
                return found
            if self._looking_at("<(", ">("):
                found.append(self._word())
                continue
            operator = next((op for op in _OPERATORS if self._source.startswith(op, self._at)), None)
            if operator is None:
                found.append(self._word())
                if isinstance(found[-1], tuple) and self._looking_at("<", ">") and _is_number(found[-1]):
                    found.pop()  # of a descriptor
                continue
            depth += (operator == "(") - (operator == ")")
            self._at += len(operator)
            if depth < 0:
                if operator == closing:
                    return found
                depth = 0  # of a pattern of `case`
            found.append(operator)
            if operator in ("<<", "<<-"):
                self._skip_blank()
                delimiter = self._word()
                found.append(delimiter)
                self._awaited.append((found, len(found) - 1, literal(delimiter) or "", operator == "<<-"))
            elif operator == "\n":
                self._take_documents()

    def _looking_at(self, *texts: str) -> bool:
        return self._source.startswith(texts, self._at)

    def _skip_blank(self) -> None:
        while self._at < len(self._source):
            if self._source[self._at] in _SPACE:
                self._at += 1
            elif self._looking_at("\\\n"):
                self._at += 2
            elif self._source[self._at] == "#":
                end = self._source.find("\n", self._at)
                self._at = len(self._source) if end < 0 else end
            else:
                return

    def _take_documents(self) -> None:
        for tokens, place, delimiter, cut_tabs in self._awaited:
            lines = []
            while self._at < len(self._source):
                end = self._source.find("\n", self._at)
                end = len(self._source) if end < 0 else end
                line = self._source[self._at : end]
                self._at = min(end + 1, len(self._source))
                if (line.lstrip("\t") if cut_tabs else line) == delimiter:
                    break
                lines.append(line)
            tokens[place] = (Piece("quoted", "\n".join(lines)),)
        self._awaited.clear()

    def _word(self) -> Word:
        pieces: list[Piece] = []
        begun = self._at
        while self._at < len(self._source):
            sign = self._source[self._at]
            if sign in _SPACE or (sign in "&|;()<>\n" and not (self._at == begun and self._looking_at("<(", ">("))):
                break
            if sign == "'":
                pieces.append(Piece("quoted", self._until("'", 1)))
            elif sign == '"':
                self._at += 1
                pieces += self._double_quoted()
            elif sign in "<>":
                self._at += 2
                pieces.append(Piece("command", self._bracketed()))
            elif sign in "$`":
                pieces.append(self._expansion())
            elif sign == "\\":
                pieces.append(Piece("quoted", self._source[self._at + 1 : self._at + 2].replace("\n", "")))
                self._at += 2
            else:
                pieces.append(Piece("plain", self._run(_PLAIN)))
        return _joined(pieces)

    def _run(self, pattern: re.Pattern[str]) -> str:
        """The signs from here on that PATTERN takes, one at least."""
        found = pattern.match(self._source, self._at)
        text = found[0] if found is not None else self._source[self._at]
        self._at += len(text)
        return text

    def _until(self, end: str, skip: int) -> str:
        """What stands between here, SKIP signs on, and END, which is passed."""
        start = self._at + skip
        stop = self._source.find(end, start)
        if stop < 0:
            raise UnreadError(f"{end} is missing")
        self._at = stop + len(end)
        return self._source[start:stop]

    def _double_quoted(self) -> list[Piece]:
        pieces = [Piece("quoted", "")]
        while True:
            if self._at >= len(self._source):
                raise UnreadError('" is missing')
            sign = self._source[self._at]
            if sign == '"':
                self._at += 1
                return pieces
            if sign in "$`":
                pieces.append(self._expansion(quoted=True))
            elif sign == "\\" and self._source[self._at + 1 : self._at + 2] in (*_ESCAPED_IN_QUOTES, "\n"):
                pieces.append(Piece("quoted", self._source[self._at + 1].replace("\n", "")))
                self._at += 2
            else:
                pieces.append(Piece("quoted", self._run(_QUOTED)))

    def _expansion(self, *, quoted: bool = False) -> Piece:
        """What `$` or a backtick begins."""
        if self._source[self._at] == "`":
            return Piece("command", self._until("`", 1).replace("\\`", "`"))
        self._at += 1
        if self._looking_at("(("):
            return Piece("unknown", "$((" + self._until("))", 2))
        if self._looking_at("("):
            self._at += 1
            return Piece("command", self._bracketed())
        if self._looking_at("{"):
            inside = self._until("}", 1)
            return Piece("variable" if inside.isidentifier() else "unknown", inside)
        if self._looking_at("'") and not quoted:
            return Piece("unknown", self._until("'", 1))
        start = self._at
        while self._at < len(self._source) and (self._source[self._at].isalnum() or self._source[self._at] == "_"):
            self._at += 1
        name = self._source[start : self._at]
        if name.isidentifier():
            return Piece("variable", name)
        if not name and not self._looking_at(*"@*#?$!-"):
            return Piece("quoted", "$")
        self._at = start + 1
        return Piece("unknown", self._source[start : self._at])

    def _bracketed(self) -> str:
        """The source up to the bracket that closes it, which is passed."""
        start = self._at
        self.tokens(closing=")")
        return self._source[start : self._at - 1]


def _is_number(word: Word | str) -> bool:
    return isinstance(word, tuple) and len(word) == 1 and word[0].kind == "plain" and word[0].text.isdecimal()


def _joined(pieces: list[Piece]) -> Word:
    """PIECES with neighbours of one kind made one."""
    joined: list[Piece] = []
    for piece in pieces:
        if joined and joined[-1].kind == piece.kind and piece.kind in ("plain", "quoted"):
            joined[-1] = Piece(piece.kind, joined[-1].text + piece.text)
        else:
            joined.append(piece)
    return tuple(joined)
