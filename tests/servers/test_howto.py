"""What docs/howto/cluster.md has a superuser do is enough, and gives carryover no more rights than it needs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from servers import postgres

ROOT = Path(__file__).parents[2]
HOWTO = (ROOT / "docs/howto/cluster.md").read_text("utf-8")


def test_its_statements_make_a_database_that_carryover_can_use(tmp_path: Path) -> None:
    (statements,) = re.findall(r"^```sql\n(.*?)^```$", HOWTO, re.MULTILINE | re.DOTALL)
    with postgres.running() as server:
        server.sql(f"DROP ROLE {postgres.ROLE}")
        asked = [postgres.binaries() / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", server.url("postgres", "postgres")]
        subprocess.run(asked, input=statements, check=True, text=True)
        settings = {"CARRYOVER_DATABASE_URL": server.url("carryover"), "CARRYOVER_HOME": str(tmp_path)}
        for words in (["db", "upgrade"], ["log", "s1", "We will use PostgreSQL."], ["db", "check"]):
            command = [sys.executable, "-m", "carryover", *words]
            done = subprocess.run(
                command, env={**os.environ, **settings}, cwd=tmp_path, check=False, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
        assert done.stdout == "the database is sound\n"
        role = "SELECT rolsuper, rolbypassrls, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = 'carryover'"
        assert server.sql(role) == "f|f|f|f"
