"""Durable appends through the API on PostgreSQL, against what pgbench gets on the same server in the same run.

    python -m benchmarks.postgres [--seconds 5] [--clients 64]

Two baselines: pgbench inserting one row of the same size and key a transaction, the least that a durable log can do;
and pgbench running the seven statements of a whole append (turn, body, head, two jobs, event, ids). All of them
share this machine with the server and the load, so that processor time is what bounds them: it is printed beside.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.server import SAID, answered
from carryover.store.store import Store
from servers import postgres

ROW = f"""
\\set k random(1, 9000000000000000)
INSERT INTO plain VALUES ('acme', 'default', 's' || :client_id, :k, 't_0123456789abcdef', 'user', 'message',
  NULL, NULL, 1790000000000, 1790000000000, 40, NULL, NULL, repeat('d', 64), '"{SAID.replace("'", "")}"');
"""
APPEND = f"""
\\set k random(1, 9000000000000000)
BEGIN;
SET LOCAL app.tenant = 'acme';
SELECT * FROM sessions WHERE tenant = 'acme' AND agent = 'default' AND session = 's' || :client_id FOR UPDATE;
INSERT INTO turns VALUES ('acme', 'default', 's' || :client_id, :k, 't_0123456789abcdef', 'user', 'message',
  NULL, NULL, 1790000000000, 1790000000000, 40, NULL, NULL, repeat('d', 64));
INSERT INTO bodies VALUES ('acme', 'default', 's' || :client_id, :k, '"{SAID.replace("'", "")}"');
INSERT INTO sessions VALUES ('acme', 'default', 's' || :client_id, NULL, 1, 40, 0, 0, 0, NULL, NULL, NULL, '{{}}')
  ON CONFLICT (tenant, agent, session) DO UPDATE SET version = sessions.version + 1;
INSERT INTO jobs VALUES ('acme', 'consolidate', 'default/s' || :client_id, 1, 1, 0, NULL, NULL, NULL, false, NULL),
  ('acme', 'index', 'default/s' || :client_id, 1, 1, 0, NULL, NULL, NULL, false, NULL)
  ON CONFLICT (tenant, kind, subject) DO UPDATE SET revision = jobs.revision + 1;
INSERT INTO counters VALUES ('acme', 'event-default', 1) ON CONFLICT (tenant, name) DO UPDATE
  SET value = counters.value + 1;
INSERT INTO events VALUES ('acme', 'default', :k, 1, 'append', 's' || :client_id, NULL, '{{}}');
COMMIT;
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load")
    parser.add_argument("--clients", type=int, default=64)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, postgres.running() as server:
        url = server.create("carryover")
        Store.open(url).close()
        server.sql("CREATE TABLE plain (LIKE turns, body text, PRIMARY KEY (tenant, agent, session, seq))",
                   database="carryover")  # fmt: skip
        server.sql("GRANT ALL ON plain TO carryover", database="carryover")
        scripts = {"one row": ROW, "whole append": APPEND}
        rates: dict[str, float] = {}
        for name, script in scripts.items():
            path = Path(folder) / f"{name[:3]}.sql"
            path.write_text(script)
            rates[name] = pgbench(server, path, given.clients, given.seconds)
            print(f"pgbench, {name}: {rates[name]:.0f}/s with {given.clients} clients", flush=True)
        ours: dict[int, float] = {}
        for processes in (1, 4):
            with served(Path(folder) / f"home{processes}", url, processes) as port:
                answered(port, given.clients, 1.0)  # every process has met the database
                before = spent()
                got = answered(port, given.clients, given.seconds)
            ours[processes] = got["rate"]
            print(
                f"API, {processes} process{'es' if processes > 1 else ''}: {got['rate']:.0f} appends/s, "
                f"p50 {got['p50_ms']:.1f} ms, p99 {got['p99_ms']:.1f} ms; "
                f"{(spent() - before) / got['rate'] / given.seconds * 1e6:.0f} us of processor an append, load included"
            )
        best = max(ours.values())
        print(f"API / one row of pgbench: {best / rates['one row']:.2f} (goal 0.5)")
        print(f"API / whole appends of pgbench: {best / rates['whole append']:.2f}")
        print(f"4 processes / 1: x{ours[4] / ours[1]:.2f} (goal 1.7 on {os.cpu_count()} cores)")


def pgbench(server: postgres.Server, script: Path, clients: int, seconds: float) -> float:
    command = [postgres.binaries() / "pgbench", "-n", "-M", "prepared", "-c", str(clients), "-j", "2",
               "-T", str(max(1, round(seconds))), "-f", script, server.url("carryover")]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    found = re.search(r"tps = ([0-9.]+)", done.stdout)
    assert found, done.stderr[-1000:]
    return float(found[1])


@contextmanager
def served(home: Path, url: str, processes: int) -> Iterator[int]:
    """The port of `carryover serve`, which works on nothing but requests."""
    home.mkdir()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CARRYOVER_")}
    own = {"CARRYOVER_HOME": str(home), "CARRYOVER_DATABASE_URL": url, "CARRYOVER_EMBEDDER": "none"}
    command = [sys.executable, "-m", "carryover", "serve", "--port", "0", "--no-worker", "--workers", str(processes)]
    with subprocess.Popen(command, env={**inherited, **own}, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"listens on http://127.0.0.1:(\d+)", line):
                break
        else:
            raise RuntimeError("the server did not start")
        threading.Thread(target=process.stderr.read, daemon=True).start()  # so that it is never blocked
        time.sleep(1.0 if processes > 1 else 0.2)
        try:
            yield int(found[1])
        finally:
            process.terminate()
            process.wait(60)


def spent() -> float:
    """Seconds of processor time of the whole machine."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _wait, irq, soft = (int(field) for field in fields[:7])
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    main()
