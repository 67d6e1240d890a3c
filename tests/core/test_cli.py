"""The command line as a process: what it imports, prints and returns."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

RUN = "from beyond_ai.cli import main; main()"


def run(*arguments: str, cwd: Path, code: str = RUN, **environ: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AI_")}
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        cwd=cwd,
        env=inherited | environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("option", ["--help", "-h", "--version"])
def test_help_and_version_import_nothing_heavy(tmp_path: Path, option: str) -> None:
    code = (
        "import sys\nfrom beyond_ai.cli import main\ntry: main()\n"
        "finally: print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = run(option, cwd=tmp_path, code=code)
    assert done.returncode == 0
    heavy = {"fastapi", "uvicorn", "httpx", "pydantic", "pydantic_settings", "nats", "rich", "starlette", "openai"}
    heavy |= {"asyncio", "nacl", "ssl"}
    assert heavy & set(done.stderr.replace("'", "").strip("[]\n").split(", ")) == set()


def test_help_lists_our_commands_with_what_they_do(tmp_path: Path) -> None:
    text = run("--help", cwd=tmp_path).stdout
    for line in (
        "gateway  Run the gateway.",
        "agent    Do coding tasks",
        "plugins  List installed",
        "config   Show the configuration",
        "keys ",
    ):
        assert line in text


def test_help_works_beside_a_broken_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("listen = [")
    assert run("--help", cwd=tmp_path).returncode == 0
    listed = run("plugins", "list", cwd=tmp_path)
    assert listed.returncode == 0
    assert "warning: config.toml: not valid TOML" in listed.stderr
    assert "openai" in listed.stdout
    used = run("keys", "--help", cwd=tmp_path)
    assert (used.returncode, used.stderr.splitlines()[0][:32]) == (2, "error: config.toml: not valid TO")


def test_version_is_the_distributions(tmp_path: Path) -> None:
    from importlib.metadata import version

    assert run("--version", cwd=tmp_path).stdout == f"beyond-ai {version('beyond-ai')}\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_is_closed_is_dev_null(tmp_path: Path, closed: str) -> None:
    code = "import os\nfrom beyond_ai.cli import main\ntry: main()\nfinally: [os.fstat(number) for number in range(3)]"
    command = [sys.executable, "-P", "-c", code, "--version"]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command],
        cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_command_names_the_nearest(tmp_path: Path) -> None:
    done = run("gatewy", cwd=tmp_path)
    assert done.returncode == 2
    assert "No such command 'gatewy'. Did you mean 'gateway'?" in done.stderr


def test_config_show_says_value_and_source_and_no_secret(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('rate_limit_rps = 5\n[pool_keys]\nxai = "fake-file-key"\n')
    environ = {"AI_POOL_KEY_GROQ": "fake-env-key", "AI_LISTEN": ":1"}
    shown = run("config", "show", "--json", cwd=tmp_path, **environ)
    content = json.loads(shown.stdout)
    assert content["file"] == "config.toml"
    assert content["values"]["listen"] == {"value": "0.0.0.0:1", "source": "env AI_LISTEN"}
    assert content["values"]["rate_limit_rps"] == {"value": 5, "source": "file"}
    assert content["values"]["byo_rate_limit_rps"] == {"value": 1000, "source": "default"}
    assert content["values"]["pool_keys.groq"] == {"value": ["***"], "source": "env AI_POOL_KEY_GROQ"}
    table = run("config", "show", cwd=tmp_path, **environ).stdout
    assert ["pool_keys.xai", '["***"]', "file"] in [line.split() for line in table.splitlines()]
    assert table.splitlines()[-1] == "file: config.toml"
    assert "fake-" not in shown.stdout + table


def test_config_check_is_ok_or_names_every_problem(tmp_path: Path) -> None:
    done = run("config", "check", cwd=tmp_path)
    assert (done.stdout, done.returncode) == ("ok\n", 0), done.stderr
    (tmp_path / "bad.toml").write_text("listn = 1\nconnect_timeout_secs = 0\n")
    done = run("config", "check", "-c", "bad.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: bad.toml: listn: unknown key; did you mean `listen`?",
        "error: bad.toml: connect_timeout_secs: should be greater than 0",
        "hint: `config.example.toml` shows every key with its default",
    ]


def test_debug_shows_where_an_error_came_from(tmp_path: Path) -> None:
    done = run("--debug", "config", "check", "-c", "nowhere.toml", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-2] == "error: nowhere.toml: no such file"


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    done = run("plugins", "list", "--kind", "sinks", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: no kind is called sinks; did you mean `sink`?\n")


def test_on_a_terminal_the_table_is_fitted_to_it(tmp_path: Path) -> None:
    import pty

    main, terminal = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AI_")}
    with open(main, "rb", buffering=0) as screen:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", RUN, "plugins", "list", "--kind", "scanner"],
            cwd=tmp_path,
            env=environ | {"COLUMNS": "60", "TERM": "xterm"},
            stdout=terminal,
            stderr=subprocess.DEVNULL,
        )
        assert process.wait(timeout=30) == 0
        os.close(terminal)
        text = screen.read(65536).decode()
    assert "\x1b[1mkind" in text
    assert "python" in text


def test_profile_startup_says_what_was_imported_and_changes_nothing_else(tmp_path: Path) -> None:
    plain = run("plugins", "list", "--kind", "sink", "--json", cwd=tmp_path)
    for arguments in (("--profile-startup", "plugins", "list"), ("plugins", "list", "--profile-startup")):
        done = run(*arguments, "--kind", "sink", "--json", cwd=tmp_path)
        (row,), (expected,) = json.loads(done.stdout), json.loads(plain.stdout)
        assert (row | {"load_ms": 0}, done.returncode) == (expected | {"load_ms": 0}, 0)
        head, modules, distributions = done.stderr.strip().split("\n\n")
        assert re.fullmatch(r"imports: \d+ modules, [\d.]+ ms", head)
        times = {name: (float(own), float(whole)) for own, whole, name in map(str.split, modules.splitlines()[1:])}
        own, whole = times["beyond_ai.cli"]
        assert 0 < own < whole
        assert whole >= times["typer"][1], "typer is imported by it"
        shares = {line[21:]: float(line[:9]) for line in distributions.splitlines()[1:]}
        assert {"Python's own", "beyond-ai", "typer", "stevedore"} <= set(shares)
        assert sum(shares.values()) == pytest.approx(float(head.split()[3]), abs=2)


def test_profile_startup_keeps_the_exit_code(tmp_path: Path) -> None:
    done = run("config", "check", "-c", "nowhere.toml", "--profile-startup", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: nowhere.toml: no such file\n")
    assert "\nimports: " in done.stderr
