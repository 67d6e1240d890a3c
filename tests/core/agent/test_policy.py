"""Fences, denials, questions, and the environment of children."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from beyond_ai import Allow, Block, ConfigError, Tool, ToolContext, ToolError, ToolResult
from beyond_ai.agent.policy import Approval, Fence, Gate, child_environment, parse_rules
from beyond_ai.agent.policy.approval import Answer, Question, scope_of
from beyond_ai.agent.policy.rules import MODES, Rules, parse_mode
from beyond_ai.spec.conversation import ToolUse


class Target(BaseModel):
    path: str


async def nothing(arguments: object, context: ToolContext) -> ToolResult:
    return ToolResult("")


READ = Tool(name="read", description="", arguments=Target, run=nothing, read_only=True)
WRITE = Tool(name="write", description="", arguments=Target, run=nothing, writes=lambda arguments: str(arguments.path))
BASH = Tool(name="bash", description="", arguments=Target, run=nothing, exclusive=True)
TOOLS = {tool.name: tool for tool in (READ, WRITE, BASH)}


def call(name: str, **arguments: object) -> ToolUse:
    return ToolUse(id="1", name=name, input=arguments)


def refused(rules: Rules, path: Path, scratch: Path, *, write: bool = False) -> str | None:
    try:
        Fence(rules, scratch).check(path, write=write)
    except ToolError as error:
        return str(error)
    return None


def test_the_fence_keeps_links_and_dots_inside(tmp_path: Path) -> None:
    root, outside, scratch = tmp_path / "root", tmp_path / "outside", tmp_path / "scratch"
    for folder in (root, outside, scratch):
        folder.mkdir()
    (root / "link").symlink_to(outside)
    (root / "good").symlink_to(root / "real")
    (tmp_path / "root-two").mkdir()
    rules = parse_rules(cwd=tmp_path, root=root)
    for inside in (root, root / "a" / "b", root / "good", root / ".." / "root" / "x"):
        assert refused(rules, inside, scratch) is None
    for path in (root / "link" / "x", outside, root / ".." / "x", tmp_path / "root-two" / "x", Path("/etc/passwd")):
        assert "may be read (--root)" in str(refused(rules, path, scratch))
        assert "may be written (--root)" in str(refused(rules, path, scratch, write=True))
    assert refused(rules, scratch / "output.log", scratch) is None
    assert refused(rules, scratch / "output.log", scratch, write=True)


@pytest.mark.parametrize(
    ("glob", "path", "denied"),
    [
        (".env", "a/.env", True),
        (".env", "a/.env/x", True),
        (".env", "a/.environment", False),
        ("*.pem", "keys/server.pem", True),
        ("*.pem", "keys/server.pem.txt", False),
        ("secrets/*", "secrets/deep/x", True),
        ("secrets", "other/secrets/x", True),
        ("./secrets", "other/secrets/x", False),
        ("secrets/", "secrets/x", True),
        ("/etc/*", "a", False),
        ("a/[ab].txt", "a/b.txt", True),
    ],
)
def test_denied_paths(tmp_path: Path, glob: str, path: str, denied: bool) -> None:
    rules = parse_rules(cwd=tmp_path, paths=[glob])
    found = refused(rules, tmp_path / path, tmp_path)
    assert (found is not None) is denied
    if found:
        assert f"`{glob}`" in found


def test_a_denied_path_is_denied_through_a_link(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("")
    (tmp_path / "innocent").symlink_to(tmp_path / ".env")
    assert refused(parse_rules(cwd=tmp_path, paths=[".env"]), tmp_path / "innocent", tmp_path)


def test_denied_tools_and_commands(tmp_path: Path) -> None:
    rules = parse_rules(
        cwd=tmp_path, tools=["write"], commands=[r"git\s+push", "RM -rf"], known_tools=["write", "bash"]
    )
    assert "--deny-tool" in str(rules.denial("write", {"path": "x"}))
    assert r"git\s+push" in str(rules.denial("bash", {"command": "cd x && git  push -f"}))
    assert rules.denial("bash", {"command": "rm -RF x"})
    assert rules.denial("bash", {"command": "ls"}) is None
    assert rules.denial("bash", {"command": 7}) is None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"commands": ["(rm"]}, "--deny-bash-pattern (rm: is no regular expression"),
        ({"commands": [" "]}, "--deny-bash-pattern: is empty"),
        ({"paths": [""]}, "--deny-path: is empty"),
        ({"paths": ["a[b"]}, "--deny-path a[b: has an unbalanced bracket"),
        ({"tools": ["wriet"]}, "--deny-tool wriet: no such tool; did you mean `write`?"),
        ({"root": Path("/nowhere/at/all")}, "--root /nowhere/at/all: is no folder"),
    ],
)
def test_a_rule_that_is_not_understood_stops_the_start(
    tmp_path: Path, flags: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_rules(cwd=tmp_path, known_tools=["write"], **flags)  # type: ignore[arg-type]
    assert raised.value.message.startswith(message)
    assert raised.value.exit_code == 2


def test_modes() -> None:
    assert [parse_mode(mode) for mode in MODES] == list(MODES)
    with pytest.raises(ConfigError, match="did you mean `writes`"):
        parse_mode("write")
    asked = {mode: [name for name in TOOLS if Approval(mode, TOOLS, None).must_ask(name)] for mode in MODES}
    assert asked == {"never": [], "writes": ["write", "bash"], "all": ["read", "write", "bash"]}


async def test_where_nobody_can_be_asked_it_is_a_no_at_once() -> None:
    approval = Approval("writes", TOOLS, None)
    verdict = await Gate(Rules(), approval).before_tool_call(call("write", path="x"))
    assert isinstance(verdict, Block)
    assert "--approve writes asks before `write` runs, and nobody can be asked here" in verdict.reason
    assert approval.unanswered == 1
    assert await Gate(Rules(), approval).before_tool_call(call("read", path="x")) == Allow()


async def test_who_is_asked_about_a_command_is_told_that_the_root_does_not_bind_it(tmp_path: Path) -> None:
    approval = Approval("writes", TOOLS, None)
    gate = Gate(parse_rules(cwd=tmp_path, root=tmp_path), approval)
    assert "not bound by --root" in str(await gate.before_tool_call(call("bash", command="ls")))
    assert "not bound" not in str(await gate.before_tool_call(call("write", path="x")))


async def test_a_rule_denies_before_anybody_is_asked(tmp_path: Path) -> None:
    rules = parse_rules(cwd=tmp_path, commands=["rm"])
    gate = Gate(rules, Approval("all", TOOLS, None))
    assert "--deny-bash-pattern" in str(await gate.before_tool_call(call("bash", command="rm x")))


async def test_answers_are_remembered_by_what_they_cover() -> None:
    answers: list[Answer] = ["session", "no", "once", "no"]
    asked: list[str] = []

    async def person(question: Question) -> Answer:
        asked.append(question.scope)
        return answers.pop(0)

    approval = Approval("writes", TOOLS, person)
    for path, allowed in [("a", True), ("a", True), ("b", False), ("b", True), ("b", False)]:
        assert await approval.ask(call("write", path=path), "why") is allowed
    assert asked == ["write a", "write b", "write b", "write b"]
    approval.forget()
    answers.append("no")
    assert not await approval.ask(call("write", path="a"), "why")


async def test_a_person_who_cannot_be_reached_has_said_no() -> None:
    async def broken(question: Question) -> Answer:
        raise OSError("the terminal is gone")

    assert "the terminal is gone" in str(await Approval("all", TOOLS, broken).denial(call("bash", command="ls"), "why"))


def test_scopes() -> None:
    assert scope_of(call("bash", command="make test"), BASH) == "bash: make test"
    assert scope_of(call("write", path="x"), WRITE) == "write x"
    assert scope_of(call("read", path="x"), READ) == "read"
    assert scope_of(call("other"), None) == "other"


def test_children_do_not_get_the_keys() -> None:
    environ = {
        "PATH": "/bin",
        "AI_AGENT_KEY": "bai_fake",
        "MY_COPY": "Bearer bai_fake",
        "AI_POOL_KEY_OPENAI": "sk-fake",
        "AI_SIGNING_KEY_1": "x",
        "AI_SIGNING_SEED": "x",
        "AI_ADMIN_TOKEN": "x",
        "AI_NATS_CREDS": "x",
        "AI_NATS_URL": "nats://user:fake@host",
        "AI_GATEWAY_URL": "http://gateway",
        "LISTEN_FDS": "1",
    }
    assert child_environment(environ, "bai_fake") == {"PATH": "/bin", "AI_GATEWAY_URL": "http://gateway"}
    assert child_environment({"A": "fake"}, "fake") == {"A": "fake"}
