"""The audit log: who did what, in the order of commits, and a line that was changed or taken out shows."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import exc

from carryover.core.audit import AuditFilter, AuditLine
from carryover.core.errors import Forbidden
from carryover.core.scope import Caller, Scope
from carryover.store import audit
from carryover.store.store import Store, Tx
from carryover.store.trust_tables import audit as table

KEY = Scope("acme", by=Caller("key co_1", "http", "r-1"))
ZETA = Scope("zeta")


def note(store: Store, scope: Scope = KEY, **about: Any) -> None:
    with store.write(scope) as tx:
        audit.note(tx, **{"action": "key.create", "subject": "co_2", **about})


def lines(store: Store, scope: Scope = KEY, **want: Any) -> list[AuditLine]:
    with store.read(scope) as tx:
        return audit.listed(tx, AuditFilter(**want))[0]


def checked(store: Store, head: str | None = None) -> audit.Checked:
    with store.read(KEY) as tx:
        return audit.verify(tx, head)


def tamper(store: Store, statement: Any) -> None:
    """As somebody does it who may change the schema as well."""
    with store.write(KEY) as tx:
        if tx.dialect.name == "sqlite":
            for verb in ("updates", "deletes"):
                tx.conn.exec_driver_sql(f"DROP TRIGGER IF EXISTS audit_never_{verb}")
        else:
            tx.conn.exec_driver_sql("DROP TRIGGER IF EXISTS audit_never_changes ON audit")
        tx.conn.execute(statement.where(table.c.tenant == "acme"))


def test_a_line_says_who_did_what_and_how_it_ended(store: Store, clock: Any) -> None:
    note(store, detail="rights read")
    clock.pass_(5)
    note(store, Scope("acme"), action="forget", subject="user u", outcome="refused")
    assert lines(store) == [
        AuditLine(2, clock.at, "local", "embedded", "forget", "user u", "refused", ""),
        AuditLine(1, clock.at - 5, "key co_1", "http", "key.create", "co_2", "done", "rights read", "r-1"),
    ]


def test_a_line_goes_with_the_act_that_it_tells_of(store: Store) -> None:
    def fail(tx: Tx) -> None:
        audit.note(tx, action="forget", subject="user u")
        raise Forbidden

    with pytest.raises(Forbidden):
        store.transact(KEY, fail)
    assert lines(store) == []
    assert checked(store) == audit.Checked(0, "0:", ())


def test_lines_are_found_page_by_page_and_by_what_they_say(store: Store, clock: Any) -> None:
    for n in range(5):
        note(store, action=f"act.{n % 2}", subject=f"s{n}")
        clock.pass_(1)
    with store.read(KEY) as tx:
        first, cursor = audit.listed(tx, limit=3)
        second, end = audit.listed(tx, limit=3, cursor=cursor)
    assert [line.n for line in first + second] == [5, 4, 3, 2, 1]
    assert end is None
    assert [line.n for line in lines(store, action="act.1")] == [4, 2]
    assert [line.n for line in lines(store, subject="s2", who="key co_1")] == [3]
    assert lines(store, who="local") == []
    assert [line.n for line in lines(store, since=clock.at - 2, until=clock.at - 1)] == [4]


def test_each_tenant_has_its_own(store: Store) -> None:
    note(store)
    assert lines(store, ZETA) == []
    note(store, ZETA)
    assert [line.n for line in lines(store, ZETA)] == [1]


def test_nobody_changes_a_line_in_passing(store: Store) -> None:
    note(store)
    for statement in (table.update().values(who="nobody"), table.delete()):
        with pytest.raises(exc.DBAPIError, match="only ever added to"), store.write(KEY) as tx:
            tx.conn.execute(statement.where(table.c.tenant == "acme"))
    assert len(lines(store)) == 1


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (table.update().where(table.c.n == 3).values(who="nobody"), "line 3 is not as it was written"),
        (table.update().where(table.c.n == 5).values(outcome="refused"), "line 5 is not as it was written"),
        (table.delete().where(table.c.n == 3), "line 3 is missing"),
        (table.delete().where(table.c.n > 3), "lines 4 to 5 are missing"),
        (table.delete().where(table.c.n < 3), "lines 1 to 2 are missing"),
        (table.delete(), "lines 1 to 5 are missing"),
    ],
)
def test_what_was_tampered_with_shows(store: Store, statement: Any, said: str) -> None:
    for n in range(5):
        note(store, subject=f"s{n}")
    assert checked(store).faults == ()
    tamper(store, statement)
    assert said in checked(store).faults


def test_a_head_that_was_kept_elsewhere_shows_a_chain_that_was_made_anew(store: Store) -> None:
    note(store, subject="true")
    head = checked(store).head
    note(store)
    assert checked(store, head).faults == ()
    tamper(store, table.delete())
    with store.write(KEY) as tx:
        tx.conn.execute(sa.text("DELETE FROM counters WHERE tenant = 'acme' AND name = 'audit'"))
    note(store, subject="false")
    note(store)
    assert checked(store).faults == ()
    assert checked(store, head).faults == (f"no line here has the head {head!r}",)


def test_acts_at_once_are_numbered_and_chained_one_after_the_other(store: Store) -> None:
    def act() -> None:
        for _ in range(10):
            audit.record(store, KEY, action="profile.read", subject="u")

    threads = [threading.Thread(target=act) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (checked(store).lines, checked(store).faults) == (40, ())
