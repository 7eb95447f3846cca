"""What a model is told of a user: now, and in a session from its opening to its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import noticeable
from carryover.core.errors import Forbidden, Invalid, KeyLost, NotFound
from carryover.core.persona import Edits
from carryover.core.scope import Scope
from carryover.jobs.upkeep import upkeep
from carryover.persona.told import known
from carryover.persona.told import persona as ask
from carryover.runtime import Carryover
from carryover.store import personas_shown, profiles
from carryover.store.redis import Redis
from clocks import FrozenClock
from noticeable import BULLETS, CASUAL, NO_EMOJIS, PYTHON, end, persona, say, talked, told
from servers import redis as redis_servers
from waiting import until


@pytest.fixture
def memory(tmp_path: Path, database_url: str, clock: FrozenClock) -> Iterator[Carryover]:
    with noticeable.open_memory(tmp_path, database_url, clock=clock) as opened:
        yield opened


def edit(memory: Carryover, edits: Edits, user: str = "ada") -> None:
    with memory.engine.store.write(memory.scope) as tx:
        profiles.edit(tx, memory.engine.vault, user, edits, None)


def test_a_user_of_whom_nothing_is_known_has_an_empty_persona(memory: Carryover) -> None:
    made = persona(memory, "nobody")
    assert (made.text, made.tokens, made.version, made.tail) == ("", 0, 0, "")
    assert persona(memory, "nobody", session="s1") == made


def test_the_same_bytes_from_the_kept_code_and_from_one_made_anew(memory: Carryover) -> None:
    talked(memory, "s1", BULLETS, CASUAL)
    kept = persona(memory)
    with memory.engine.store.write(memory.scope) as tx:
        memory.engine.personas.codes.drop(tx, "ada")
    anew = persona(memory)
    assert (kept.text, kept.etag, kept.version) == (anew.text, anew.etag, anew.version)
    with memory.engine.store.read(memory.scope) as tx:
        assert memory.engine.personas.codes.get(tx, "ada", kept.version) is not None


def test_a_code_that_expired_is_made_anew(memory: Carryover, clock: FrozenClock) -> None:
    talked(memory, "s1", BULLETS)
    before = persona(memory)
    clock.at += memory.engine.settings.persona.code_ttl_s * 1000 + 1
    with memory.engine.store.read(memory.scope) as tx:
        assert memory.engine.personas.codes.get(tx, "ada", before.version) is None
    assert persona(memory).etag == before.etag


def test_a_session_keeps_the_persona_that_it_was_opened_with(memory: Carryover, clock: FrozenClock) -> None:
    talked(memory, "s1", BULLETS)
    opened = persona(memory, session="s2")
    say(memory, "s2", "Hello!")
    talked(memory, "s3", CASUAL)
    assert len(told(memory)) == 2
    assert persona(memory, session="s2") == opened
    clock.pass_(1)
    end(memory, "s2")
    assert persona(memory, session="s2").text == persona(memory).text != opened.text


def test_what_the_user_changes_meanwhile_is_told_at_the_tail(memory: Carryover) -> None:
    talked(memory, "s1", BULLETS, NO_EMOJIS)
    opened = persona(memory, session="s2")
    line = next(line for line in memory.profiles.show("ada").lines if "bullet" in line.text)
    edit(memory, Edits(removed=(line.id,)))
    after = persona(memory, session="s2")
    assert (after.text, after.etag) == (opened.text, opened.etag)
    assert line.text in after.tail
    assert "emoji" not in after.tail
    assert persona(memory, session="s2") == after
    edit(memory, Edits())
    assert persona(memory, session="s2").tail == ""
    assert persona(memory, session="s4").tail == ""


def test_a_user_who_wrote_a_profile_before_anything_was_noticed_is_told_of(memory: Carryover) -> None:
    edit(memory, Edits(texts=("be kind to beginners",)))
    assert told(memory) == ["- The user wrote: “be kind to beginners”."]


def test_whose_session_it_is_has_to_agree(memory: Carryover) -> None:
    talked(memory, "s1", BULLETS)
    say(memory, "s9", "Hello!", user="bob")
    with pytest.raises(Invalid, match="'s9' is not of user 'ada'"):
        persona(memory, session="s9")
    with pytest.raises(Invalid, match="legal id"):
        persona(memory, "a b")


def test_a_scope_sees_its_own_user_alone(memory: Carryover) -> None:
    talked(memory, "s1", BULLETS)
    parts, tenant = memory.engine.personas, memory.scope.tenant
    assert ask(parts, Scope(tenant, user="ada"), "ada").text
    with pytest.raises(NotFound):
        ask(parts, Scope(tenant, user="bob"), "ada")
    with pytest.raises(NotFound):
        ask(parts, Scope(tenant, agent="a"), "ada", agent="b", session="s1")
    with pytest.raises(Forbidden):
        ask(parts, Scope(tenant, rights=frozenset()), "ada")
    assert ask(parts, Scope("other"), "ada").text == ""


def test_what_was_said_to_another_agent_in_own_words_is_not_told_to_a_key_of_one(memory: Carryover) -> None:
    talked(memory, "s1", BULLETS, "I love marzipan.", agent="coach")
    parts, tenant = memory.engine.personas, memory.scope.tenant
    own = [ask(parts, Scope(tenant, agent=agent), "ada").text for agent in ("coach", "clerk")]
    assert ["marzipan" in text for text in own] == [True, False]
    assert ["bullet" in text for text in own] == [True, True]


def test_an_erased_user_is_told_of_no_more(memory: Carryover) -> None:
    talked(memory, "s1", BULLETS)
    persona(memory, session="s2")
    with memory.engine.store.write(memory.scope) as tx:
        profiles.erase(tx, "ada")
    memory.engine.vault.drop(memory.scope.tenant, "ada")
    assert persona(memory).text == persona(memory, session="s2").text == ""


def test_a_lost_key_is_said_and_nothing_is_shown(tmp_path: Path, database_url: str, clock: FrozenClock) -> None:
    with noticeable.open_memory(tmp_path, database_url, clock=clock) as memory:
        talked(memory, "s1", BULLETS)
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    with noticeable.open_memory(tmp_path, database_url, clock=clock, keyring_url=elsewhere) as memory:
        with pytest.raises(KeyLost, match="restore the keyring"):
            persona(memory)
        with pytest.raises(KeyLost):
            persona(memory, session="s2")


def test_what_was_opened_and_never_begun_is_swept(memory: Carryover, clock: FrozenClock) -> None:
    talked(memory, "s1", BULLETS)
    persona(memory, session="s2")
    persona(memory, session="s3")
    say(memory, "s3", "Hello!")
    clock.at += personas_shown.KEPT_MS + 1
    upkeep(memory.engine.store)
    with memory.engine.store.write(memory.scope) as tx:
        assert personas_shown.get(tx, memory.engine.vault, "default", "s2") is None
        assert personas_shown.get(tx, memory.engine.vault, "default", "s3") is not None
        assert personas_shown.sweep(tx) == 0


def test_a_redis_that_goes_away_makes_it_slower_and_never_wrong(
    tmp_path: Path, database_url: str, redis_server: redis_servers.Server
) -> None:
    with noticeable.open_memory(tmp_path, database_url, redis_url=redis_server.url) as memory:
        talked(memory, "s1", BULLETS)
        before = persona(memory)
        redis = memory.engine.redis
        assert isinstance(redis, Redis)
        redis_server.pause()
        assert persona(memory) == before
        talked(memory, "s2", CASUAL)
        changed = persona(memory)
        assert len(changed.text.split("\n")) == 3
        redis_server.resume()
        until(lambda: not redis.away)
        assert persona(memory).text == changed.text
        found = known(memory.engine.personas, memory.scope, "ada")
        assert found is not None
        assert found.head.version == changed.version


def test_python_stays_python(memory: Carryover) -> None:
    talked(memory, "s1", PYTHON)
    assert told(memory) == ["- Works with Python."]
