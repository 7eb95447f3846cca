"""The second wall between tenants: PostgreSQL itself shows each transaction its own tenant's rows and no others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from carryover.core.scope import EVERY_TENANT, Scope
from carryover.store.store import Store
from carryover.store.trust_tables import metadata
from policy import POLICY
from serving import open_memory, serving
from walled import CANARY, Tenant, fill

# It holds hashes and numbers, and a policy would keep its index from being asked (decision 0012).
WITHOUT = {"chunks_text"}
POLICIES = """
SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity, p.polcmd, p.polpermissive,
       pg_get_expr(p.polqual, c.oid), pg_get_expr(p.polwithcheck, c.oid)
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant' AND NOT a.attisdropped
  LEFT JOIN pg_policy p ON p.polrelid = c.oid
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""
_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN) \"?(\w+)\"?", re.IGNORECASE)
# It is the key that says which tenant its bearer is; who waits for a job claims it as a worker does; and which programs
# may work with the schema stands in a counter of no tenant.
EVERYWHERE = {("*", "keys"), ("*", "jobs"), ("*", "counters")}
OWNED = {table.name for table in metadata.sorted_tables if "tenant" in table.c} | {"frequencies"}


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    with Store.open(postgres_url) as opened:
        yield opened


def test_every_table_with_a_tenant_has_its_policy(store: Store) -> None:
    with store.read(EVERY_TENANT) as tx:
        found = {row[0]: row[1:] for row in tx.conn.exec_driver_sql(POLICIES)}
    assert found.keys() == OWNED | WITHOUT
    tenant = "current_setting('app.tenant'::text, true)"
    own = f"((tenant = {tenant}) OR ({tenant} = '*'::text))"
    for name, (secured, command, permissive, reads, writes) in found.items():
        if name not in WITHOUT:
            assert (secured, command, permissive, reads, writes) == (True, "*", True, own, own), name


def test_no_role_of_a_server_is_above_the_policies(store: Store) -> None:
    with store.read(Scope("acme")) as tx:
        asked = "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
        assert tx.conn.exec_driver_sql(asked).scalar_one() is False


def test_all_that_is_kept_of_a_tenant_is_shown_to_no_other_transaction(tmp_path: Path, postgres_url: str) -> None:
    with open_memory(tmp_path, database_url=postgres_url) as memory:
        fill(memory.seen_by(Scope("acme")))
        store = memory.engine.store
        rows = {name: f'SELECT * FROM "{name}"' for name in sorted(OWNED)}
        with store.read(Scope("acme")) as tx:
            own = {name: tx.conn.exec_driver_sql(asked).all() for name, asked in rows.items()}
        with store.read(Scope("zeta")) as tx:
            told = {name: tx.conn.exec_driver_sql(asked).all() for name, asked in rows.items()}
    assert sum(map(bool, own.values())) > 20
    assert {name for name, found in told.items() if found} == set()


def test_every_statement_of_a_request_runs_in_its_tenant(tmp_path: Path, postgres_url: str) -> None:
    ran: list[tuple[str, str, set[str]]] = []

    def listen(_c: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        touched = set(_TABLE.findall(statement)) & OWNED
        if touched:
            with cursor.connection.cursor() as other:
                tenant = other.execute("SELECT current_setting('app.tenant', true)").fetchone()[0]
            ran.append((tenant, statement, touched))

    with open_memory(tmp_path, database_url=postgres_url) as memory, serving(memory) as running:
        acme, zeta = (fill(memory.seen_by(Scope(tenant))) for tenant in ("acme", "zeta"))
        with running.http(running.key("admin", tenant="acme")) as http:
            sa.event.listen(memory.engine.store.engine, "before_cursor_execute", listen)
            # A legal hold shuts older programs out of the whole database, in its own transaction.
            tried = [row for row in POLICY if row[:2] != ("POST", "/holds")]
            for method, path, _, body in tried:
                assert asked(http, method, path, body, acme) < 500, path
                assert method != "GET" or asked(http, method, path, body, zeta) < 500, path
    assert len(ran) > 300
    assert len({name for *_, touched in ran for name in touched}) > 25
    elsewhere = {(tenant, *touched) for tenant, _, touched in ran if tenant != "acme"}
    assert elsewhere <= EVERYWHERE, [one for one in ran if one[0] != "acme" and (one[0], *one[2]) not in EVERYWHERE]


def asked(http: httpx.Client, method: str, path: str, body: Any, whose: Tenant) -> int:
    """The status of a route with the tenant's ids in its path."""
    if path.endswith("/live"):
        return 0  # it would not end
    own = {f"{kind}_id": id for kind, id in whose.own.items()}
    id = whose.own[
        "pattern" if path.startswith("/patterns") else "finding" if path.startswith("/findings") else "session"
    ]
    rest = {"id": id, "version": 1, "a": 1, "b": 1, "seq": 1, "run": whose.own["run"], "name": "x", "decision": "try"}
    said = {"agent_id": whose.own["agent"], "user_id": whose.own["user"]}
    got = http.request(method, path.format(**own, **rest), json=body, params=said if "{" in path else None)
    assert method != "GET" or CANARY not in got.text or got.status_code == 200
    return got.status_code
