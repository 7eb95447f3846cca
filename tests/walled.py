"""A tenant with something of every kind, each with a word that must not leave it; and the ids that lead there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from carryover.core.digest import DIGEST_VERSION, Digest
from carryover.core.job import Job
from carryover.core.pattern import Pattern
from carryover.core.session import Append, Draft
from carryover.core.step import uid
from carryover.core.usage import Usage
from carryover.runtime import Carryover
from carryover.store import digests, extractors, patterns, runs, usages
from carryover.store.runs import STARTED
from preferring import prefer

CANARY = "kanarienvogel"  # in all that is kept of the tenant acme
SUFFIX = "-of-acme"  # of every name there that a person gave
# What each kind of id is called there, and a name of the same shape that nobody has.
NAMES = {
    "agent": ("planner-of-acme", "planner-of-nixe"),
    "session": ("diary-of-acme", "diary-of-nixe"),
    "user": ("ana-of-acme", "ana-of-nixe"),
    "pattern": (uid("pattern of acme"), uid("pattern of nixe")),
    "run": ("run-of-acme", "run-of-nixe"),
    "extractor": ("model:of-acme@p1", "model:of-nixe@p1"),
    "repo": ("example.org/of/acme", "example.org/of/nixe"),
}


@dataclass(frozen=True)
class Tenant:
    """Ids of a tenant by kind, and ids like them that nobody has."""

    own: Mapping[str, str]
    ghost: Mapping[str, str]


def fill(memory: Carryover) -> Tenant:
    """The memory's tenant has a canary in everything that a route can show."""
    agent, session, user, pattern, run, extractor, repo = (own for own, _ in NAMES.values())
    said = f"We decided to use {CANARY} for the ledger."
    drafts = Draft("user", said, metadata={"note": CANARY}), Draft("assistant", f"Then {CANARY} it is.", name="scribe")
    for one in ("notes-of-acme", "doomed-of-acme", session):
        memory.append(Append(one, drafts, agent, user))
        memory.close_session(one, agent=agent)
        assert memory.consolidate(one, agent=agent) is not None
    found = memory.search_memory(CANARY, agent=agent)
    assert found
    snapshot = memory.snapshot(session, 1, agent=agent)
    prefer(memory, user, f"{CANARY} answers", agent=agent, session=session)
    memory.profiles.edit(user, texts=[f"My {CANARY} sings"])
    memory.strategies.set_conversation(session, {"summary_prefix": CANARY}, agent=agent)
    memory.strategies.set_agent(agent, {"summary_prefix": CANARY})
    with memory.engine.store.write(memory.scope) as tx:
        digests.put(tx, Digest(agent, session, "codex", DIGEST_VERSION, "hash", repo=repo, title=f"A {CANARY}"))
        patterns.put(tx, Pattern(pattern, 1, "candidate", "loop", "key", f"The {CANARY}", f"Feed the {CANARY}."))
        runs.add(tx, agent, session, run, 1, [(STARTED, 1, {"model": CANARY})])
        usages.record(tx, Job(tx.tenant, "consolidate", f"{agent}/{session}", 0, 1), Usage(CANARY, 1, 5))
        extractors.compare(tx, extractor, "rules/1")
    erased = memory.erasures.erase(agent=agent, session="doomed-of-acme")
    held = memory.holds.place(f"the {CANARY} of 1848", session=session, agent=agent)
    lines, _ = memory.audit(limit=1)
    _, cursor = memory.sessions(agent=agent, limit=1)
    own = {
        **{kind: names[0] for kind, names in NAMES.items()},
        "finding": snapshot.findings[0].id,
        "erasure": erased.id,
        "hold": held.id,
        "who": "key co_of-acme-1",
        "subject": lines[0].subject,
        "cursor": cursor or "",
        "event": "1",
    }
    ghost = {kind: _like(value) for kind, value in own.items()} | {kind: names[1] for kind, names in NAMES.items()}
    return Tenant(own, ghost)


def _like(id: str) -> str:
    """An id of the same shape that is nobody's."""
    return id if len(id) < 9 else id[:-8] + "".join("1" if letter != "1" else "2" for letter in id[-8:])
