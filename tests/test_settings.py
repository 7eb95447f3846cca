"""Settings: one meaning each, found where they were set, and never guessed."""

from __future__ import annotations

import ast
import base64
import inspect
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from carryover import settings as module
from carryover.core.errors import Invalid
from carryover.core.usage import Cap
from carryover.settings import PREFIX, Caps, Loaded, Settings, load

KEY_TEXT = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without a file of settings."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(home: Path, environment: dict[str, str] | None = None, **given: Any) -> Loaded:
    return load({"CARRYOVER_HOME": str(home / "home"), **(environment or {})}, **given)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("model", [Settings, Caps])
def test_every_setting_says_what_it_is(model: Any) -> None:
    for name, field in model.model_fields.items():
        assert field.description, name
        assert not field.description.endswith("."), name


def test_every_setting_is_used_by_the_program() -> None:
    words = {
        node.attr
        for path in Path(inspect.getfile(module)).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
    }
    assert set(Settings.model_fields) <= words


def test_defaults_need_nothing(nowhere: Path) -> None:
    found = load({})
    assert found.settings.llm == "rules"
    assert found.settings.store_url == f"sqlite:///{Path('~/.carryover').expanduser()}/carryover.db"
    assert found.settings.cap == Cap()
    assert set(found.origins.values()) == {"default"}
    assert set(found.origins) == set(Settings.model_fields)


def test_each_source_outranks_the_next(nowhere: Path) -> None:
    file = write(nowhere / "home" / "carryover.toml", 'port = 1\nhost = "file"\nidle_s = 9\n')
    found = loaded(nowhere, {"CARRYOVER_PORT": "2", "CARRYOVER_HOST": "env"}, port=3)
    assert (found.settings.port, found.settings.host, found.settings.idle_s) == (3, "env", 9)
    origins = found.origins
    assert origins["port"] == "argument"
    assert origins["host"] == "environment (CARRYOVER_HOST)"
    assert origins["home"] == "environment (CARRYOVER_HOME)"
    assert origins["idle_s"] == str(file)
    assert origins["llm"] == "default"


def test_an_argument_of_none_is_not_given(nowhere: Path) -> None:
    found = loaded(nowhere, {"CARRYOVER_PORT": "2"}, port=None, host=None)
    assert (found.settings.port, found.origins["host"]) == (2, "default")


def test_which_file_is_read(nowhere: Path) -> None:
    write(nowhere / "home" / "carryover.toml", "port = 1")
    assert loaded(nowhere).settings.port == 1
    write(nowhere / "carryover.toml", "port = 2")
    assert loaded(nowhere).settings.port == 2
    named = write(nowhere / "elsewhere.toml", "port = 3")
    assert loaded(nowhere, {"CARRYOVER_CONFIG": str(named)}).settings.port == 3
    with pytest.raises(Invalid, match="which is no file; correct or unset it"):
        loaded(nowhere, {"CARRYOVER_CONFIG": str(nowhere / "gone.toml")})


def test_tables_come_from_the_file_and_from_the_environment(nowhere: Path) -> None:
    write(nowhere / "carryover.toml", "[caps]\ntokens_per_day = 5\nmoney_per_day = 0.25\n[ttl_s]\nbot = 60\n")
    found = loaded(nowhere)
    assert found.settings.cap == Cap(5, Decimal("0.25"))
    assert found.settings.ttl_s == {"bot": 60}
    found = loaded(nowhere, {"CARRYOVER_CAPS__TOKENS_PER_DAY": "7", "CARRYOVER_TTL_S": '{"other": 9}'})
    assert found.settings.cap.tokens == 7
    assert found.settings.ttl_s == {"other": 9}
    assert found.origins["caps"] == "environment (CARRYOVER_CAPS)"


@pytest.mark.parametrize(
    ("environment", "unknown", "near"),
    [
        ({"CARRYOVER_PROT": "1"}, "CARRYOVER_PROT", "CARRYOVER_PORT"),
        ({"CARRYOVER_LLMS": "x"}, "CARRYOVER_LLMS", "CARRYOVER_LLM"),
    ],
)
def test_an_unknown_variable_names_the_nearest(
    nowhere: Path, environment: dict[str, str], unknown: str, near: str
) -> None:
    with pytest.raises(
        Invalid, match=f"'{unknown}' is an unknown environment variable; the nearest known one is '{near}'"
    ):
        loaded(nowhere, environment)


def test_an_unknown_key_of_the_file_names_the_nearest(nowhere: Path) -> None:
    write(nowhere / "carryover.toml", "idle = 5")
    with pytest.raises(
        Invalid, match=r"'idle' is an unknown key in .*carryover.toml; the nearest known one is 'idle_s'"
    ):
        loaded(nowhere)


def test_an_unknown_argument_is_refused(nowhere: Path) -> None:
    with pytest.raises(Invalid, match="prot"):
        loaded(nowhere, prot=1)


@pytest.mark.parametrize("name", ["CARRYOVER_CONFIG", "CARRYOVER_SHARED", "CARRYOVER_KILLS", "PATH", "carryover_x"])
def test_what_is_not_a_setting_is_passed_over(nowhere: Path, name: str) -> None:
    value = str(write(nowhere / "named.toml", "")) if name == "CARRYOVER_CONFIG" else "7"
    assert loaded(nowhere, {name: value}).settings.port == 8420


@pytest.mark.parametrize("text", ["port = ", "[caps", "port = 1\nport = 2", 'host = "\udcff"'])
def test_a_file_that_is_no_toml_is_named(nowhere: Path, text: str) -> None:
    (nowhere / "carryover.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(Invalid, match=r"carryover.toml cannot be read .*; correct it"):
        loaded(nowhere)


@pytest.mark.parametrize(
    ("environment", "text", "given", "name", "where"),
    [
        ({"CARRYOVER_PORT": "many"}, "", {}, "port", r"environment \(CARRYOVER_PORT\)"),
        ({"CARRYOVER_CAPS__TOKENS_PER_DAY": "-1"}, "", {}, "caps.tokens_per_day", r"environment \(CARRYOVER_CAPS\)"),
        ({}, "port = 65536", {}, "port", "carryover.toml"),
        ({}, "[caps]\ntokens = 5", {}, "caps.tokens", "carryover.toml"),
        ({}, "", {"idle_s": 0}, "idle_s", "argument"),
        ({}, 'log_level = "loud"', {}, "log_level", "carryover.toml"),
    ],
)
def test_a_value_that_cannot_be_says_where_to_correct_it(
    nowhere: Path, environment: dict[str, str], text: str, given: dict[str, Any], name: str, where: str
) -> None:
    write(nowhere / "carryover.toml", text)
    with pytest.raises(Invalid, match=rf"setting {name}: .*; correct it in .*{where}"):
        loaded(nowhere, environment, **given)


def test_a_list_in_the_environment_that_is_no_json_is_refused(nowhere: Path) -> None:
    with pytest.raises(Invalid, match="write lists and tables as JSON"):
        loaded(nowhere, {"CARRYOVER_TTL_S": "bot=60"})


def test_keys_are_not_shown(nowhere: Path) -> None:
    found = loaded(nowhere, {f"{PREFIX}API_KEY": "co_secret", f"{PREFIX}LLM_API_KEY": "sk-secret"})
    assert "secret" not in repr(found).replace("SecretStr", "")
    assert found.settings.llm_api_key is not None
    assert found.settings.llm_api_key.get_secret_value() == "sk-secret"


@pytest.mark.parametrize("key", ["short", "", "ä" * 44, base64.b64encode(bytes(31)).decode(), "!" * 44])
def test_a_cache_key_that_cannot_be_is_refused_without_saying_it(key: str) -> None:
    with pytest.raises(Invalid, match="openssl rand -base64 32") as refused:
        load({"CARRYOVER_CACHE_KEY": key})
    assert not key or key not in f"{refused.value}{refused.value.__cause__}"


@pytest.mark.parametrize("key", ["", ",", "short", KEY_TEXT + ",", f"{KEY_TEXT},short", KEY_TEXT + "\n" + KEY_TEXT])
def test_a_master_key_that_cannot_be_is_refused_without_saying_it(nowhere: Path, key: str) -> None:
    with pytest.raises(Invalid, match="setting master_key: it is not 32 bytes in base64") as refused:
        loaded(nowhere, {"CARRYOVER_MASTER_KEY": key})
    assert KEY_TEXT[:8] not in refused.value.message


def test_master_keys_are_their_bytes_the_current_one_first(nowhere: Path) -> None:
    other = base64.b64encode(b"x" * 32).decode()
    found = loaded(nowhere, {"CARRYOVER_MASTER_KEY": f"{other}, {KEY_TEXT}"}).settings
    assert found.master_keys == [b"x" * 32, base64.b64decode(KEY_TEXT)]
    assert loaded(nowhere).settings.master_keys == []
    assert other not in repr(found)


@pytest.mark.parametrize("pair", [("master_key", "kms"), ("master_key", "master_key_file"), ("master_key_file", "kms")])
def test_master_keys_come_from_one_place(nowhere: Path, pair: tuple[str, str]) -> None:
    values = {"master_key": KEY_TEXT, "master_key_file": "/srv/keys", "kms": "a:b"}
    with pytest.raises(Invalid, match=f"setting {pair[1]}: {pair[0]} is set too.*unset one"):
        loaded(nowhere, **{name: values[name] for name in pair})


def test_a_cache_key_is_its_bytes() -> None:
    settings = load({"CARRYOVER_CACHE_KEY": base64.b64encode(bytes(range(32))).decode()}).settings
    assert settings.shared_key == bytes(range(32))
    assert load({}).settings.shared_key is None
