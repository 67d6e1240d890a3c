"""What a shell command may destroy, told from its text."""

import shlex
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beyond_ai.agent.policy.harm import UNTOLD
from beyond_ai.agent.policy.hazard import read_command
from beyond_ai.agent.policy.shell_words import Simple, literal, steps

CWD = PurePosixPath("/w")
ENVIRONMENT = {"HOME": "/h", "OUT": "/o", "TWO": "a b"}
PIECES = st.sampled_from(
    [
        *"'\"`$(){};&|<>\\#~*?[]=! \n\t-",
        "rm",
        "rm -rf",
        "a",
        "$x",
        "$(",
        "<<E",
        "\nE\n",
        "find",
        "-delete",
        "git clean -f",
    ]
)


def harms(command: str) -> list[str]:
    """What COMMAND may do: its loss and its targets, a `*` behind those that are patterns, or a sure reason."""
    return [
        harm.certain
        or " ".join([harm.loss, *(f"{target.path}{' *' if target.pattern else ''}" for target in harm.targets)])
        for harm in read_command(command, CWD, ENVIRONMENT).harms
    ]


def made(command: str) -> list[str]:
    return [target.path for target in read_command(command, CWD, ENVIRONMENT).made]


@pytest.mark.parametrize(
    ("command", "found"),
    [
        # what is deleted, however it is written
        ("rm -rf build", ["deleted /w/build"]),
        ("rm -f -- -x 'a b' c\\ d", ["deleted /w/-x /w/a b /w/c d"]),
        ("\\rm x; /bin/rm y && command rm z || 'r'm q", [f"deleted /w/{name}" for name in "xyzq"]),
        ("rm *.log '*'.txt", ["deleted /w/*.log * /w/*.txt"]),
        ("rm {a,b}/{c,d}", ["deleted /w/a/c /w/a/d /w/b/c /w/b/d"]),
        ("rm ~/x $HOME/y \"$OUT\" ${OUT}z '$OUT'", ["deleted /h/x /h/y /o /oz /w/$OUT"]),
        ("rm $TWO", ["deleted /w/a /w/b"]),
        ('rm "$TWO"', ["deleted /w/a b"]),
        ("x=/y; rm $x", ["deleted /y"]),
        ("export x=/y && rm $x", ["deleted /y"]),
        ("for f in a b; do rm -f \"$f\"; done", ["deleted /w/a /w/b"]),
        ("if test -f x; then rm x; else { rm y; }; fi", ["deleted /w/x", "deleted /w/y"]),
        ("while true; do ! rm x; done", ["deleted /w/x"]),
        ("shred -n 3 x; unlink y; truncate -s 0 z", ["deleted /w/x", "deleted /w/y", "deleted /w/z"]),
        ("truncate -s +10 x", []),
        ("mkfs.ext4 /dev/sdz", ["deleted /dev/sdz"]),
        ("rsync -a --delete src/ ../dst", ["deleted /w/../dst"]),
        # where
        ("cd sub && rm x", ["deleted /w/sub/x"]),
        ("(cd /sub; rm x); rm y", ["deleted /sub/x", "deleted /w/y"]),
        ("cd; rm x", ["deleted /h/x"]),
        ("cd - && rm x", [UNTOLD]),
        ("rm $PWD/x $(pwd)/y", ["deleted /w/x /w/y"]),
        # through what
        ("sudo -u root rm /etc/x", ["deleted /etc/x"]),
        ("env A=1 nice -n 5 timeout -k 1 9 rm x", ["deleted /w/x"]),
        ("bash -ec 'cd /q; rm x'; sh -c \"rm $OUT/y\"", ["deleted /q/x", "deleted /o/y"]),
        ("bash <<'E'\nrm x\nE\nrm y", ["deleted /w/x", "deleted /w/y"]),
        ("eval 'rm x'; trap 'rm y' EXIT", ["deleted /w/x", "deleted /w/y"]),
        ("echo $(rm x) \"`rm y`\" <(rm z)", ["deleted /w/x", "deleted /w/y", "deleted /w/z"]),
        ("find . ../b -name '*.pyc' -delete", ["deleted /w/. /w/../b"]),
        ("find -type f -exec rm {} +", ["deleted /w/."]),
        ("find a -execdir sh -c 'rm $1' ';'", ["deleted /w/a"]),
        ("find . -type d -empty -delete", []),
        ("find a -name x | xargs -0 rm", ["deleted /w/a"]),
        ("git ls-files | xargs rm", ["it deletes what another command lists"]),
        # what cannot be told
        ('rm -rf "$UNSET/"', [UNTOLD]),
        ("rm -rf ${x%/*} $1 $(cat list) ~other/x", [UNTOLD]),
        ("read f; rm $f", [UNTOLD]),
        ("rm {1..9}", [UNTOLD]),
        ("rm 'a", ["it cannot be read (' is missing), and has `rm` in it"]),
        ("echo 'a", []),
        # what the command has made itself
        ("d=$(mktemp -d); cd $d; rm -rf * $d/x \"$d\"", []),
        ("d=$(mktemp -d); rm -rf $d/..", [UNTOLD]),
        # git
        ("git -C sub reset -q --hard HEAD~1", ["reset /w/sub/."]),
        ("git reset --soft HEAD~1; git reset a", []),
        ("git clean -fd; git clean -df src", ["untracked /w/.", "untracked /w/src"]),
        ("git clean -nfd", []),
        ("git checkout -- . ; git checkout a", ["changes /w/.", "changes /w/a"]),
        ('git checkout "$BRANCH"; git checkout -b new', []),
        ('git checkout -- "$FILES"', [UNTOLD]),
        ("git checkout -f main; git switch --discard-changes main", ["reset /w/.", "reset /w/."]),
        ("git restore --staged a; git restore -s HEAD a", ["changes /w/a"]),
        ("git rm -f a; git rm --cached -f b; git rm c", ["changes /w/a"]),
        ("git stash; git stash pop; git stash drop", ["work that was stashed is thrown away"]),
        ("git worktree remove --force ../wt", ["deleted /w/../wt"]),
        ("git commit -m 'rm -rf /'", []),
        # what stands in the place of other things
        ("echo > /etc/passwd 2>/dev/null", ["overwritten /etc/passwd", "overwritten /dev/null"]),
        ("echo >> /etc/passwd", []),
        ("> a; : > b", ["deleted /w/a", "deleted /w/b"]),
        ("cp a b ../c", ["overwritten /w/../c /w/../c/a /w/../c/b"]),
        ("mv ../a b", ["overwritten /w/b /w/b/a", "moved /w/../a"]),
        ("dd if=/dev/zero of=/dev/sdz; tee -a x", ["overwritten /dev/sdz"]),
        # words that only look like it
        ("echo rm -rf / # rm -rf /", []),
        ("cat <<E > notes\ndon't rm it; rm -rf /\nE\npytest", ["overwritten /w/notes"]),
        ("grep -rn 'rm -rf' . | head; npm run rm", []),
    ],
)  # fmt: skip
def test_what_a_command_may_destroy(command: str, found: list[str]) -> None:
    assert harms(command) == found


def test_only_names_that_find_looks_for_are_meant() -> None:
    assert [harm.names for harm in read_command("find . -name '*.pyc' -iname x -delete", CWD, {}).harms] == [
        ("*.pyc", "x")
    ]
    for loose in ("! -name x", "-name x -o -name y"):
        assert [harm.names for harm in read_command(f"find . {loose} -delete", CWD, {}).harms] == [()]


def test_what_a_command_makes() -> None:
    command = (
        "mkdir -p a; touch b; echo > c; echo >> d; cp x e; git clone https://git.example/f.git; git worktree add g"
    )
    assert {"/w/a", "/w/b", "/w/c", "/w/d", "/w/e", "/w/f", "/w/g"} <= set(made(command))


def test_a_command_in_a_command_in_a_command_is_a_hazard() -> None:
    deep = "rm x"
    for _ in range(9):
        deep = f"bash -c {shlex.quote(deep)}"
    assert "nested too deeply" in harms(deep)[0]
    assert harms("echo " + "$(" * 50_000 + "rm x")[0].startswith("it cannot be read")
    assert harms(f"rm {'{a,b}' * 40}") == [UNTOLD]


@given(st.lists(PIECES, max_size=30).map("".join))
def test_no_text_is_too_odd(text: str) -> None:
    read_command(text, CWD, ENVIRONMENT)


NAMES = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1), min_size=1)


@given(NAMES)
def test_words_are_those_that_were_quoted(words: list[str]) -> None:
    (step,) = steps(shlex.join(["true", *words]))
    assert isinstance(step, Simple)
    assert [literal(word) for word in step.words] == ["true", *words]


@given(NAMES)
def test_nothing_that_rm_is_given_is_overlooked(names: list[str]) -> None:
    (harm,) = read_command(f"cd /q && sudo rm -rf -- {shlex.join(names)}", CWD, {}).harms
    assert [target.path for target in harm.targets] == [
        name if name.startswith("/") else f"/q/{name}" for name in names
    ]
