"""Tasks as they are given: words, `@file` references, piped text; and what they become for the model."""

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import quoteattr

from beyond_ai.agent.prompt.documents import LARGEST, opened
from beyond_ai.agent.prompt.skills import Skill, invoke
from beyond_ai.agent.prompt.templates import expand_template
from beyond_ai.errors import ConfigError
from beyond_ai.spec.conversation import Image, Text

REFERENCE: Final = re.compile(r"(?<!\S)@(\S+)")
TRAILING: Final = ".,;:!?)]}'\""
Block = Text | Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One prompt. `blocks` are what goes to the model, `text` what was asked, for people."""

    text: str
    blocks: tuple[Block, ...]


class TaskReader:
    """Makes tasks out of the words of the command line."""

    def __init__(self, cwd: Path, skills: Callable[[], dict[str, Skill]], templates: Sequence[Path]) -> None:
        self._cwd = cwd
        self._skills = skills
        self._templates = templates

    def tasks(self, words: Sequence[str], piped: str) -> list[Task]:
        """A task for each of WORDS; one that is `@path` as a whole belongs to the next, or to the last.

        A path with spaces in it is one as a whole where there is such a file. PIPED text stands before the first.
        Raises ConfigError for a file that is not there or cannot be attached.
        """
        tasks: list[Task] = []
        waiting: list[Block] = [_wrapped("stdin", piped)] if piped.strip() else []
        for word in words:
            if word.startswith("@") and len(word) > 1 and (not re.search(r"\s", word) or self._is_file(word[1:])):
                waiting += self._attached(word[1:])
            else:
                tasks.append(self._task(word, waiting))
                waiting = []
        if waiting and tasks:
            last = tasks.pop()
            tasks.append(Task(text=last.text, blocks=(*waiting, *last.blocks)))
        elif waiting:
            tasks.append(Task(text=piped.strip(), blocks=_text_alone(waiting, piped)))
        return tasks

    def _task(self, word: str, before: Sequence[Block]) -> Task:
        if not word.strip():
            raise ConfigError("a task is empty", 'say what to do: beyond-ai agent run "fix the failing test"')
        spellings = [(found, found.rstrip(TRAILING)) for found in REFERENCE.findall(word)]
        names = [next((name for name in both if self._is_file(name)), None) for both in spellings]
        referred = [block for name in dict.fromkeys(names) if name is not None for block in self._attached(name)]
        return Task(text=word, blocks=(*before, *referred, Text(text=self.expanded(word))))

    def expanded(self, word: str) -> str:
        """WORD, or the text of the skill or template that it invokes. Raises ConfigError."""
        try:
            if word.startswith("/skill:"):
                name, _, arguments = word.removeprefix("/skill:").partition(" ")
                skills = self._skills()
                if name not in skills:
                    raise ConfigError(
                        f"/skill:{name}: no such skill", f"there are: {', '.join(sorted(skills)) or 'none'}"
                    )
                return invoke(skills[name], arguments.strip())
            return expand_template(word, self._templates) or word
        except (OSError, ValueError) as error:
            raise ConfigError(f"{word.split(maxsplit=1)[0]}: {error}") from None

    def _is_file(self, name: str) -> bool:
        try:
            return (self._cwd / Path(name).expanduser()).is_file()
        except (OSError, ValueError, RuntimeError):
            return False

    def _attached(self, name: str) -> list[Block]:
        from beyond_ai.images import MAX_FILE_BYTES, image_format  # most tasks attach nothing

        path = self._cwd / Path(name).expanduser()
        try:
            if path.is_dir():
                raise ConfigError(f"@{name}: is a folder", "name a file; the agent can list folders itself")
            with open(path, "rb", opener=opened) as file:
                content = file.read(LARGEST + 1)
                kind = image_format(content)
                if kind is not None:
                    return _image(name, kind, content + file.read(MAX_FILE_BYTES))
        except OSError as error:
            raise ConfigError(f"@{name}: {error.strerror}") from None
        if len(content) > LARGEST:
            raise ConfigError(f"@{name}: is larger than {LARGEST // 1024} KiB", "name it without @: the agent reads it")
        if b"\0" in content:
            raise ConfigError(f"@{name}: is neither text nor an image that models take")
        return [_wrapped(name, content.removeprefix(b"\xef\xbb\xbf").decode(errors="replace"))]


def _image(name: str, kind: str, content: bytes) -> list[Block]:
    """The image in CONTENT, made smaller where it is too large for providers. Raises ConfigError."""
    from beyond_ai.images import prepare

    shown = prepare(kind, content)
    if shown.image is None:
        raise ConfigError(f"@{name}: {shown.note}", "attach it smaller, or as png, jpeg, gif or webp")
    label = Text(text=f"<file name={quoteattr(name)}>(the image that follows: {shown.note})</file>")
    return [label, Image(media_type=shown.image.media_type, data=base64.b64encode(shown.image.data).decode())]


def _wrapped(name: str, text: str) -> Text:
    return Text(text=f"<file name={quoteattr(name)}>\n{text.rstrip()}\n</file>")


def _text_alone(blocks: Sequence[Block], piped: str) -> tuple[Block, ...]:
    """BLOCKS of a task without words of its own: what was piped is the task then."""
    return (*blocks[1:], Text(text=piped.strip())) if piped.strip() else tuple(blocks)
