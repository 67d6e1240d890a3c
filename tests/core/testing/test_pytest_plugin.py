"""The pytest plugin as a stranger has it: in a project of their own, with nothing configured."""

import os
import re
import subprocess
import sys
from pathlib import Path

TESTS = """
from beyond_ai.testing import response
from beyond_ai.testing.conformance import ToolConformance
from urllib.request import Request, urlopen


def test_a_request(beyond_gateway, beyond_upstream):
    gateway = beyond_gateway(log_level="debug", pool_keys={"openai": "pool-of-the-test-fake"})
    beyond_upstream.answer(response(200, [(b"content-type", b"application/json")], b"{}"))
    headers = {"authorization": f"Bearer {gateway.key}"}
    with urlopen(Request(f"{gateway.url}/v1/responses", data=b'{"model":"m"}', headers=headers)) as answer:
        request_id = answer.headers["x-beyond-request-id"]
    assert gateway.wait_usage_event(request_id)["model"] == "m"
    (request,) = beyond_upstream.requests
    assert request.header(b"authorization") == b"Bearer pool-of-the-test-fake"


class TestLs(ToolConformance):
    plugin = "ls"
    shown_bytes = 10
"""

NOTHING = """
import sys


def test_nothing():
    assert not [name for name in sys.modules if name.partition(".")[0] in ("beyond_ai", "fastapi", "httpx", "orjson")]
"""


PLUGINS = (Path(__file__).parents[3] / "docs" / "plugins.md").read_text()
CODE = r"```python\n((?:.*\n)*?)```$"
DOCUMENTED = "\n".join(re.findall(f"^{CODE}", PLUGINS.partition("## Testing yours")[2], re.MULTILINE))


def install_examples(folder: Path) -> Path:
    """The documented plugins that the documented tests are about, as distributions on a path."""
    metadata = folder / "site" / "theirs-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    entry_points = ""
    for kind, name in (("tool", "add"), ("sink", "ledger")):
        (source,) = re.findall(f"^<!-- example: {kind} {name} -->\n{CODE}", PLUGINS, re.MULTILINE)
        (folder / "site" / f"their_{name}.py").write_text(source)
        entry_points += f"[beyond_ai.{kind}s]\n{name} = their_{name}\n"
    (metadata / "entry_points.txt").write_text(entry_points)
    return folder / "site"


def ran(folder: Path, tests: str, *words: str, site: Path | None = None) -> subprocess.CompletedProcess[str]:
    (folder / "test_theirs.py").write_text(tests)
    program = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", *words, "test_theirs.py"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AI_", "PYTEST_"))}
    if site is not None:
        environ["PYTHONPATH"] = str(site)
    return subprocess.run(program, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False)


def test_the_documented_tests_pass_and_a_rule_that_is_broken_is_named(tmp_path: Path) -> None:
    done = ran(tmp_path, DOCUMENTED + TESTS, site=install_examples(tmp_path))
    assert re.search(r"1 failed, [34]\d passed", done.stdout), done.stdout + done.stderr
    assert "the tool `ls` breaks a rule of its kind: name, description and schema cost at most 10 bytes" in done.stdout
    assert "written in beyond_ai/spec/tool.py: Tool.arguments, Tool.description" in done.stdout
    assert "its schema is valid and small. It goes with every request" in done.stdout


def test_it_imports_nothing_that_is_not_asked_for(tmp_path: Path) -> None:
    done = ran(tmp_path, NOTHING)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_its_fixtures_explain_themselves(tmp_path: Path) -> None:
    done = ran(tmp_path, NOTHING, "--fixtures")
    for name in ("beyond_gateway", "beyond_upstream", "beyond_model", "beyond_agent"):
        assert re.search(rf"^{name} -- .*\n +`?\w", done.stdout, re.MULTILINE), done.stdout


def test_the_kit_needs_no_pytest() -> None:
    program = "import sys, beyond_ai.testing; print([name for name in ('pytest', 'hypothesis') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "[]"
