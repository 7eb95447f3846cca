"""What uses the cluster: Redis, two API processes and two workers of carryover, each with a home of its own."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

from servers import processes, redis
from servers.cluster import Cluster, wait_for
from servers.processes import Process

_READY_S = 60


def serve(cluster: Cluster, apis: int = 2, workers: int = 2) -> None:
    """They run and the API answers. Raises RuntimeError with the ends of the logs; then nothing runs any more."""
    with cluster.undone_on_failure():
        redis_port, *ports = processes.ports(1 + apis)
        redis_url = f"redis://127.0.0.1:{redis_port}/0"
        api_urls = [f"http://127.0.0.1:{port}" for port in ports]
        cluster.write(replace(cluster.state, redis_url=redis_url, api_urls=api_urls))
        cluster.begin(_redis(cluster, redis_port))
        _upgrade(cluster)
        cluster.begin(
            *(
                _carryover(cluster, f"api-{number}", "serve", "--no-worker", "--port", str(port))
                for number, port in enumerate(ports, 1)
            ),
            *(_carryover(cluster, f"worker-{number}", "worker") for number in range(1, workers + 1)),
        )
        wait_for(lambda: _answers(cluster), _READY_S, lambda: f"{', '.join(api_urls)} do not answer")


def _answers(cluster: Cluster) -> bool:
    cluster.require_running()
    return all(_is_ready(url) for url in cluster.state.api_urls)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health/ready", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def _redis(cluster: Cluster, port: int) -> Process:
    folder = _home(cluster, "redis")
    options = {"bind": "127.0.0.1", "dir": str(folder), "save": "", "appendonly": "no", "port": str(port)}
    given = [part for name, value in options.items() for part in (f"--{name}", value)]
    command = [redis.binary("redis-server"), *given]
    return _process(cluster, "redis", command, f"127.0.0.1:{port}", {})


def _carryover(cluster: Cluster, name: str, *words: str) -> Process:
    command = [sys.executable, "-m", "carryover", *words]
    return _process(cluster, name, command, " ".join(command[1:]), _settings(cluster, name))


def _upgrade(cluster: Cluster) -> None:
    """The tables are there before several processes look for them."""
    made = _carryover(cluster, "upgrade", "db", "upgrade")
    done = subprocess.run(made.command, env=made.environment, cwd="/", check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"`carryover db upgrade` failed: {done.stderr.strip()}")


def _settings(cluster: Cluster, name: str) -> dict[str, str]:
    state = cluster.state
    return {
        "CARRYOVER_DATABASE_URL": state.dsn,
        "CARRYOVER_REDIS_URL": state.redis_url,
        "CARRYOVER_HOME": str(_home(cluster, name)),
        "CARRYOVER_LOG_LEVEL": "info",
    }


def _process(cluster: Cluster, name: str, command: list[str], mark: str, environment: dict[str, str]) -> Process:
    home = _home(cluster, name)
    return Process(
        name=name,
        node=None,
        command=command,
        environment={**processes.environment(home), **environment},
        log=str(cluster.folder / "logs" / f"{name}.log"),
        mark=mark,
    )


def _home(cluster: Cluster, name: str) -> Path:
    folder = cluster.folder / "homes" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
