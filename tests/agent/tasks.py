"""Coding tasks as a model does them: the files to begin with, what it says and calls, and what must be there then."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.agent.agent_process import Place

from beyond_ai.testing.answer import Answer
from beyond_ai.testing.model import Reply, says, tool_call, uses
from beyond_ai.testing.model_call import ModelCall

PYTHON = sys.executable


@dataclass(frozen=True)
class CodingTask:
    """One task. `check` is told where it was done and sees what is left there."""

    name: str
    turns: tuple[Reply, ...]
    files: dict[str, str | bytes] = field(default_factory=dict)
    left: dict[str, str | bytes | None] = field(default_factory=dict)
    """files afterwards: their bytes, or None for one that must be gone; all others must be as they were"""
    prepare: Callable[[Place], None] = lambda place: None
    check: Callable[[Place], None] = lambda place: None
    made: tuple[str, ...] = ()
    """files that may be there too, whatever is in them"""

    def __str__(self) -> str:
        return self.name


def result(call: ModelCall, place: int = 0) -> str:
    """The text of a result that CALL brings."""
    return call.results[place].content


def expecting(needle: str, turn: Answer) -> Callable[[ModelCall], Answer]:
    """TURN, if NEEDLE is in a result that the model is shown; else a word that shows what was there instead."""

    def reply(call: ModelCall) -> Answer:
        results = "\n---\n".join(block.content for block in call.results)
        if needle not in results:
            return says(f"EXPECTED {needle!r} in: {results}")
        return turn

    return reply


# 1: fix a failing test

ADD = "def add(a, b):\n    return a - b\n"
TEST_ADD = "from calc import add\n\nassert add(2, 3) == 5, add(2, 3)\nprint('ok')\n"
RUN_TEST = tool_call("bash", command=f"{PYTHON} -B test_calc.py")
"""Without byte code: an edit within a second that keeps the size would go unnoticed."""

fix = CodingTask(
    "fix a failing test",
    files={"calc.py": ADD, "test_calc.py": TEST_ADD},
    turns=(
        uses(RUN_TEST, text="Let me see it fail."),
        expecting("AssertionError: -1", uses(tool_call("read", path="calc.py"))),
        expecting("return a - b", uses(tool_call("edit", path="calc.py", old_string="a - b", new_string="a + b"))),
        uses(RUN_TEST),
        expecting("ok", says("DONE: calc.py added wrongly.")),
    ),
    left={"calc.py": ADD.replace("a - b", "a + b")},
)

# 2: rename across files


def rename_edits(call: ModelCall) -> Answer:
    """An edit for each file that the search has named, all in one turn."""
    names = sorted({line.partition(":")[0] for line in result(call).splitlines() if "old_name" in line})
    return uses(
        *(
            tool_call("edit", path=name, old_string="old_name", new_string="new_name", replace_all=True)
            for name in names
        )
    )


rename = CodingTask(
    "rename across files",
    files={
        "pkg/a.py": "def old_name():\n    return 1\n",
        "pkg/b.py": "from pkg.a import old_name\n\nprint(old_name())\n",
        "docs/x.md": "Call `old_name`.\n",
        "other.py": "def untouched(): ...\n",
    },
    turns=(
        uses(tool_call("bash", command="grep -rn old_name . | sed 's|^./||'")),
        rename_edits,
        uses(tool_call("bash", command="! grep -rn old_name . && python3 -B -c 'import pkg.b'")),
        expecting("1", says("DONE")),
    ),
    left={
        "pkg/a.py": "def new_name():\n    return 1\n",
        "pkg/b.py": "from pkg.a import new_name\n\nprint(new_name())\n",
        "docs/x.md": "Call `new_name`.\n",
    },
)

# 3: a feature with its tests

GREET = "def greet(name):\n    return f'Hello {name}'\n"
GREETER = """def greet(name, loud=False):
    text = f"Hello {name}"
    return text.upper() if loud else text
"""
TEST_GREET = "from greet import greet\n\nassert greet('x') == 'Hello x'\nassert greet('x', loud=True) == 'HELLO X'\n"

feature = CodingTask(
    "add a feature with tests",
    files={"src/greet.py": GREET},
    turns=(
        uses(tool_call("ls", path="src"), tool_call("read", path="src/greet.py")),
        uses(
            tool_call("write", path="src/greet.py", content=GREETER),
            tool_call("write", path="tests/deep/test_greet.py", content=TEST_GREET),
        ),
        uses(
            tool_call(
                "bash",
                command=f"PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=src {PYTHON} tests/deep/test_greet.py && echo passed",
            )
        ),
        expecting("passed", says("DONE")),
    ),
    left={"src/greet.py": GREETER, "tests/deep/test_greet.py": TEST_GREET},
)

# 4: a merge conflict


def conflict(place: Place) -> None:
    """A repository in the middle of a merge that did not go well."""
    script = """
    git init -q -b main . && git config user.email t@example.com && git config user.name T
    printf 'one\\ntwo\\nthree\\n' > list.txt && git add . && git commit -qm base
    git checkout -qb side && printf 'one\\nTWO\\nthree\\n' > list.txt && git commit -qam side
    git checkout -q main && printf 'one\\n2\\nthree\\n' > list.txt && git commit -qam main
    ! git merge -q side
    """
    subprocess.run(["sh", "-ec", script], cwd=place.cwd, check=True, capture_output=True)


def merged(place: Place) -> None:
    """The merge is made, and nothing is left to do."""
    log = subprocess.run(["git", "log", "--format=%p", "-1"], cwd=place.cwd, capture_output=True, text=True, check=True)
    assert len(log.stdout.split()) == 2, "no merge commit"
    status = subprocess.run(["git", "status", "--porcelain"], cwd=place.cwd, capture_output=True, text=True, check=True)
    assert status.stdout == ""


merge = CodingTask(
    "resolve a merge conflict",
    prepare=conflict,
    turns=(
        uses(tool_call("bash", command="git status --short")),
        expecting("UU list.txt", uses(tool_call("read", path="list.txt"))),
        expecting(
            "<<<<<<<",
            uses(
                tool_call(
                    "edit",
                    path="list.txt",
                    old_string="<<<<<<< HEAD\n2\n=======\nTWO\n>>>>>>> side\n",
                    new_string="2 (TWO)\n",
                )
            ),
        ),
        uses(tool_call("bash", command="git add list.txt && git commit -qm 'Merge side' && git status --short")),
        says("DONE"),
    ),
    left={"list.txt": "one\n2 (TWO)\nthree\n"},
    check=merged,
)

# 5: CRLF, a byte order mark, and line ends of both kinds

lines = CodingTask(
    "edit CRLF and BOM files",
    files={
        "crlf.txt": b"\xef\xbb\xbffirst\r\nsecond\r\nthird\r\n",
        "mixed.txt": b"a\r\nb\nc \r\n",
        "bare.txt": b"x\ny",
    },
    turns=(
        uses(
            tool_call("edit", path="crlf.txt", old_string="first\nsecond\n", new_string="first\n1.5\nSECOND\n"),
            tool_call("edit", path="mixed.txt", old_string="b\n", new_string="B\n"),
            tool_call("edit", path="bare.txt", old_string="y", new_string="z"),
        ),
        lambda call: (
            says("DONE") if all("not" not in block.content for block in call.results) else says(str(call.results))
        ),
    ),
    left={
        "crlf.txt": b"\xef\xbb\xbffirst\r\n1.5\r\nSECOND\r\nthird\r\n",
        "mixed.txt": b"a\r\nB\nc \r\n",
        "bare.txt": b"x\nz",
    },
)

# 6: a search through 200 files

search = CodingTask(
    "search 200 files",
    files={
        **{f"lib/m{number // 20}/f{number}.py": f"value_{number} = {number}\n" for number in range(200)},
        ".gitignore": "build/\n",
        "build/f137.py": "value_137 = 137\n",
        ".git/HEAD": "ref: refs/heads/main\n",
    },
    turns=(
        uses(tool_call("grep", pattern=r"value_1[3]7\b"), tool_call("find", pattern="f13*.py")),
        lambda call: (
            uses(tool_call("edit", path=result(call).split(":")[0], old_string="= 137", new_string="= 0"))
            if "build" not in result(call) and len(result(call, 1).split()) == 11
            else says(f"SEARCHED WRONGLY: {call.results}")
        ),
        says("DONE"),
    ),
    left={"lib/m6/f137.py": "value_137 = 0\n"},
)

# 7: a server that keeps running, to be started, asked and stopped

SERVER = """import http.server
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
with open("port.new", "w") as file:
    file.write(str(server.server_port))
__import__("os").rename("port.new", "port")
server.serve_forever()
"""
ASK = "import urllib.request as u; print('STATUS', u.urlopen(f'http://127.0.0.1:{open(\"port\").read()}/page').status)"


def stopped(place: Place) -> None:
    """The server is gone."""
    process = int((place.cwd / "pid").read_text())
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return
    state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    assert state == "Z", "the server still runs"


server = CodingTask(
    "start and stop a long-running server",
    files={"server.py": SERVER, "page": "hello"},
    turns=(
        uses(
            tool_call(
                "bash",
                command=f"{PYTHON} server.py & echo $! > pid; while [ ! -s port ]; do sleep 0.02; done; echo started",
            )
        ),
        expecting(
            "started", uses(tool_call("bash", command=f'{PYTHON} -c "$(cat ask.py)"'), tool_call("read", path="page"))
        ),
        expecting("STATUS 200", uses(tool_call("bash", command="kill $(cat pid)"))),
        says("DONE"),
    ),
    prepare=lambda place: place.write({"ask.py": ASK}),
    check=stopped,
    made=("pid", "port"),
)

# 8: a binary file on the way

binary = CodingTask(
    "a binary file met on the way",
    files={"data.bin": bytes(range(256)) * 4, "notes.txt": "the answer is in data.bin\n"},
    turns=(
        uses(tool_call("read", path="data.bin"), tool_call("read", path="notes.txt")),
        lambda call: (
            uses(tool_call("bash", command="od -An -tx1 -N4 data.bin"))
            if "binary" in result(call) and "the answer" in result(call, 1)
            else says(f"READ WRONGLY: {call.results}")
        ),
        expecting("00 01 02 03", says("DONE")),
    ),
)

# 9: an edit that fails, and is mended by what its error shows

mended = CodingTask(
    "mend an edit that did not match",
    files={"app.py": "def f():\n\treturn 1\n\n\ndef g():\n\treturn 1\n"},
    turns=(
        uses(
            tool_call(
                "edit", path="app.py", old_string="def f():\n    return 1\n", new_string="def f():\n    return 2\n"
            )
        ),
        lambda call: (
            uses(tool_call("edit", path="app.py", old_string="\treturn 1\n", new_string="\treturn 2\n"))
            if "tab" in result(call).lower()
            else says(f"NO HINT: {result(call)}")
        ),
        lambda call: (
            uses(
                tool_call(
                    "edit", path="app.py", old_string="def f():\n\treturn 1\n", new_string="def f():\n\treturn 2\n"
                )
            )
            if "2" in result(call)
            else says(f"NOT REFUSED: {result(call)}")
        ),
        says("DONE"),
    ),
    left={"app.py": "def f():\n\treturn 2\n\n\ndef g():\n\treturn 1\n"},
)

# 10: output that is too long, of which the rest is read


def read_the_rest(call: ModelCall) -> Answer:
    """Read the beginning of the whole output, whose path the result names."""
    path = next(
        (word.strip("[].,:;()") for word in result(call).split() if word.strip("[].,:;()").startswith("/")), None
    )
    if path is None or "line 6000" not in result(call) or "line 17\n" in result(call):
        return says(f"NOT CUT AS EXPECTED: {result(call)[-300:]}")
    return uses(tool_call("read", path=path, offset=17, limit=1))


output = CodingTask(
    "read what was cut from a long output",
    turns=(
        uses(tool_call("bash", command="i=0; while [ $i -lt 6000 ]; do i=$((i+1)); echo line $i; done")),
        read_the_rest,
        expecting("line 17", says("DONE")),
    ),
)

# 11: several calls on one file in one turn, in their order, beside others

many = CodingTask(
    "many calls in one turn",
    files={"count.txt": "0\n", "a.txt": "a\n", "b.txt": "b\n"},
    turns=(
        uses(
            tool_call("edit", path="count.txt", old_string="0", new_string="1"),
            tool_call("read", path="a.txt"),
            tool_call("edit", path="./count.txt", old_string="1", new_string="2"),
            tool_call("write", path="c.txt", content="c\n"),
            tool_call("edit", path="count.txt", old_string="2", new_string="3"),
        ),
        lambda call: says("DONE") if "a" in result(call, 1) and len(call.results) == 5 else says(str(call.results)),
    ),
    left={"count.txt": "3\n", "c.txt": "c\n"},
)

# 12: move code into a new file, remove the old one, mind the mode and a link


def linked(place: Place) -> None:
    """A script that may be executed, and a link to it."""
    (place.cwd / "bin/tool.sh").chmod(0o755)
    (place.cwd / "tool").symlink_to("bin/tool.sh")


moved = CodingTask(
    "restructure scripts and keep modes and links",
    files={"bin/tool.sh": "#!/bin/sh\necho old\n", "old.sh": "#!/bin/sh\necho gone\n"},
    prepare=linked,
    turns=(
        uses(tool_call("edit", path="tool", old_string="echo old", new_string="echo new")),
        uses(tool_call("bash", command="rm old.sh && ./tool && ls -l tool")),
        expecting("new", says("DONE")),
    ),
    left={"bin/tool.sh": "#!/bin/sh\necho new\n", "tool": "#!/bin/sh\necho new\n", "old.sh": None},
    check=lambda place: _is_link_to_executable(place.cwd / "tool"),
)


def _is_link_to_executable(path: Path) -> None:
    assert path.is_symlink(), "the link became a file"
    assert path.stat().st_mode & 0o777 == 0o755


TASKS = (fix, rename, feature, merge, lines, search, server, binary, mended, output, many, moved)
