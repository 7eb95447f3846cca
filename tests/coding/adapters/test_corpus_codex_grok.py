"""Logs of Codex and Grok Build that others published: what is read of them is what stands in them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carryover.coding.adapters.base import Part, Reading
from carryover.coding.adapters.catalog import adapter_for
from carryover.coding.logs.reading import beginning, opened, read
from carryover.core.step import Spend

MALFORMED = {"grok/adversarial": 1}


@pytest.fixture
def corpus(shared: Path) -> Path:
    folder = shared / "corpus"
    if not folder.is_dir():
        pytest.skip(f"no logs at {folder}")
    return folder


def read_of(path: Path) -> Reading:
    adapter = adapter_for(beginning(path, 64 << 10), path)
    assert adapter is not None, path
    with opened(adapter, path) as file:
        return read(adapter, path, file)[0]


def part_of(path: Path) -> Part:
    (part,) = read_of(path).parts.values()
    return part


def kinds(part: Part) -> Counter[str]:
    return Counter(step.kind for step in part.steps)


def spent(*parts: Part) -> tuple[int, int, int]:
    every: dict[str, Spend] = {spend.key: spend for part in parts for spend in part.spends}
    total = [(spend.input + spend.cache_read, spend.cache_read, spend.output) for spend in every.values()]
    return sum(one[0] for one in total), sum(one[1] for one in total), sum(one[2] for one in total)


def records(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text("utf-8").splitlines():
        yield json.loads(line)


@pytest.mark.parametrize("flavor", ["codex", "grok"])
def test_every_log_is_known_and_all_of_it_is(corpus: Path, flavor: str):
    paths = sorted((corpus / flavor).rglob("*.json*"))
    assert len(paths) > 20
    for path in paths:
        adapter = adapter_for(beginning(path, 64 << 10), path)
        assert adapter is not None, path
        assert adapter.flavor == flavor, path
        reading = read_of(path)
        where = path.relative_to(corpus).as_posix()
        assert reading.malformed == next((n for start, n in MALFORMED.items() if where.startswith(start)), 0), path
        assert [type for _, type, known in reading.formats if not known] == [], path
        assert len(reading.parts) == 1, path
        for part in reading.parts.values():
            assert max(Counter(step.uid for step in part.steps).values(), default=1) == 1, path


def test_a_total_that_is_told_again_is_spent_once(corpus: Path):
    assert spent(part_of(corpus / "codex/adversarial/token_count_repeats.jsonl")) == (250, 0, 10)


def test_a_branch_and_its_parent_spend_what_the_branch_tells(corpus: Path):
    folder = corpus / "codex/ccusage/branch-history"
    parent, branch = (read_of(path) for path in sorted(folder.iterdir(), key=lambda path: "branch" in path.name[20:]))
    assert set(parent.parts).isdisjoint(branch.parts)
    assert spent(*parent.parts.values(), *branch.parts.values()) == (1_600, 300, 450)


def test_traps_of_codex(corpus: Path):
    adversarial, others = corpus / "codex/adversarial", corpus / "codex/agent-sessions"
    early = part_of(adversarial / "legacy_no_envelope_2025-05.jsonl")
    assert (early.steps[0].kind, early.steps[0].text) == ("prompt", "list files")
    assert (early.steps[2].status, early.steps[2].exit_code, early.steps[2].text) == ("ok", 0, "a.txt\n")
    assert kinds(part_of(adversarial / "no_session_meta.jsonl")) == {"prompt": 1}
    torn = adversarial / "torn_tail.jsonl"
    adapter = adapter_for(beginning(torn, 64 << 10), torn)
    assert adapter is not None
    with opened(adapter, torn) as file:
        reading, end = read(adapter, torn, file)
    assert end == torn.read_bytes().rfind(b"\n") + 1
    assert reading.malformed == 0
    large = part_of(others / "large.jsonl")
    assert [step.text for step in large.steps if step.kind == "prompt"] == [
        "Start",
        *(f"Step {n}" for n in range(1, 6)),
    ]
    assert spent(large) == (12_091, 10_880, 182)
    assert spent(part_of(others / "codex_051_usage.jsonl")) == (4_260, 1_800, 2_430)
    limited = part_of(others / "codex_053_rate_limit.jsonl")
    assert [step.text for step in limited.steps] == ["Rate limit exceeded"]
    assert spent(limited) == (12_091, 10_880, 182)
    small = kinds(part_of(others / "small.jsonl"))
    assert (small["interrupt"], small["failure"]) == (1, 1)


def test_children_of_codex_threads(corpus: Path):
    (spawned,) = (corpus / "codex/claude-code-log").rglob("*.jsonl")
    about = part_of(spawned).about
    assert (about.kind, about.parent) == ("subagent", "22222222-2222-4222-8222-222222222222")
    other = part_of(corpus / "codex/agentsview/traex_rollout_subagent.jsonl")
    assert (other.about.kind, other.about.parent) == ("subagent", "019fbc4a-48b9-7472-a0da-6d92901383db")
    assert [step.kind for step in other.steps].count("prompt") == 1
    assert spent(other) == (4_200, 3_600, 180)


@pytest.mark.parametrize("day", ["06", "16", "21", "22", "29", "03", "12"])
def test_rollouts_of_real_content_lose_nothing(corpus: Path, day: str):
    (path,) = (corpus / "codex/derived/sessions/2026").glob(f"*/{day}/*.jsonl")
    part = part_of(path)
    payloads = [(record["type"], record["payload"]) for record in records(path)]
    items = [payload for type, payload in payloads if type == "response_item"]
    events = [payload for type, payload in payloads if type == "event_msg"]
    outputs = {item["call_id"]: item["output"] for item in items if item["type"].endswith("_output")}

    told = kinds(part)
    assert told["call"] == sum(item["type"] in ("function_call", "custom_tool_call") for item in items)
    assert told["result"] == len(outputs)
    assert told["prompt"] == sum(event["type"] == "user_message" for event in events)
    assert told["text"] == sum(event["type"] == "agent_message" for event in events)
    assert told["thinking"] == sum(event["type"] == "agent_reasoning" for event in events)
    assert told["interrupt"] == sum(event["type"] == "turn_aborted" for event in events)
    assert told["compaction"] == sum(type == "compacted" for type, _ in payloads)

    results = {step.call_id: step for step in part.steps if step.kind == "result"}
    for call, said in outputs.items():
        step = results[call]
        if said.endswith("rejected by user"):
            assert step.status == "rejected"
        else:
            assert step.exit_code == _exit_code(said)
            assert step.status == ("ok" if step.exit_code == 0 else "error")
    failed = {event["call_id"] for event in events if event["type"] == "patch_apply_end" and not event["success"]}
    assert {step.call_id for step in part.steps if step.kind == "outcome" and step.status != "ok"} == failed

    totals = [event["info"]["total_token_usage"] for event in events if event["type"] == "token_count"]
    last = totals[-1]
    assert spent(part) == (last["input_tokens"], last["cached_input_tokens"], last["output_tokens"])


def _exit_code(output: str) -> int:
    if output.startswith("{"):
        return json.loads(output)["metadata"]["exit_code"]
    header = output.partition("\nOutput:")[0]
    return int(header.rpartition("Process exited with code ")[2].split()[0])


def test_traps_of_grok(corpus: Path):
    (torn,) = (corpus / "grok/adversarial").rglob("chat_history.jsonl")
    assert [(step.kind, step.text) for step in part_of(torn).steps] == [
        ("prompt", "hello"),
        ("text", "after the torn line"),
    ]
    current, legacy = (
        next((corpus / "grok/agentsview" / name).rglob("chat_history.jsonl")) for name in ("current", "legacy")
    )
    wanted = {"note": 1, "prompt": 2, "thinking": 1, "call": 2, "result": 2, "text": 2}
    assert kinds(part_of(current)) == wanted
    old = part_of(legacy)
    assert kinds(old) == {"prompt": 1, "thinking": 1, "text": 2, "call": 1, "result": 1}
    same = part_of(legacy.with_name("source-v1.jsonl"))
    assert [step.uid for step in same.steps if step.kind != "thinking"] == [
        step.uid for step in old.steps if step.kind != "thinking"
    ]
    about = part_of(current.with_name("summary.json")).about
    assert (about.title, about.parent) == ("Audit Grok compatibility", "019f5000-0000-7000-8000-000000000000")
    (signals,) = part_of(current.with_name("signals.json")).steps
    assert signals.detail is not None
    assert signals.detail["turnCount"] == 2
    main = corpus / "grok/agent-sessions/chat_history.jsonl"
    assert list(read_of(main).parts) == list(read_of(main.with_name("summary.json")).parts)


def test_session_folders_of_real_content_agree_with_themselves(corpus: Path):
    folders = sorted(path.parent for path in (corpus / "grok/derived").rglob("updates.jsonl"))
    assert len(folders) == 6
    every = Counter[str]()
    for folder in folders:
        sessions = {session for path in folder.rglob("*.json*") for session in read_of(path).parts}
        assert sessions == {folder.name}
        updates, events = part_of(folder / "updates.jsonl"), part_of(folder / "events.jsonl")
        assert kinds(part_of(folder / "chat_history.jsonl")) == {}
        results = {step.call_id: step for step in updates.steps if step.kind == "result"}
        outcomes = {step.call_id: step.status for step in events.steps if step.kind == "outcome"}
        assert {call: step.status for call, step in results.items()} == outcomes
        assert kinds(updates)["call"] == len(outcomes)
        every.update(str(status) for status in outcomes.values())

        said = [record["params"]["update"] for record in records(folder / "updates.jsonl")]
        codes = {
            one["toolCallId"]: one["rawOutput"]["exit_code"] for one in said if "exit_code" in one.get("rawOutput", {})
        }
        assert {call: step.exit_code for call, step in results.items() if step.exit_code is not None} == codes
        usages = {one["prompt_id"]: one["usage"] for one in said if one["sessionUpdate"] == "turn_completed"}
        full = sum(usage["inputTokens"] for usage in usages.values())
        cached = sum(usage["cachedReadTokens"] for usage in usages.values())
        assert spent(updates) == (full, cached, sum(usage["outputTokens"] for usage in usages.values()))
        cost = sum(usage["costUsdTicks"] // 10 for usage in usages.values())
        assert sum(spend.cost or 0 for spend in updates.spends) == cost

        counted = json.loads((folder / "signals.json").read_text("utf-8"))
        assert counted["toolCallCount"] == len(outcomes)
        assert kinds(updates)["compaction"] == counted["compactionCount"]
        ended = [record for record in records(folder / "events.jsonl") if record.get("outcome") == "cancelled"]
        assert kinds(events)["interrupt"] == sum(record["type"] == "turn_ended" for record in ended)
    assert every == {"ok": 227, "error": 15, "rejected": 11}
