"""Our hooks in the text of somebody's settings: put in once, taken out without a trace, nothing else touched."""

from __future__ import annotations

import json
import tomllib

import pytest

from carryover.integrations.hook_settings import SCRIPT, Hook, json_with, toml_with, toml_without, without_hooks
from settings_files import CONFIG, OWN

START = Hook("SessionStart", f"python3 /home/ada/{SCRIPT} SessionStart", 3, "startup")
STOP = Hook("Stop", f"python3 /home/ada/{SCRIPT} Stop", 3)
BOTH = (START, STOP)


@pytest.mark.parametrize(
    "text", [OWN, OWN.replace("\n", "\r\n"), "{}", '{"model": "opus"}\n', '{\n\t"a": [\n\t\t1\n\t]\n}']
)
def test_hooks_come_in_beside_the_others_and_leave_nothing_behind(text: str) -> None:
    made = json_with(text, BOTH)
    hooks = json.loads(made)["hooks"]
    assert hooks["SessionStart"] == [START.group]
    assert hooks["Stop"][-1] == STOP.group
    assert len(hooks["Stop"]) == (2 if "guard.sh" in text else 1)
    assert {**json.loads(made), "hooks": 0} == {**json.loads(text), "hooks": 0}
    assert json_with(made, BOTH) == made
    assert json.loads(without_hooks(made)) == json.loads(text)
    assert without_hooks(made) == text or text == "{}"


def test_no_line_of_others_changes_but_for_a_comma() -> None:
    before, after = OWN.splitlines(), json_with(OWN, BOTH).splitlines()
    assert [line for line in before if line not in after and f"{line}," not in after] == []


def test_an_empty_file_becomes_a_settings_file() -> None:
    assert json.loads(json_with("", BOTH)).keys() == {"hooks"}
    assert without_hooks("  \n") == "  \n"


def test_hooks_of_another_release_are_replaced() -> None:
    old = json_with(OWN, (Hook("SessionStart", f"/old/python /old/{SCRIPT} start", 60), Hook("Stop", f"x {SCRIPT}", 1)))
    assert json_with(old, BOTH) == json_with(OWN, BOTH)


def test_ours_are_found_among_others_in_one_group() -> None:
    text = json.dumps(
        {"hooks": {"Stop": [{"hooks": [{"command": "a"}, {"command": f"b {SCRIPT}"}, {"command": "c"}]}]}}
    )
    assert json.loads(without_hooks(text)) == {"hooks": {"Stop": [{"hooks": [{"command": "a"}, {"command": "c"}]}]}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[1]", "no object"),
        ('{"hooks": []}', '"hooks" are no object'),
        ('{"hooks": {"Stop": {}}}', "for Stop are no list"),
        ('{"a": 1,}', "."),
        ("// mine\n{}", "."),
    ],
)
def test_what_is_no_settings_file_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        json_with(text, BOTH)


@pytest.mark.parametrize("text", [CONFIG, CONFIG.replace("\n", "\r\n"), "", "[hooks]\n[[hooks.Stop]]\nhooks = []\n"])
def test_a_block_comes_behind_the_config_and_is_cut_out_again(text: str) -> None:
    made = toml_with(text, BOTH)
    assert made.startswith(text)
    hooks = tomllib.loads(made)["hooks"]
    assert hooks["SessionStart"] == [START.group]
    assert hooks["Stop"][-1] == STOP.group
    assert toml_with(made, BOTH) == made
    assert toml_without(made) == text


def test_what_was_written_behind_the_block_stays() -> None:
    made = toml_with(CONFIG, BOTH) + '\n[hooks.state]\ntrusted = "yes"\n'
    assert toml_without(made) == CONFIG + '\n[hooks.state]\ntrusted = "yes"\n'
    assert tomllib.loads(toml_with(made, (STOP,)))["hooks"].keys() == {"state", "Stop"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("model = ", "."),
        ("hooks = { Stop = [{ hooks = [] }] }\n", "inline"),
        ("# carryover hooks: begin. mine\n[[hooks.Stop]]\n", "no line ends them"),
    ],
)
def test_a_config_without_a_place_for_hooks_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        toml_with(text, BOTH)


def test_commands_with_quotes_and_backslashes_survive() -> None:
    hook = Hook("Stop", f"""'/a "b"\\c/python' "{SCRIPT}" 2>/dev/null || true""", 3)
    assert tomllib.loads(toml_with("", (hook,)))["hooks"]["Stop"] == [hook.group]
    assert json.loads(json_with("", (hook,)))["hooks"]["Stop"] == [hook.group]
