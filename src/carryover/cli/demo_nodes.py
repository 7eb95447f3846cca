"""The cluster that the demo plays on: asked and told by what its `state.json` says, and by nothing else."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from carryover.core.errors import StoreUnavailable

_ASK_S = 1.5
_LOOK_S = 0.1

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Node:
    """How a node stands, as the cluster sees it; `lag` is in bytes of the log, None where nobody knows."""

    name: str
    role: str
    state: str
    lag: int | None

    @property
    def leads(self) -> bool:
        return self.role == "leader" and self.state == "running"

    @property
    def follows(self) -> bool:
        return self.role != "leader" and self.state == "streaming" and self.lag == 0


@dataclass(frozen=True, slots=True)
class Nodes:
    """A cluster that was started on this machine."""

    names: tuple[str, ...]
    patroni: tuple[str, ...]  # the URLs of all of them
    api_urls: tuple[str, ...]
    control: tuple[str, ...]

    def look(self) -> dict[str, Node]:
        """All nodes, as the first that answers sees them; empty where none does."""
        for url in self.patroni:
            try:
                with urllib.request.urlopen(f"{url}/cluster", timeout=_ASK_S) as answer:
                    return {one["name"]: _node(one) for one in json.load(answer)["members"]}
            except (OSError, ValueError, KeyError):
                continue
        return {}

    def leader(self) -> str | None:
        """The name of the node that leads."""
        return next((one.name for one in self.look().values() if one.leads), None)

    def leader_but(self, old: str) -> str | None:
        """The name of another node that leads."""
        return None if (leader := self.leader()) == old else leader

    def is_whole(self) -> bool:
        """One node leads, and all others follow without lag."""
        seen = self.look().values()
        leading = [one.name for one in seen if one.leads]
        following = [one.name for one in seen if one.follows]
        return len(leading) == 1 and sorted(leading + following) == sorted(self.names)

    def tell(self, verb: str, name: str) -> None:
        """The verb of the cluster's own command was done to the node. Raises StoreUnavailable."""
        done = subprocess.run([*self.control, verb, name], check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise StoreUnavailable(f"`{verb} {name}` failed ({done.stderr.strip()}); run `make cluster`")


def find(folder: Path) -> Nodes:
    """The cluster of this folder, which is whole. Raises StoreUnavailable where there is none, or where it is not."""
    try:
        state = json.loads((folder / "state.json").read_text("utf-8"))
        nodes = cast("list[dict[str, Any]]", state["nodes"])
        found = Nodes(
            tuple(one["name"] for one in nodes),
            tuple(f"http://{one['host']}:{one['rest']}" for one in nodes),
            tuple(state["api_urls"]),
            tuple(state["control"]),
        )
    except OSError as cause:
        raise StoreUnavailable(f"there is no cluster in {folder}; run `make cluster`") from cause
    except (ValueError, KeyError, TypeError) as cause:
        raise StoreUnavailable(
            f"{folder / 'state.json'} describes no cluster ({cause!r}); run `make cluster-down && make cluster`"
        ) from cause
    if not found.api_urls or not found.is_whole():
        seen = ", ".join(f"{one.name} {one.state}" for one in found.look().values()) or "no node answers"
        raise StoreUnavailable(f"the cluster in {folder} is not whole ({seen}); run `make cluster`")
    return found


def wait(found: Callable[[], T | None], what: str, timeout_s: float) -> T:
    """What `found` gave when it first gave something. Raises StoreUnavailable after the time."""
    end = time.monotonic() + timeout_s
    while not (value := found()):
        if time.monotonic() > end:
            raise StoreUnavailable(f"{what} took more than {timeout_s:.0f} s; see the logs beside state.json")
        time.sleep(_LOOK_S)
    return value


def _node(one: dict[str, Any]) -> Node:
    lag = one.get("lag", 0)
    return Node(one["name"], one["role"], one["state"], lag if isinstance(lag, int) else None)
