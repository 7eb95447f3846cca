"""Digests: a job outside of the sweep, which makes the account of a session anew whenever its logs have grown."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise

from carryover.coding.adapters.catalog import ADAPTERS
from carryover.coding.digests import (
    outcome,
    quotes,
    review,
    shell,
    signals,
    signals_model,
    signals_people,
    signals_work,
)
from carryover.coding.digests.course import Act, Course, Facts, act_of, course_of, spoken
from carryover.coding.repos import domain_of, repo_of
from carryover.core import telemetry
from carryover.core.clock import Time
from carryover.core.digest import DIGEST_VERSION, Digest, FileUse, SessionKind, Tests, ToolUse
from carryover.core.job import Job
from carryover.core.session import Source
from carryover.core.step import FLAVORS, About, Flavor, Spend, Supply
from carryover.core.text import clean
from carryover.core.usage import Usage
from carryover.jobs.derivation import Derivation
from carryover.store import damage, digests, events, marks, origins, queue, sessions, spends, steps
from carryover.store.store import Tx

KIND = steps.DIGEST
SWEEP = 1_000  # sessions that are armed at a time
_SAID = 300  # characters of a goal and a result
_TITLE = 100
_FILES, _COMMANDS, _ERRORS = 100, 40, 5
_PAUSE_MS = 300_000  # of a longer silence only so much counts as work
_NO_GOAL = re.compile(r"\A(?:/\w[\w:-]*|!|#)\s*")
_SUPPLIES: tuple[Supply, ...] = ("times", "errors", "tokens", "cost", "tree", "models", "versions", "branches")


@dataclass(frozen=True, slots=True)
class Work:
    """A session's acts as they stand in its log, which of its turns are copies, and what else is known of it."""

    facts: Facts
    acts: tuple[Act, ...]
    replayed: frozenset[int]
    now: Time


def digesting(domains: Mapping[str, str] | None = None) -> Derivation[Work, Digest]:
    """The job of a session (`agent/session`) that makes its digest; `domains` says what each repository belongs to."""
    return Derivation(
        KIND,
        lambda tx, job: _load(tx, job, domains or {}),
        lambda work: (digest_of(work), Usage()),
        _save,
        overdue=lambda tx: digests.overdue(tx, SWEEP),
    )


def digest_of(work: Work) -> Digest:
    """The digest of these steps: the same for the same steps, whatever the time and the machine."""
    facts = work.facts
    course = course_of(facts, work.acts, work.replayed)
    judged = outcome.judge(course)
    tried = review.trials(course)
    told = [trial for trial in tried if trial.passed is not None]
    times = [act.at for act in course.acts if act.own and act.at is not None]
    title, goal = _title(facts.abouts), _goal(course)
    errors = course.tells("errors")
    kinds: list[SessionKind] = [about.kind for about in facts.abouts if about.kind]
    return Digest(
        facts.agent,
        facts.session,
        facts.flavor,
        DIGEST_VERSION,
        facts.source_hash,
        kind=kinds[0] if kinds else "main",
        parent=next((about.parent for about in facts.abouts if about.parent), None),
        repo=facts.repo,
        domain=facts.domain,
        cwd=facts.cwd or None,
        branch=next((about.branch for about in facts.abouts if about.branch), None),
        versions=_listed(about.versions for about in facts.abouts),
        models=_models(facts),
        started_at=min(times, default=None),
        ended_at=max(times, default=None),
        active_s=_active_s(times),
        title=_short(title or goal, _TITLE),
        goal=goal,
        result=_result(course),
        outcome=judged.outcome,
        confidence=round(judged.confidence, 2),
        because=judged.because,
        steps=facts.steps - facts.replayed,
        replayed=facts.replayed,
        prompts=len(course.prompts),
        corrections=len(signals_people.corrected(course)),
        interrupts=len(signals_people.interrupted(course)) if errors else None,
        rejections=sum(call.status == "rejected" for call in course.calls) if errors else None,
        compactions=len(signals_model.compacted(course)) if errors else None,
        tools=_tools(course),
        files=_files(course),
        tests=Tests(len(tried), sum(not t.passed for t in told) if told or errors else None, review.arc_of(tried)),
        commands=_commands(course),
        errors=_errors(course),
        tokens=_spent(facts),
        peak_tokens=signals_model.peak(course),
        subagents=len(signals_work.spawned(course)),
        signals=signals.signals_of(course),
        unknown=tuple(supply for supply in _SUPPLIES if supply not in facts.supplies),
    )


def _load(tx: Tx, job: Job, domains: Mapping[str, str]) -> Work | None:
    agent, session = job.agent_id, job.session_id
    flavor: Flavor | None = next((flavor for flavor in FLAVORS if flavor == agent), None)
    head = sessions.find(tx, [(agent, session)], lock=False).get((agent, session))
    if flavor is None or head is None:
        return None
    # Page by page, and of each step no more than is needed: a session may have many thousands.
    acts: list[Act] = []
    count = 0
    for seq, step in steps.of_session(tx, agent, session):
        count += 1
        act = act_of(seq, step)
        if act is not None:
            acts.append(act)
    replayed = marks.replayed(tx, agent, session)
    abouts = _in_order([about for _, about in origins.abouts(tx, agent, session)])
    repo = repo_of(abouts)
    facts = Facts(
        agent,
        session,
        flavor,
        head.user,
        origins.source_hash(tx, agent, session),
        abouts,
        tuple(spends.of_session(tx, agent, session)),
        supplied(flavor),
        domain_of(repo, domains),
        repo,
        count,
        len(replayed),
    )
    return Work(facts, tuple(acts), frozenset(replayed), tx.now)


def supplied(flavor: Flavor) -> frozenset[Supply]:
    """What the logs of a flavor can tell at all."""
    return frozenset(supply for adapter in ADAPTERS if adapter.flavor == flavor for supply in adapter.supplies)


def _save(tx: Tx, job: Job, work: Work, made: Digest) -> None:
    known = digests.get(tx, made.agent_id, made.session_id)
    digests.put(tx, made, work.facts.user, at=work.now)
    if known == made:
        return
    queue.arm(tx, [(damage.INDEX, job.subject, tx.now)], push=False)
    detail = {"outcome": made.outcome, "version": made.version, "signals": len(made.signals)}
    events.add(tx, [("digest", made.agent_id, made.session_id, work.facts.user, detail)])
    telemetry.count("digests", outcome=made.outcome)


def _in_order(abouts: list[About]) -> tuple[About, ...]:
    """What the logs say about the session, the earliest first, wherever they lie."""

    def key(about: About) -> tuple[bool, Time, str]:
        return about.first_at is None, about.first_at or 0, json.dumps(asdict(about), sort_keys=True)

    return tuple(sorted(abouts, key=key))


def _title(abouts: tuple[About, ...]) -> str:
    return next((spoken(about.title) for about in reversed(abouts) if about.title), "")


def _goal(course: Course) -> str:
    """What was asked for first: of a person, or else of the agent that called it."""
    asked = [act for act in course.prompts if act.branch == "main"] or [
        act for act in course.acts if act.kind == "prompt" and act.branch == "main"
    ]
    asked += [act for act in course.acts if act.kind == "note" and act.detail.get("via") == "agent"]
    for act in asked:
        said = spoken(act.text)
        if act.detail.get("via") in ("shell", "memory") or act.detail.get("what") == "shell":
            continue
        plain = _NO_GOAL.sub("", said)
        if len(plain) > 1:
            return _short(plain if said.startswith("/") else said, _SAID)
    return ""


def _result(course: Course) -> str:
    said = [act for act in course.acts if act.kind == "text" and act.branch == "main" and act.own]
    return _short(spoken(said[-1].text), _SAID) if said else ""


def _models(facts: Facts) -> tuple[str, ...]:
    spent = [[spend.model] for spend in facts.spends if spend.model]
    return _listed([*(about.models for about in facts.abouts), *spent])


def _listed(several: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(clean(name) for names in several for name in names if name))


def _active_s(times: list[Time]) -> int | None:
    """How long somebody was at work: pauses count for five minutes at most."""
    if not times:
        return None
    return sum(min(b - a, _PAUSE_MS) for a, b in pairwise(sorted(times))) // 1_000


def _tools(course: Course) -> dict[str, ToolUse]:
    told = course.tells("errors")
    counted = Counter(call.tool for call in course.calls)
    failed = Counter(call.tool for call in course.calls if call.failed)
    refused = Counter(call.tool for call in course.calls if call.status == "rejected")
    return {
        tool: ToolUse(calls, failed[tool] if told else None, refused[tool] if told else None)
        for tool, calls in sorted(counted.items())
    }


def _files(course: Course) -> tuple[FileUse, ...]:
    """The files that were read and changed, those with the most changes first."""
    reads: Counter[str] = Counter()
    changes: Counter[str] = Counter()
    for call in course.calls:
        if call.failed or call.status in ("rejected", "cancelled"):
            continue
        counted = changes if call.tool in ("edit", "write") else reads
        counted.update({quotes.masked(course.path(path)) for path in call.paths})
    names = sorted({*reads, *changes}, key=lambda name: (-changes[name], -reads[name], name))
    return tuple(FileUse(name, reads[name], changes[name]) for name in names[:_FILES])


def _commands(course: Course) -> tuple[str, ...]:
    """What was run, each once, in the order of its first time."""
    heads: dict[str, None] = {}
    for call in course.of("shell"):
        if call.status not in ("rejected", "cancelled"):
            heads.update(dict.fromkeys(shell.heads(call.command)))
    return tuple(quotes.masked(head)[:60] for head in heads)[:_COMMANDS]


def _errors(course: Course) -> tuple[Source, ...]:
    return quotes.of(course, (call for call in course.calls if call.failed), _ERRORS)


def _spent(facts: Facts) -> Spend | None:
    """What the session itself consumed; its cost only where all of it has one."""
    if not facts.spends or "tokens" not in facts.supplies:
        return None
    every = facts.spends
    costs = [spend.cost for spend in every]
    windows = [spend.window for spend in every if spend.window]
    return Spend(
        "",
        input=sum(spend.input for spend in every),
        cache_read=sum(spend.cache_read for spend in every),
        cache_write=sum(spend.cache_write for spend in every),
        output=sum(spend.output for spend in every),
        reasoning=sum(spend.reasoning for spend in every),
        cost=None if None in costs else sum(cost for cost in costs if cost is not None),
        window=max(windows, default=None),
    )


def _short(text: str, most: int) -> str:
    text = quotes.masked(text)
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
