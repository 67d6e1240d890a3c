"""The system prompt, context files, skills, templates and tasks: what is read from where, and what becomes of it."""

import base64
import io
import os
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest

from beyond_ai import ConfigError
from beyond_ai.agent.prompt.context_files import context_files
from beyond_ai.agent.prompt.documents import LARGEST, parse
from beyond_ai.agent.prompt.skills import find_skills, invoke, offer, skill_folders
from beyond_ai.agent.prompt.system import PromptParts, built_in, compose
from beyond_ai.agent.prompt.task import TaskReader
from beyond_ai.agent.prompt.templates import expand_template, fill, template_folders
from beyond_ai.spec.conversation import Image, Text

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    folder = tmp_path / "src" / "project"
    folder.mkdir(parents=True)
    return folder


# The system prompt


def test_the_built_in_text_names_the_tools_that_there_are() -> None:
    text = built_in(["read", "bash", "fork"])
    assert "Your tools: bash, fork, read." in text
    assert "edit" not in text
    assert "grep" not in text
    assert "no tools" in built_in([])
    assert len(built_in(["bash", "edit", "find", "fork", "grep", "logs", "ls", "read", "sync", "write"])) < 1_300


def test_parts_come_in_their_order(cwd: Path, home: Path) -> None:
    write(cwd / "AGENTS.md", "Use tabs.")
    parts = PromptParts(
        base="BASE", appended=["MORE"], context=context_files(cwd, home, print), skills="<available_skills>"
    )
    text = compose(parts, ["read"], cwd, date(2026, 1, 2))
    order = ["BASE", "MORE", "<project_context>", "Use tabs.", "<available_skills>", "Date: 2026-01-02"]
    assert [text.index(piece) for piece in order] == sorted(text.index(piece) for piece in order)
    assert text.endswith(f"Working directory: {cwd}")
    assert "available_skills" not in compose(parts, ["bash"], cwd, date(2026, 1, 2))
    assert compose(PromptParts(base=" \n"), [], cwd, date(2026, 1, 2)).startswith("You are a coding agent")


# AGENTS.md


def test_context_files_from_the_users_own_down_to_the_working_folder(cwd: Path, home: Path) -> None:
    own = write(home / ".beyond-ai" / "AGENTS.md", "own")
    claude = write(home / ".claude" / "CLAUDE.md", "claude")
    above = write(cwd.parent / "agents.MD", "above")
    write(cwd.parent / "CLAUDE.md", "not this one")
    here = write(cwd / "claude.md", "here")
    found = context_files(cwd, home, print)
    assert [(file.path, file.text) for file in found] == [
        (own, "own"), (claude, "claude"), (above, "above"), (here, "here"),
    ]  # fmt: skip


def test_a_blank_file_is_as_none_and_a_link_counts_once(cwd: Path, home: Path) -> None:
    write(cwd / "AGENTS.md", " \n")
    write(cwd / "CLAUDE.md", "used")
    (cwd.parent / "AGENTS.md").symlink_to(cwd / "CLAUDE.md")
    assert [file.text for file in context_files(cwd, home, print)] == ["used"]


def test_a_file_that_is_too_large_is_told_and_left_out(cwd: Path, home: Path) -> None:
    write(cwd / "AGENTS.md", "x" * (LARGEST + 1))
    warnings: list[str] = []
    assert context_files(cwd, home, warnings.append) == []
    assert warnings == [f"{cwd / 'AGENTS.md'}: left out of the prompt: is larger than 256 KiB"]


# Heads of documents


@pytest.mark.parametrize(
    ("text", "head", "body"),
    [
        ("no head", {}, "no head"),
        ("---\nname: x\n---\nbody\n", {"name": "x"}, "body"),
        ("---\nname: \"a: b\"\nd: 'it''s'\n---\n", {"name": "a: b", "d": "it's"}, ""),
        ("---\nd: >\n  one\n  two\nx: y # why\n---\nb", {"d": "one two", "x": "y"}, "b"),
        ("---\nd: |\n  one\n  two\n---\nb", {"d": "one\ntwo"}, "b"),
        ("---\nmeta:\n  deep: 1\nname: x\n---\n", {"meta": "", "name": "x"}, ""),
        ("---\nnever closed", {}, "---\nnever closed"),
        ("", {}, ""),
    ],
)
def test_heads(text: str, head: dict[str, str], body: str) -> None:
    document = parse(text)
    assert (document.head, document.body) == (head, body)


# Skills


def skill(folder: Path, name: str, head: str = "") -> Path:
    return write(
        folder / name / "SKILL.md", f"---\nname: {name}\ndescription: Does {name} & more.\n{head}---\nSteps of {name}."
    )


def test_skills_are_found_offered_and_invoked(cwd: Path, home: Path) -> None:
    folders = skill_folders(cwd, home)
    first = skill(folders[0], "release")
    skill(folders[2], "release")
    skill(folders[4] / "nested" / "deep", "review")
    skill(folders[4], "secret", "disable-model-invocation: true\n")
    write(folders[3] / "bad name" / "SKILL.md", "---\ndescription: d\n---\n")
    write(folders[3] / "empty" / "SKILL.md", "---\nname: empty\n---\n")
    warnings: list[str] = []
    found = find_skills(folders, warnings.append)
    assert sorted(found) == ["release", "review", "secret"]
    assert found["release"].path == first
    for place, warning in zip((folders[2], folders[3] / "bad name", folders[3] / "empty"), warnings, strict=True):
        assert warning.startswith(str(place))
    section = offer(found.values())
    assert f'<skill name="release" path="{first}">Does release &amp; more.</skill>' in section
    assert "secret" not in section
    assert offer([]) == ""
    assert invoke(found["secret"], "now").endswith("Steps of secret.\n</skill>\n\nUser: now")


# Templates


@pytest.mark.parametrize(
    ("template", "arguments", "filled"),
    [
        ("a $1 b $2 c $3.", "x 'y z'", "a x b y z c ."),
        ("$@ | $ARGUMENTS", "x  y", "x  y | x  y"),
        ("${@:2} | ${@:2:1} | ${@}", "a b c", "b c | b | a b c"),
        ("${1:-main} ${2:-dev}", "top", "top dev"),
        ("costs $5.00, $x, $", "", "costs .00, $x, $"),
        ("$1", "it's", "it's"),
    ],
)
def test_templates_are_filled(template: str, arguments: str, filled: str) -> None:
    assert fill(template, arguments) == filled


def test_a_template_is_invoked_by_its_name(cwd: Path, home: Path) -> None:
    folders = template_folders(cwd, home)
    write(home / ".beyond-ai" / "prompts" / "fix.md", "---\ndescription: d\n---\nFix $1 now.")
    write(cwd / ".claude" / "prompts" / "fix.md", "not this one")
    write(cwd / ".claude" / "prompts" / "look.md", "Look.")
    assert expand_template("/fix it", folders) == "Fix it now."
    assert expand_template("/look", folders) == "Look."
    for text in ("/nothing here", "/etc/hosts is broken", "fix it", "/../fix it"):
        assert expand_template(text, folders) is None


# Tasks


def reader(cwd: Path, home: Path) -> TaskReader:
    return TaskReader(cwd, lambda: find_skills(skill_folders(cwd, home), print), template_folders(cwd, home))


def test_files_are_put_before_the_task(cwd: Path, home: Path) -> None:
    write(cwd / "a.txt", "alpha\n")
    write(cwd / "b.txt", "beta")
    (cwd / "p.png").write_bytes(PNG)
    one, two = reader(cwd, home).tasks(
        ["@a.txt", "see @b.txt, mail me@b.txt about @none and @b.txt", "look at @p.png"], "piped\n"
    )
    assert one.blocks == (
        Text(text='<file name="stdin">\npiped\n</file>'),
        Text(text='<file name="a.txt">\nalpha\n</file>'),
        Text(text='<file name="b.txt">\nbeta\n</file>'),
        Text(text="see @b.txt, mail me@b.txt about @none and @b.txt"),
    )
    assert two.blocks[1:] == (
        Image(media_type="image/png", data=base64.b64encode(PNG).decode()), Text(text="look at @p.png"),
    )  # fmt: skip


def test_what_is_piped_alone_is_the_task(cwd: Path, home: Path) -> None:
    (task,) = reader(cwd, home).tasks([], "do it\n")
    assert (task.text, task.blocks) == ("do it", (Text(text="do it"),))
    assert reader(cwd, home).tasks([], " \n") == []


def test_a_file_behind_the_last_task_belongs_to_it(cwd: Path, home: Path) -> None:
    write(cwd / "a.txt", "alpha")
    (task,) = reader(cwd, home).tasks(["do it", "@a.txt"], "")
    assert [block.text[:5] for block in task.blocks if isinstance(block, Text)] == ["<file", "do it"]


def test_a_file_may_have_spaces_in_its_name(cwd: Path, home: Path) -> None:
    write(cwd / "a b.txt", "alpha")
    (task,) = reader(cwd, home).tasks(["@a b.txt", "do it"], "")
    assert task.blocks[0] == Text(text='<file name="a b.txt">\nalpha\n</file>')
    mention, _ = reader(cwd, home).tasks(["@none do this", "do it"], "")
    assert mention.blocks == (Text(text="@none do this"),)


def test_a_pipe_without_a_writer_is_empty_and_not_waited_for(cwd: Path, home: Path) -> None:
    os.mkfifo(cwd / "pipe")
    os.mkfifo(cwd / "AGENTS.md")
    (task,) = reader(cwd, home).tasks(["@pipe", "do it"], "")
    assert task.blocks[0] == Text(text='<file name="pipe">\n\n</file>')
    assert context_files(cwd, home, print) == []


def test_skills_and_templates_in_tasks(cwd: Path, home: Path) -> None:
    skill(skill_folders(cwd, home)[0], "release")
    write(home / ".claude" / "prompts" / "fix.md", "Fix $1 now.")
    tasks = reader(cwd, home).tasks(["/skill:release 1.2", "/fix it"], "")
    assert [task.blocks[-1] for task in tasks][1] == Text(text="Fix it now.")
    assert "Steps of release." in str(tasks[0].blocks[-1])


def test_an_image_that_is_too_large_is_made_smaller(cwd: Path, home: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    pillow.new("RGB", (3_000, 1_500), "red").save(cwd / "large.png")
    (task,) = reader(cwd, home).tasks(["@large.png", "look"], "")
    label, image, _ = task.blocks
    assert isinstance(label, Text)
    assert "PNG image, 3000x1500 pixels, shown at 2000x1000" in label.text
    assert isinstance(image, Image)
    assert pillow.open(io.BytesIO(base64.b64decode(image.data))).size == (2_000, 1_000)


def test_the_prompt_says_what_a_root_binds(tmp_path: Path) -> None:
    def prompt(root: Path | None, *tools: str) -> str:
        return compose(PromptParts(root=root), tools, tmp_path, date(2026, 1, 1))

    assert "Nothing holds shell commands there" in prompt(tmp_path, "read", "bash")
    assert f"Work below {tmp_path} alone" in prompt(tmp_path, "read")
    assert "shell" not in prompt(tmp_path, "read")
    assert "alone" not in prompt(None, "read", "bash")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("@missing.txt", "@missing.txt: No such file or directory"),
        ("@.", "@.: is a folder"),
        ("@binary", "@binary: is neither text nor an image"),
        ("@large", "@large: is larger than 256 KiB"),
        ("@damaged.png", "@damaged.png: PNG image that cannot be shown: it is damaged"),
        (" ", "a task is empty"),
        ("/skill:none", "/skill:none: no such skill"),
    ],
)
def test_what_cannot_be_attached_is_a_usage_error(cwd: Path, home: Path, word: str, message: str) -> None:
    (cwd / "binary").write_bytes(b"\0\1")
    (cwd / "damaged.png").write_bytes(PNG[:40])
    write(cwd / "large", "x" * (LARGEST + 1))
    with pytest.raises(ConfigError) as raised:
        reader(cwd, home).tasks([word, "do it"], "")
    assert raised.value.message.startswith(message)


# What is piped in

READ = (
    "import sys; from beyond_ai.agent.prompt.piped import stdin_text; "
    "print(stdin_text(sys.argv[1:], lambda text: print(text, file=sys.stderr)))"
)


def read(*words: str, stdin: int | str) -> tuple[str, str]:
    source = {"stdin": stdin} if isinstance(stdin, int) else {"input": stdin}
    done = subprocess.run([sys.executable, "-c", READ, *words], capture_output=True, text=True, timeout=20, **source)
    return done.stdout.strip(), done.stderr


def test_what_is_piped_must_be_text() -> None:
    assert "what was piped in is no text" in read("do", stdin="a\0b")[1]


def test_a_pipe_that_nothing_comes_from_is_not_waited_for(tmp_path: Path) -> None:
    assert read("do", stdin="text")[0] == "(['do'], 'text')"
    assert read("do", stdin=subprocess.DEVNULL)[0] == "(['do'], '')"
    with (write(tmp_path / "f", "from a file")).open() as file:
        assert read("do", stdin=file.fileno())[0] == "(['do'], 'from a file')"
    reading, writing = os.pipe()
    started = time.monotonic()
    text, warning = read("do", stdin=reading)
    assert text == "(['do'], '')"
    assert "standard input is a pipe that nothing came from" in warning
    assert time.monotonic() - started < 10
    os.close(writing)
    assert read("do", stdin=reading)[0] == "(['do'], '')"
    os.close(reading)


def test_a_dash_waits_for_the_pipe() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", READ, "do", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.6)
        assert process.communicate("late", timeout=20)[0].strip() == "(['do'], 'late')"
