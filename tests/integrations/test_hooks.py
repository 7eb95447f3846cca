"""Hooks are installed into real settings files and taken out again: the same bytes, whatever the file was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from carryover.core.errors import Conflict, Invalid
from carryover.integrations import carryover_hook, hooks
from carryover.integrations.hook_places import HOOKED, Hooked
from carryover.integrations.hook_settings import SCRIPT
from settings_files import CONFIG, OWN

SETTINGS: dict[Hooked, str] = {
    "claude-code": ".claude/settings.json",
    "codex": ".codex/config.toml",
    "grok": ".grok/hooks/carryover.json",
}


def install(agent: Hooked, home: Path, *, project: Path | None = None) -> list[hooks.Change]:
    carryover, reach = home / ".carryover", "project" if project else "user"
    changes = hooks.installing(agent, reach, project or home, carryover)  # type: ignore[arg-type]
    hooks.apply(changes, carryover, put=True)
    return changes


def uninstall(agent: Hooked, home: Path, *, project: Path | None = None) -> list[hooks.Change]:
    carryover, reach = home / ".carryover", "project" if project else "user"
    changes = hooks.uninstalling(agent, reach, project or home, carryover)  # type: ignore[arg-type]
    hooks.apply(changes, carryover, put=False)
    return changes


def written(home: Path, agent: Hooked, text: str) -> Path:
    path = home / SETTINGS[agent]
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode())
    return path


def files(folder: Path) -> dict[str, bytes]:
    """Every file outside of carryover's own home."""
    found = (path for path in folder.rglob("*") if path.is_file() and ".carryover" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.mark.parametrize("agent", HOOKED)
def test_an_agent_without_settings_gets_some_and_loses_them_again(agent: Hooked, home: Path) -> None:
    assert all(change.before is None for change in install(agent, home))
    assert SETTINGS[agent] in files(home)
    assert install(agent, home) == []
    assert (home / ".carryover" / "hooks" / SCRIPT).read_bytes() == Path(carryover_hook.__file__).read_bytes()
    uninstall(agent, home)
    assert files(home) == {}
    assert uninstall(agent, home) == []


@pytest.mark.parametrize(
    ("agent", "text"),
    [
        ("claude-code", OWN),
        ("claude-code", OWN.replace("\n", "\r\n")),
        ("claude-code", '{"model":"opus"}'),
        ("claude-code", "{}"),
        ("claude-code", ""),
        ("claude-code", '{"hooks": {}}\n\n\n'),
        ("claude-code", '{"hooks": {"Stop": []}}'),
        ("codex", CONFIG),
        ("codex", CONFIG.rstrip("\n")),
        ("codex", "\n\n"),
        ("grok", '{"hooks": {}}'),
    ],
)
def test_uninstalling_gives_back_the_same_bytes(agent: Hooked, text: str, home: Path) -> None:
    path = written(home, agent, text)
    install(agent, home)
    assert path.read_bytes() != text.encode()
    uninstall(agent, home)
    assert files(home) == {SETTINGS[agent]: text.encode()}


def test_what_others_change_in_the_meantime_stays(home: Path) -> None:
    path = written(home, "claude-code", OWN)
    install("claude-code", home)
    path.write_text(path.read_text().replace('"say done"', '"say ready"'))
    assert install("claude-code", home) == []
    uninstall("claude-code", home)
    assert path.read_text() == OWN.replace('"say done"', '"say ready"')


def test_hooks_of_another_python_are_replaced_and_the_first_settings_come_back(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(home, "claude-code", OWN)
    install("claude-code", home)
    monkeypatch.setattr(sys, "executable", "/opt/a new/python3")
    assert {one.standing for one in status(home) if one.agent == "claude-code" and one.scope == "user"} == {"outdated"}
    (change,) = install("claude-code", home)
    assert "'/opt/a new/python3' -I -S" in path.read_text()
    signs = [line[0] for line in change.diff.splitlines()[2:]]
    assert signs.count("+") == signs.count("-") == 3
    uninstall("claude-code", home)
    assert path.read_text() == OWN


def status(home: Path, project: Path | None = None) -> tuple[hooks.HookStatus, ...]:
    return hooks.standing(project or home / "elsewhere", home / ".carryover").hooks


def test_codex_gets_its_hooks_where_its_others_are(home: Path) -> None:
    listed = home / ".codex" / "hooks.json"
    written(home, "codex", CONFIG)
    install("codex", home)
    assert BEGUN in (home / ".codex" / "config.toml").read_text()
    listed.write_text('{"hooks": {"Stop": []}}')
    install("codex", home)  # which has both files now: its hooks move
    assert (home / ".codex" / "config.toml").read_text() == CONFIG
    assert set(json.loads(listed.read_text())["hooks"]) == {"SessionStart", "Stop", "SessionEnd"}
    uninstall("codex", home)
    assert listed.read_text() == '{"hooks": {"Stop": []}}'


BEGUN = "# carryover hooks: begin"


def test_grok_which_takes_nothing_from_a_hook_is_asked_by_a_rule(home: Path) -> None:
    install("grok", home)
    assert set(json.loads((home / SETTINGS["grok"]).read_text())["hooks"]) == {"Stop", "SessionEnd"}
    rule = home / ".grok" / "rules" / "carryover.md"
    command = next(line.strip() for line in rule.read_text().splitlines() if line.startswith("    "))
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_homes_of_agents_may_lie_elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(home / "one"))
    monkeypatch.setenv("CODEX_HOME", str(home / "two"))
    monkeypatch.setenv("GROK_HOME", str(home / "three"))
    for agent in HOOKED:
        install(agent, home)
    assert sorted(files(home)) == [
        "one/settings.json", "three/hooks/carryover.json", "three/rules/carryover.md", "two/config.toml",
    ]  # fmt: skip


@pytest.mark.parametrize("agent", HOOKED)
def test_hooks_in_a_repository_work_for_everybody_who_has_it(agent: Hooked, home: Path) -> None:
    project = home / "shop"
    (project / ".git").mkdir(parents=True)
    assert hooks.project_of(project / "src" / "deep") == project
    install(agent, home, project=project)
    text = (project / SETTINGS[agent]).read_text()
    assert str(home) not in text
    assert sys.executable not in text
    found = json.loads(text) if agent != "codex" else tomllib.loads(text)
    for event in ("Stop", "SessionEnd"):
        (group,) = found["hooks"][event]
        command = group["hooks"][0]["command"]
        for carryover in (str(home / ".carryover"), "/nowhere"):
            done = subprocess.run(
                ["sh", "-c", command], input="{}", text=True, capture_output=True, check=False,
                env={**os.environ, "CARRYOVER_HOME": carryover},
            )  # fmt: skip
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(list((home / ".carryover" / "hooks" / "spool").glob("*.json"))) == 2
    uninstall(agent, home, project=project)
    assert files(project) == {}


@pytest.mark.parametrize(
    ("agent", "text", "reason"),
    [
        ("claude-code", '{"model": ', "cannot be edited"),
        ("claude-code", "// mine\n{}", "cannot be edited"),
        ("claude-code", '{"hooks": []}', "no object"),
        ("codex", "model = ", "cannot be edited"),
        ("grok", "[]", "no object"),
    ],
)
def test_broken_settings_are_left_alone_and_the_remedy_is_told(
    agent: Hooked, text: str, reason: str, home: Path
) -> None:
    path = written(home, agent, text)
    with pytest.raises(Invalid, match=rf"{reason}.*; correct it, or move it away, then run this again") as told:
        install(agent, home)
    assert str(path) in told.value.message
    assert path.read_text() == text
    assert {one.standing for one in status(home) if one.path == str(path)} == {"broken"}


def test_settings_that_are_no_utf8_are_left_alone(home: Path) -> None:
    path = written(home, "claude-code", "")
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(Invalid, match="no UTF-8"):
        install("claude-code", home)
    assert path.read_bytes() == b'{"a": "\xff"}'


def test_a_read_only_file_is_left_alone(home: Path) -> None:
    path = written(home, "claude-code", OWN)
    path.chmod(0o444)
    with pytest.raises(Invalid, match="read-only; make it writable"):
        install("claude-code", home)
    assert path.read_text() == OWN


def test_a_folder_that_cannot_be_made_is_told(home: Path) -> None:
    (home / ".claude").write_text("a file")
    with pytest.raises(Invalid, match=r"cannot be (read|written)"):
        install("claude-code", home)


def test_a_symbolic_link_stays_one_and_rights_stay(home: Path) -> None:
    kept = home / "dotfiles" / "claude.json"
    kept.parent.mkdir()
    kept.write_text(OWN)
    kept.chmod(0o640)
    link = home / SETTINGS["claude-code"]
    link.parent.mkdir()
    link.symlink_to(kept)
    install("claude-code", home)
    assert link.is_symlink()
    assert SCRIPT in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o640
    uninstall("claude-code", home)
    assert link.is_symlink()
    assert kept.read_text() == OWN


def test_what_a_file_was_is_kept_for_its_owner_alone(home: Path) -> None:
    written(home, "claude-code", OWN)
    install("claude-code", home)
    kept = list((home / ".carryover" / "hooks" / "before").iterdir())
    assert {path.suffix for path in kept} == {".bytes", ".json"}
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
    assert OWN.encode() in [path.read_bytes() for path in kept]
    uninstall("claude-code", home)
    assert list((home / ".carryover" / "hooks" / "before").iterdir()) == []


def test_a_file_that_was_changed_since_it_was_looked_at_is_left_alone(home: Path, carryover_home: Path) -> None:
    path = written(home, "claude-code", OWN)
    changes = hooks.installing("claude-code", "user", home, carryover_home)
    path.write_text("{}")
    with pytest.raises(Conflict, match="changed by somebody else"):
        hooks.apply(changes, carryover_home, put=True)
    assert path.read_text() == "{}"


KILLED = """
import os, sys
from pathlib import Path
from carryover.integrations import files, hooks
real = os.replace
def replace(a, b, **folders):
    if str(b).endswith("settings.json"):
        os.kill(os.getpid(), 9)
    real(a, b, **folders)
os.replace = replace
home = Path(sys.argv[1])
hooks.apply(hooks.installing("claude-code", "user", home, home / ".carryover"), home / ".carryover", put=True)
"""


def test_killed_while_it_writes_the_settings_are_what_they_were(home: Path) -> None:
    path = written(home, "claude-code", OWN)
    done = subprocess.run([sys.executable, "-c", KILLED, str(home)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == OWN
    install("claude-code", home)
    uninstall("claude-code", home)
    assert path.read_text() == OWN


def test_how_hooks_stand(home: Path) -> None:
    assert {one.standing for one in status(home)} == {"absent"}
    install("codex", home)
    found = {(one.agent, one.scope): one.standing for one in status(home)}
    assert found["codex", "user"] == "installed"
    assert found["codex", "project"] == found["claude-code", "user"] == "absent"
    script = home / ".carryover" / "hooks" / SCRIPT
    assert hooks.standing(home, home / ".carryover").script == "current"
    script.write_text("# older")
    assert hooks.standing(home, home / ".carryover").script == "outdated"
    hooks.write_script(home / ".carryover")
    assert hooks.standing(home, home / ".carryover").script == "current"


def test_a_change_is_shown_as_a_diff(home: Path) -> None:
    written(home, "claude-code", '{\n  "model": "opus"\n}\n')
    (change,) = hooks.installing("claude-code", "user", home, home / ".carryover")
    lines = change.diff.splitlines()
    assert lines[0] == f"--- {home / SETTINGS['claude-code']}"
    assert '-  "model": "opus"' in lines
    assert '+  "model": "opus",' in lines
    assert files(home) == {SETTINGS["claude-code"]: b'{\n  "model": "opus"\n}\n'}
