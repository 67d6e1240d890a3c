"""`beyond-ai` with other people's distributions installed, good and broken, as an operator sees it."""

import json
from typing import Any

import pytest
from tests.plugins_installed.conftest import InstalledPlugins

REASONS = {
    "import-error": "needs module a_module_that_is_nowhere, which is not installed",
    "exit": "called sys.exit('giving up') at import",
    "assert": "import failed: AssertionError: arithmetic (acme_assert, line 1)",
    "no-hook": "implements no hook of beyond_ai.providers; expected a function `beyond_providers` marked with hookimpl",
    "signature": "wrong signature: ",
    "unknown-hook": "unknown hook `beyond_providrs`; did you mean `beyond_providers`?",
    "newer": "needs plugin API 99, this is 1: upgrade beyond-ai",
    "raises": "`beyond_providers` raised OSError: no network (acme_raises, line 3)",
    "clash": "provider plugins of acme-broken 0.1 and beyond-ai ",
    "shatter": "import failed: ZeroDivisionError: division by zero (acme_command, line 1)",
}


def listed(installed: InstalledPlugins, *arguments: str, **environ: str) -> dict[tuple[str, str], dict[str, Any]]:
    done = installed.run("plugins", "list", "--json", *arguments, **environ)
    assert done.returncode == 0, done.stderr
    return {(row["kind"], row["name"]): row for row in json.loads(done.stdout)}


def test_list_shows_every_plugin_with_its_state_and_reason(installed: InstalledPlugins) -> None:
    rows = listed(installed)
    for name, reason in REASONS.items():
        row = rows["command" if name == "shatter" else "provider", name]
        assert (row["state"], row["distribution"], row["version"]) == ("failed", "acme-broken", "0.1")
        assert row["reason"].startswith(reason)
    good = rows["provider", "acme"]
    assert good["load_ms"] > 0
    assert {key: value for key, value in good.items() if key != "load_ms"} == {
        "kind": "provider",
        "name": "acme",
        "provides": ["acme"],
        "active": [],
        "distribution": "acme-provider",
        "version": "1.2.3",
        "built_in": False,
        "state": "loaded",
        "reason": "",
        "target": "acme_provider",
    }
    assert rows["sink", "acme"]["provides"] == ["tally"]
    assert rows["provider", "openai"]["state"] == "loaded"


def test_list_is_one_whole_line_a_plugin_for_other_programs(installed: InstalledPlugins) -> None:
    done = installed.run("plugins", "list", "--kind", "provider", COLUMNS="40")
    header, *lines = done.stdout.splitlines()
    assert header.split() == ["kind", "name", "provides", "origin", "version", "load", "ms", "state"]
    (line,) = [line for line in lines if " no-hook " in line]
    *row, milliseconds, state = line.split(maxsplit=6)
    assert row == ["provider", "no-hook", "-", "acme-broken", "0.1"]
    assert float(milliseconds) > 0
    assert state == f"failed: {REASONS['no-hook']}"
    assert ["provider", "groq", "groq", "built-in"] in [line.split()[:4] for line in lines]
    assert "the plugin talks while it loads" in done.stderr


def test_check_fails_and_names_each_failure(installed: InstalledPlugins) -> None:
    done = installed.run("plugins", "check")
    assert done.returncode == 1
    for name, reason in REASONS.items():
        kind = "command" if name == "shatter" else "provider"
        assert f"{kind}:{name} (acme-broken 0.1): {reason}" in done.stdout


@pytest.mark.parametrize(
    ("config", "environ"),
    [
        ('[plugins]\nallow = ["acme-provider"]', {}),
        (f"[plugins]\ndisabled = {json.dumps(list(REASONS))}", {}),
        ("", {"AI_PLUGINS_DISABLED": ",".join(REASONS)}),
        ("", {"AI_NO_PLUGINS": "1"}),
    ],
    ids=["allow", "disabled", "environment", "none"],
)
def test_check_passes_once_the_broken_are_left_out(
    installed: InstalledPlugins, config: str, environ: dict[str, str]
) -> None:
    file = installed.folder / "left_out.toml"
    file.write_text(config)
    done = installed.run("plugins", "check", "-c", str(file), **environ)
    assert (done.stdout[:3], done.returncode) == ("ok:", 0), done.stdout
    rows = listed(installed, "-c", str(file), **environ)
    assert {rows["provider", name]["state"] for name in REASONS if name != "shatter"} == {"disabled"}
    assert rows["provider", "acme"]["state"] == ("disabled" if "AI_NO_PLUGINS" in environ else "loaded")


def test_check_knows_a_disabled_name_that_is_nobodys(installed: InstalledPlugins) -> None:
    done = installed.run("plugins", "check", AI_NO_PLUGINS="1", AI_PLUGINS_DISABLED="stdot")
    assert done.returncode == 1
    assert done.stdout == "[plugins] disabled: no plugin is called stdot; did you mean `stdout`?\n"


def test_one_kind_is_disabled_and_not_the_other_of_that_name(installed: InstalledPlugins) -> None:
    rows = listed(installed, AI_PLUGINS_DISABLED="provider:acme")
    assert rows["provider", "acme"]["state"] == "disabled"
    assert rows["sink", "acme"]["state"] == "loaded"


def test_prefer_gives_a_name_away(installed: InstalledPlugins) -> None:
    file = installed.folder / "prefer.toml"
    file.write_text('[plugins]\nprefer = { openai = "acme-broken" }')
    rows = listed(installed, "-c", str(file))
    assert rows["provider", "clash"]["state"] == "loaded"
    assert (rows["provider", "openai"]["state"], rows["provider", "openai"]["reason"]) == (
        "disabled",
        "`openai` comes from acme-broken 0.1, as [plugins] prefer says",
    )


def test_show_tells_all(installed: InstalledPlugins) -> None:
    done = installed.run("plugins", "show", "acme", "--json")
    provider, sink = json.loads(done.stdout)
    assert provider["offers"]["acme"]["documentation"] == "https://docs.acme.example/api"
    assert provider["hooks"] == ["beyond_providers", "beyond_usage_sinks"]
    assert provider["config"] == {}
    assert sink["config"]["every"] == {
        "type": "int",
        "value": 100,
        "source": "default",
        "default": 100,
        "required": False,
        "description": "events between two lines",
    }
    assert "fake-default-token" not in done.stdout
    text = installed.run("plugins", "show", "tally").stdout
    assert "every:\n    type: int\n    value: 100\n    source: default\n    default: 100\n" in text
    assert "distribution: acme-provider" in text
    assert "documentation: https://acme.example/docs" in text


def test_show_says_where_each_value_was_set_and_no_secret(installed: InstalledPlugins) -> None:
    file = installed.folder / "shown.toml"
    file.write_text('[plugins.acme]\nevery = 3\ntoken = "fake-file-token"\n')
    done = installed.run("plugins", "show", "sink:acme", "--json", "-c", str(file))
    (sink,) = json.loads(done.stdout)
    assert (sink["config"]["every"]["value"], sink["config"]["every"]["source"]) == (3, f"file {file}")
    assert (sink["config"]["token"]["value"], sink["config"]["token"]["source"]) == ("**********", f"file {file}")
    file.write_text('[plugins.acme]\nevery = 0\ntoken = "fake-file-token"\n')
    refused = installed.run("plugins", "show", "sink:acme", "-c", str(file)).stdout
    assert "text: [plugins.acme] every: should be greater than or equal to 1" in refused
    assert "fake-file-token" not in done.stdout + refused


def test_show_of_nobody_names_the_nearest(installed: InstalledPlugins) -> None:
    done = installed.run("plugins", "show", "acmee")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2:] == [
        "error: no plugin is called acmee; did you mean `acme`?",
        "hint: see `beyond-ai plugins list`",
    ]


def test_strict_stops_a_start_with_the_first_failure(installed: InstalledPlugins) -> None:
    done = installed.run("config", "check", AI_PLUGINS_STRICT="1")
    assert done.returncode == 1
    assert "of acme-broken 0.1: " in done.stderr
    assert "hint: mend or remove acme-broken, or start without it: AI_PLUGINS_DISABLED=" in done.stderr
    assert "Traceback" not in done.stderr
    assert installed.run("plugins", "list", AI_PLUGINS_STRICT="1").returncode == 0


def test_config_check_knows_third_party_tables_and_names(installed: InstalledPlugins) -> None:
    file = installed.folder / "tables.toml"
    file.write_text(
        'transport = "htpp1"\nsinks = ["tally"]\n[pool_keys]\nacme = "fake"\nacmee = "fake"\n'
        "[plugins.acme]\nevry = 3\n[plugins.talli]\nx = 1\n[plugins.byo]\nx = 1\n"
    )
    done = installed.run("config", "check", "-c", str(file))
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ")] == [
        "error: transport: no plugin in use offers htpp1; did you mean `http1`?",
        "error: pool_keys.acmee: no such provider; did you mean `acme`?",
        "error: plugins.talli: no plugin is called that",
        "error: plugins.byo: this plugin takes no settings",
        "error: [plugins.acme] evry: unknown key; did you mean `every`?",
    ]
    file.write_text('sinks = ["tally", "stdout"]\n[pool_keys]\nacme = "fake"\n[plugins.acme]\nevery = 3\n')
    assert installed.run("config", "check", "-c", str(file)).stdout == "ok\n"


def test_a_plugins_command_is_listed_without_import_and_runs(installed: InstalledPlugins) -> None:
    helped = installed.run("--help").stdout
    assert "greet    From acme-provider 1.2.3." in helped
    assert "shatter  From acme-broken 0.1." in helped
    assert installed.run("greet", "world").stdout == "hello world\n"
    assert "--install-completion" not in installed.run("greet", "--help").stdout


def test_a_plugins_expected_failure_is_one_line_and_a_hint(installed: InstalledPlugins) -> None:
    done = installed.run("greet", "world", "--rude")
    assert (done.returncode, done.stderr) == (1, "error: that is no way to greet\nhint: leave out --rude\n")
    debugged = installed.run("--debug", "greet", "world", "--rude")
    assert debugged.returncode == 1
    assert "Traceback" in debugged.stderr


def test_a_broken_command_is_one_clear_line_when_it_is_used(installed: InstalledPlugins) -> None:
    done = installed.run("shatter")
    assert done.returncode == 1
    error, hint = done.stderr.splitlines()
    assert error == f"error: plugin command:shatter of acme-broken 0.1: {REASONS['shatter']}"
    assert hint.startswith("hint: mend or remove acme-broken")


def test_a_disabled_command_says_so(installed: InstalledPlugins) -> None:
    done = installed.run("greet", "world", AI_NO_PLUGINS="1")
    assert done.returncode == 1
    assert done.stderr.startswith("error: command greet: third-party plugins are off (AI_NO_PLUGINS)\n")
