"""Patterns to the files that agents read, and back out of them: planned and shown first, then written.

A file is written inside the transaction that records it. If that fails, nothing is recorded and the file is as it
was; if the process dies between the two, the next run finds the block as it should be, and records it.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from carryover.coding.patterns import curate
from carryover.coding.patterns.telling import Budget, Told, block_of, chosen, line_of, lines_in
from carryover.coding.rollout import assign, blocks, files, measure
from carryover.coding.rollout.assign import Assignment
from carryover.coding.rollout.compare import Goal
from carryover.coding.rollout.files import Held
from carryover.coding.rollout.targets import EVERYWHERE, Readers, Target, is_in
from carryover.core.errors import Conflict, Invalid
from carryover.core.pattern import Exposure, Pattern, PatternState, Rollout, Written
from carryover.core.scope import Scope
from carryover.store import audit, exposures, patterns
from carryover.store.store import Store, Tx

TELLABLE: tuple[PatternState, ...] = ("approved", "distributed", "measured")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be told: these patterns, or all that are approved; beside those that stand there already.

    A file tells its readers what sessions of their own flavor showed; with `all_flavors` also what sessions of several
    others showed, and with `seen_here` only what sessions in that very repository showed. With a `share` below 1, each
    pattern is told in that share of the repositories, drawn by `seed`. What somebody else wrote into a block is
    replaced only by `force`.
    """

    ids: tuple[str, ...] = ()
    all_flavors: bool = False
    seen_here: bool = False
    budget: Budget = field(default_factory=Budget)
    share: float = 1.0
    seed: int = 0
    force: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A file as it is and as it is to be, and what it then tells; `said` is what is noted of each pattern besides."""

    target: Target
    held: Held
    after: bytes | None
    lines: tuple[str, ...]
    told: tuple[Told, ...]
    shown: Written
    said: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])


def asked_for(ids: Sequence[str], rollout: Rollout) -> tuple[Wish, Goal]:
    """What is to be told, and what counts as having helped. Raises Invalid for numbers that cannot be."""
    bounds = (
        ("lines", rollout.lines >= len(block_of(["-"])), "at least 5"),
        ("tokens", rollout.tokens > 0, "at least 1"),
        ("share", 0 < rollout.share <= 1, "more than 0 and at most 1"),
        ("effect", 0 < rollout.effect < 1, "between 0 and 1"),
        ("days", 0 < rollout.days < 36_500, "1 or more"),
    )
    for name, holds, said in bounds:
        if not holds:
            raise Invalid(f"{name} is {getattr(rollout, name)}; use {said}", field=name)
    budget = Budget(rollout.lines, rollout.tokens)
    wish = Wish(tuple(ids), rollout.all_flavors, rollout.seen_here, budget, rollout.share, rollout.seed, rollout.force)
    return wish, Goal(rollout.effect, rollout.days)


def plan(store: Store, scope: Scope, targets: Sequence[Target], wish: Wish) -> list[Change]:
    """What each file would hold. Nothing is written.

    Raises Forbidden, NotFound, Conflict where a pattern may not be told or a block is not carryover's alone, and
    Invalid for a file that cannot be written.
    """
    curate.require(scope, "admin")
    with store.read(scope) as tx:
        catalog = {pattern.id: pattern for pattern in patterns.listed(tx)}
        for id in wish.ids:
            curate.known(tx, id)
        told = exposures.listed(tx)
    wanted = [_tellable(catalog[id]) for id in dict.fromkeys(wish.ids)]
    wanted = wanted or [one for one in catalog.values() if one.state in TELLABLE]
    draws = _drawn(wanted, targets, wish, told)
    known = {str(one.detail.get("line", "")) for one in told}
    changes: list[Change] = []
    for target, held in _apart(targets):
        standing = {one.pattern for one in told if one.path == str(held.path) and one.until is None}
        kept = [one for one in catalog.values() if one.id in standing and one.state in TELLABLE]
        fitting = [one for one in wanted if one.id not in standing and _fits(one, target, wish)]
        held_back = [one.id for one in fitting if one.id in draws and target.repo in draws[one.id].held_back]
        lines, left_out = chosen([*kept, *(one for one in fitting if one.id not in held_back)], standing, wish.budget)
        said = {one.pattern.id: draws[one.pattern.id].detail for one in lines if one.pattern.id in draws}
        change = _change(target, held, lines, said)
        _require_ours(change, known, wish.force)
        shown = replace(change.shown, left_out=tuple(left_out), held_back=tuple(held_back))
        changes.append(replace(change, shown=shown))
    return changes


def carry_out(store: Store, scope: Scope, changes: Sequence[Change], goal: Goal, *, by: str, reason: str = "") -> None:
    """The files hold what was planned, and it is recorded where each pattern stands from now on.

    Raises Conflict where a file or a pattern changed since; what was written until then stays, and is recorded.
    """
    curate.require(scope, "admin")
    told = {one.pattern.id: one.pattern for change in changes for one in change.told}
    registered = measure.register(store, scope, told.values(), goal)
    for change in changes:
        with store.write(scope) as tx:
            _record(tx, change, registered, by, reason)
            _write(change)
            ids = " ".join(one.pattern.id for one in change.told)
            audit.note(tx, action="pattern.distribute", subject=f"pattern {ids}", detail=str(change.held.path))


def withdrawing(store: Store, scope: Scope, id: str, *, force: bool = False) -> list[Change]:
    """What each file that tells the pattern would hold without it. Nothing is written.

    Raises Forbidden, NotFound, and Conflict or Invalid as `plan` does.
    """
    curate.require(scope, "admin")
    with store.read(scope) as tx:
        pattern = curate.known(tx, id)
        told = exposures.listed(tx, pattern=id, standing=True)
    return [_without(one, pattern, force) for one in told]


def withdraw(store: Store, scope: Scope, id: str, changes: Sequence[Change], by: str, reason: str = "") -> Pattern:
    """No file tells the pattern any more, and it is withdrawn. Raises Conflict where it is not distributed."""
    curate.require(scope, "admin")
    for change in changes:
        path = str(change.target.path)
        with store.write(scope) as tx:
            exposures.end(tx, id, path, tx.now)
            exposures.wrote(tx, path, blocks.hash_of(change.lines))
            _write(change)
    with store.write(scope) as tx:
        withdrawn = curate.advance(tx, curate.known(tx, id), "withdrawn", by=by, reason=reason)
        audit.note(tx, action="pattern.withdraw", subject=f"pattern {id}", detail=f"files {len(changes)}")
        return withdrawn


def _write(change: Change) -> None:
    if change.after != change.held.content:
        files.replace(change.held, change.after)
    if change.after is None and change.target.head:
        with suppress(OSError):  # of a skill the folder is left where somebody put something else into it
            change.held.path.parent.rmdir()


def _record(tx: Tx, change: Change, registered: Mapping[str, Any], by: str, reason: str) -> None:
    path, target = str(change.held.path), change.target
    standing = {one.pattern: one for one in exposures.listed(tx, path=path, standing=True)}
    content = change.held.content
    # Where somebody took the block out, nothing stood there until now.
    there = content is not None and blocks.found(content, path) is not None
    for gone in sorted(standing.keys() - ({one.pattern.id for one in change.told} if there else set())):
        exposures.end(tx, gone, path, tx.now)
        del standing[gone]
    for one in change.told:
        pattern = curate.known(tx, one.pattern.id)
        if pattern.state not in TELLABLE or line_of(pattern.lesson) != one.line:
            raise Conflict(f"pattern {pattern.id!r} was changed since the difference was shown; run it again")
        if pattern.state == "approved":
            pattern = curate.advance(tx, pattern, "distributed", by=by, reason=reason)
        before = standing.get(pattern.id)
        if before is not None and before.detail.get("line") == one.line:
            continue
        detail: dict[str, Any] = {"line": one.line, "readers": list(target.readers.all), "repos": list(target.names)}
        detail |= {**change.said.get(pattern.id, {}), "registered": registered[pattern.id]}
        if target.head:
            detail["head"] = target.head
        flavor = target.readers.audience[0]
        told = Exposure(pattern.id, pattern.version, path, target.repo, flavor, tx.now, detail=detail)
        exposures.add(tx, [told])
    exposures.wrote(tx, path, blocks.hash_of(change.lines))


def _change(target: Target, held: Held, told: Sequence[Told], said: Mapping[str, Mapping[str, Any]]) -> Change:
    lines = block_of([one.line for one in told])
    after = _with(held, lines, target)
    return Change(target, held, after, tuple(lines), tuple(told), _shown(target, held, after, told), said)


def _without(told: Exposure, pattern: Pattern, force: bool) -> Change:
    """The file without the line of the pattern; one that is gone, or no longer has a block, stays as it is."""
    path = Path(told.path)
    target = Target(path, told.repo, Readers((told.flavor,)), head=str(told.detail.get("head", "")))
    held = files.read(path) if path.parent.is_dir() else Held(path, None)
    block = None if held.content is None else blocks.found(held.content, told.path)
    if block is None or held.path != path:
        held = Held(path, None) if held.path != path else held
        return Change(target, held, held.content, (), (), _shown(target, held, held.content, ()))
    if not block.intact and not force:
        raise _edited(path)
    line = told.detail.get("line") or line_of(pattern.lesson)
    lines = block_of([other for other in lines_in(block.lines) if other != line])
    after = _with(held, lines, target)
    return Change(target, held, after, tuple(lines), (), _shown(target, held, after, ()))


def _with(held: Held, lines: list[str], target: Target) -> bytes | None:
    if lines:
        return blocks.put(held.content, lines, str(target.path), head=target.head)
    return None if held.content is None else blocks.taken_out(held.content, str(target.path), head=target.head)


def _shown(target: Target, held: Held, after: bytes | None, told: Sequence[Told]) -> Written:
    state = "unchanged"
    if after != held.content:
        state = "new" if held.content is None else "removed" if after is None else "changed"
    diff = difflib.unified_diff(
        _rows(held.content),
        _rows(after),
        str(target.path) if held.content is not None else "/dev/null",
        str(target.path) if after is not None else "/dev/null",
    )
    return Written(str(target.path), target.repo, state, "".join(diff), tuple(one.pattern.id for one in told))


def _rows(content: bytes | None) -> list[str]:
    text = (content or b"").decode("utf-8", "replace").replace("\r\n", "\n")
    rows = [f"{row}\n" for row in text.split("\n")]
    if text.endswith("\n") or not text:
        return rows[:-1]
    return [*rows[:-1], f"{rows[-1]}\\ No newline at end of file\n"]


def _apart(targets: Sequence[Target]) -> list[tuple[Target, Held]]:
    """Each file once: where several names lead to one, it is for the readers of all of them."""
    found: dict[Path, tuple[Target, Held]] = {}
    for target in targets:
        held = files.read(target.path, target.inside)
        before = found.get(held.path)
        if before is not None:
            names = tuple(dict.fromkeys((*before[0].names, *target.names)))
            target = replace(before[0], readers=before[0].readers.with_(target.readers), names=names)
        found[held.path] = (target, held)
    return list(found.values())


def _tellable(pattern: Pattern) -> Pattern:
    if pattern.state not in TELLABLE:
        remedy = "approve it first" if pattern.state != "rejected" else "edit and approve it first"
        raise Conflict(
            f"pattern {pattern.id!r} is {pattern.state}; {remedy}: `carryover patterns approve {pattern.id}`"
        )
    if not line_of(pattern.lesson):
        raise Invalid(f"pattern {pattern.id!r} has no lesson that could be told; edit it first", field="id")
    return pattern


def _fits(pattern: Pattern, target: Target, wish: Wish) -> bool:
    if wish.seen_here and not any(is_in(repo, target.names) for repo in pattern.repos):
        return False
    seen = not pattern.flavors or any(flavor in pattern.flavors for flavor in target.readers.audience)
    return seen or (wish.all_flavors and pattern.cross_flavor)


def _drawn(
    wanted: Sequence[Pattern], targets: Sequence[Target], wish: Wish, told: Sequence[Exposure]
) -> dict[str, Assignment]:
    """For each pattern, the repositories in which it is told and those in which it is not."""
    if wish.share >= 1:
        return {}
    repos = sorted({target.repo for target in targets} - {EVERYWHERE})
    if len(repos) < 2 or wish.share <= 0 or any(target.repo == EVERYWHERE for target in targets):
        raise Invalid(
            f"a share of {wish.share:g} cannot be drawn from {len(repos)} repositories; name two or more, "
            "not the user, and a share between 0 and 1",
            field="share",
        )
    before = {one.pattern: known for one in told if (known := assign.known(one.detail)) is not None}
    return {one.id: assign.assigned(one.id, repos, wish.share, wish.seed, before.get(one.id)) for one in wanted}


def _require_ours(change: Change, known: Collection[str], force: bool) -> None:
    """Raises Conflict where the block holds what somebody else wrote, and that would be lost."""
    content, path = change.held.content, change.target.path
    block = None if content is None or change.after == content else blocks.found(content, str(path))
    if block is None or force:
        return
    if not block.intact:
        raise _edited(path)
    others = [line for line in lines_in(block.lines) if line not in known and line not in change.lines]
    if others:
        raise Conflict(
            f"the block in {path} tells what another store of carryover wrote there ({others[0][2:60]!r}, "
            f"{len(others)} in all); use `--force` to replace that"
        )


def _edited(path: Path) -> Conflict:
    return Conflict(
        f"the block in {path} was edited by hand; move what you wrote out of it, or use `--force` to lose it"
    )
