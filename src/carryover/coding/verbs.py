"""What can be asked of coding sessions, and done with their patterns, as one scope sees them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from carryover.coding.patterns import candidates, curate
from carryover.coding.rollout import distribute, measure, targets
from carryover.core.clock import Time
from carryover.core.digest import Digest, Outcome
from carryover.core.errors import Invalid, NotFound
from carryover.core.paging import at_most, make_cursor, read_cursor
from carryover.core.pattern import LEAST, Decision, Effect, Pattern, PatternState, Rollout, Written
from carryover.core.scope import Scope
from carryover.core.step import FLAVORS, Flavor
from carryover.store import digests
from carryover.store.store import Store

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
BY = "api"  # who decides, where nobody says


class Coding:
    """Digests and patterns in this process; both clients have the same verbs, word for word."""

    def __init__(self, store: Store, scope: Scope, repos: Sequence[Path] = ()) -> None:
        """`repos` are the repositories into which patterns may be written."""
        self._store = store
        self._scope = scope
        self._repos = repos

    def digests(
        self,
        *,
        repo: str | None = None,
        flavor: Flavor | None = None,
        outcome: Outcome | None = None,
        since: Time | None = None,
        until: Time | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[list[Digest], str | None]:
        """Digests of sessions that ended then, newest first, and the cursor of the next page."""
        self._scope.require("read")
        _require_one_of(flavor, FLAVORS, "flavor")
        _require_one_of(outcome, OUTCOMES, "outcome")
        limit = at_most(limit)
        before = read_cursor(cursor, (int, str, str)) if cursor else None
        with self._store.read(self._scope) as tx:
            found = digests.listed(
                tx, repo=repo, flavor=flavor, outcome=outcome, since=since, until=until, limit=limit + 1, before=before
            )
        shown = found[:limit]
        return shown, make_cursor(*digests.place(shown[-1])) if len(found) > limit else None

    def digest(self, session_id: str, *, agent: str | None = None) -> Digest:
        """The digest of a session, of whichever agent has one of that id if none is named. Raises NotFound."""
        self._scope.require("read")
        with self._store.read(self._scope) as tx:
            found = (digests.get(tx, one, session_id) for one in (FLAVORS if agent is None else (agent,)))
            digest = next((one for one in found if one is not None), None)
        if digest is None:
            raise NotFound(f"session {session_id!r} has no digest here; list them with `carryover ingest`")
        return digest

    def detect(
        self,
        *,
        min_frequency: int = LEAST,
        repo: str | None = None,
        flavor: Flavor | None = None,
        since: Time | None = None,
    ) -> list[Pattern]:
        """What recurs, best first, as it stands in the catalog, counted over these sessions.

        New candidates are in the catalog. Raises Forbidden or Invalid.
        """
        return candidates.detect(
            self._store, self._scope, min_frequency=min_frequency, repo=repo, flavor=flavor, since=since
        )

    def patterns(self, *, state: PatternState | None = None) -> list[Pattern]:
        """The tenant's patterns, or those in one state, the highest score first. Raises Forbidden or Invalid."""
        return curate.listed(self._store, self._scope, state)

    def pattern(self, id: str) -> Pattern:
        """The newest version of a pattern, with its evidence. Raises Forbidden or NotFound."""
        return curate.versions(self._store, self._scope, id)[0]

    def versions(self, id: str) -> list[Pattern]:
        """All versions of a pattern, the newest first; that one alone has evidence. Raises Forbidden or NotFound."""
        return curate.versions(self._store, self._scope, id)

    def decide(self, id: str, decision: Decision, *, by: str = BY, reason: str = "") -> Pattern:
        """The pattern is approved or rejected.

        Raises Forbidden, NotFound, Invalid, or Conflict where it cannot be now.
        """
        return curate.decide(self._store, self._scope, id, decision, by, reason)

    def edit(
        self, id: str, *, title: str | None = None, lesson: str | None = None, by: str = BY, reason: str = ""
    ) -> Pattern:
        """The pattern has this title and this lesson; a rejected one is a candidate again.

        Raises Forbidden, NotFound, Invalid, or Conflict while agents are told it.
        """
        return curate.edit(self._store, self._scope, id, title, lesson, by=by, reason=reason)

    def distribute(self, id: str, rollout: Rollout | None = None, *, by: str = BY, reason: str = "") -> list[Written]:
        """The pattern is told in repositories that the settings name, and what became of each file of theirs.

        Raises Forbidden, NotFound, Invalid for other repositories, or Conflict where it may not be told.
        """
        rollout = rollout or Rollout()
        curate.versions(self._store, self._scope, id)
        wish, goal = distribute.asked_for([id], rollout)
        folders = targets.allowed(rollout.repos, self._repos)
        where = [one for folder in folders for one in targets.of_repo(folder, rollout.files, rollout.skill)]
        changes = distribute.plan(self._store, self._scope, where, wish)
        if not rollout.dry_run:
            distribute.carry_out(self._store, self._scope, changes, goal, by=by, reason=reason)
        return [change.shown for change in changes]

    def withdraw(
        self, id: str, *, force: bool = False, dry_run: bool = False, by: str = BY, reason: str = ""
    ) -> list[Written]:
        """No file tells the pattern any more, and it is withdrawn; what became of each file.

        Raises Forbidden, NotFound, Invalid for files elsewhere, or Conflict where it is not distributed.
        """
        changes = distribute.withdrawing(self._store, self._scope, id, force=force)
        targets.require_allowed([change.target.path for change in changes], self._repos)
        if not dry_run:
            distribute.withdraw(self._store, self._scope, id, changes, by, reason)
        return [change.shown for change in changes]

    def measure(self, id: str | None = None, *, by: str = BY) -> list[Effect]:
        """What distributed patterns changed, or this one, as of now.

        Raises Forbidden, NotFound, or Conflict for a pattern that nobody was told.
        """
        return measure.measure(self._store, self._scope, id, by=by)


def _require_one_of(value: str | None, known: Sequence[str], field: str) -> None:
    if value is not None and value not in known:
        raise Invalid(f"{field} {value!r} is none of {', '.join(known)}; name one of them", field=field)
