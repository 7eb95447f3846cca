"""The flavors of which there is less: what is read of real logs and of other projects' samples of them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from carryover.coding.adapters.base import Reading
from carryover.coding.adapters.catalog import adapter_for
from carryover.coding.logs.reading import beginning
from golden_logs import read_whole

FOLDERS = {
    "gemini": "gemini-cli",
    "opencode": "opencode",
    "copilot": "copilot-cli",
    "cursor": "cursor",
}
# Of each folder: steps, calls, failed ones, tokens of the input, from the cache, of the output, and unknown records.
TRUTH = {
    "gemini/adversarial": (4, 0, 0, 10, 0, 2, 0),
    "gemini/agent-sessions": (19, 3, 1, 12532, 11502, 243, 0),
    "gemini/agentsview": (23, 3, 0, 3350, 150, 650, 0),
    "gemini/entire": (69, 12, 0, 43497, 161019, 2267, 0),
    "opencode/agent-sessions": (18, 3, 1, 120, 0, 16, 0),
    "copilot/agent-sessions": (40, 6, 2, 295, 805, 65, 0),
    "cursor/agent-sessions": (39, 8, 0, 0, 0, 0, 1),
    "other/gptme": (7, 0, 0, 320, 200, 57, 0),
    "other/vibe": (10, 1, 0, 0, 0, 0, 0),
}


def read(path: Path) -> Reading | None:
    adapter = adapter_for(beginning(path, 64 << 10), path)
    return None if adapter is None else read_whole(adapter, path)[0]


def logs(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


@pytest.mark.parametrize("name", TRUTH)
def test_what_is_read_of_it(shared: Path, name: str) -> None:
    total = Counter[str]()
    for path in logs(shared / "corpus" / name):
        if (reading := read(path)) is None:
            continue
        assert reading.malformed == 0
        steps = {step.uid: step for part in reading.parts.values() for step in part.steps}.values()
        spends = {spend.key: spend for part in reading.parts.values() for spend in part.spends}.values()
        total["steps"] += len(steps)
        total["calls"] += sum(step.kind == "call" for step in steps)
        total["failed"] += sum(step.status in ("error", "rejected") for step in steps)
        for field in ("input", "cache_read", "output"):
            total[field] += sum(getattr(spend, field) for spend in spends)
        total["unknown"] += sum(count for (_, _, known), count in reading.formats.items() if not known)
    names = ("steps", "calls", "failed", "input", "cache_read", "output", "unknown")
    assert tuple(total[name] for name in names) == TRUTH[name]


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_file_is_of_its_flavor_or_of_none(shared: Path, folder: str) -> None:
    left = set[str]()
    for path in logs(shared / "corpus" / folder):
        adapter = adapter_for(beginning(path, 64 << 10), path)
        if adapter is None:
            left.add(path.name.partition("_")[2] or path.name)
        else:
            assert adapter.flavor == FOLDERS[folder], path
    assert left <= {"VSGitHubCopilot_traces.jsonl", "migration"}


def test_logs_of_formats_that_are_not_known_are_left_alone(shared: Path) -> None:
    flavors = Counter[str]()
    for path in logs(shared / "corpus" / "other"):
        adapter = adapter_for(beginning(path, 64 << 10), path)
        flavors[path.relative_to(shared / "corpus" / "other").parts[0]] += (
            adapter is not None and adapter.flavor == "jsonl"
        )
        assert adapter is None or adapter.flavor in ("jsonl", "claude-code"), path
    assert {name for name, count in flavors.items() if count} == {"gptme", "vibe"}


@pytest.mark.parametrize("name", ["entire", "agentsview"])
def test_calls_and_tokens_of_gemini_are_those_that_its_documents_say(shared: Path, name: str) -> None:
    for path in logs(shared / "corpus" / "gemini" / name):
        messages = json.loads(path.read_bytes())["messages"]
        reading = read(path)
        assert reading is not None
        (part,) = reading.parts.values()
        calls = sum(len(message.get("toolCalls", [])) for message in messages)
        assert (
            [step.kind for step in part.steps].count("call")
            == [step.kind for step in part.steps].count("result")
            == calls
        )
        said = [message["tokens"] for message in messages if message.get("tokens")]
        found = sum(spend.input + spend.cache_read + spend.output for spend in part.spends)
        assert found == sum(sum(one[kind] for kind in ("input", "output", "thoughts", "tool")) for one in said)
        assert len(part.steps) >= len(messages) - 1


def test_a_whole_opencode_session_reads_alike_in_any_order(shared: Path) -> None:
    paths = logs(shared / "corpus" / "opencode" / "agent-sessions" / "storage_v2")
    there, back = ([uid for path in order for uid in _uids(path)] for order in (paths, paths[::-1]))
    assert sorted(there) == sorted(back)
    kinds = Counter(
        step.kind for path in paths if (reading := read(path)) for p in reading.parts.values() for step in p.steps
    )
    assert kinds == Counter(prompt=3, call=2, result=2, text=2, note=3, thinking=1, compaction=1, interrupt=1)


def _uids(path: Path) -> list[str]:
    reading = read(path)
    return [] if reading is None else [step.uid for part in reading.parts.values() for step in part.steps]
