"""What each ingredient of the ranking is worth: the labelled questions, asked with all of them and with one taken away.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.ablation [--folder ../shared/eval]

Every conversation is consolidated by rules, as the product does. Prints, for each set and mode, what is found with all
ingredients, and for each of them how that changes without it, with the 95 % interval of the difference over 10,000
draws of whole conversations. Vectors are remembered in the folder of temporary files; the first run takes some minutes
more.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from carryover.core.chunk import Query
from carryover.core.ports import Embedder
from carryover.core.scope import Scope
from carryover.core.session import Append
from carryover.engine import Engine
from carryover.evals.asking import HITS, Told, ranking
from carryover.evals.bootstrap import interval
from carryover.evals.labelled import Conversation
from carryover.evals.recall import Plan, Remembering, found
from carryover.providers.minilm import MiniLM
from carryover.recall.fuse import WEIGHTS
from carryover.recall.search import search
from carryover.runtime import Carryover
from carryover.settings import Settings

ALL = "all"
VECTORS = "vectors"
WITHOUT = {
    ALL: WEIGHTS,
    "neighbours": replace(WEIGHTS, neighbours=()),
    "session": replace(WEIGHTS, session=0.0),
    "coverage": replace(WEIGHTS, covers=0.0),
    "asking and answering": replace(WEIGHTS, asks=0.0, answers=0.0),
    "speaker": replace(WEIGHTS, speaker=0.0),
    "dates": replace(WEIGHTS, dated=0.0),
    "length": replace(WEIGHTS, length=0.0),
    "findings": replace(WEIGHTS, finding=0.0),
    "role": replace(WEIGHTS, long_answer=1.0, handicap=0.0),
}
MEASURES = ("R@10", "nDCG@10", "B500", "B1000")


@dataclass(frozen=True, slots=True)
class Asked:
    """What one question gave in one mode without one ingredient."""

    dataset: str
    conversation: str
    question: int
    mode: str
    without: str
    values: dict[str, float]


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--folder", type=Path, default=Path(os.environ.get("CARRYOVER_SHARED", "../shared")) / "eval")
    folder: Path = options.parse_args().folder
    embedder = Remembering(MiniLM(Path.home() / ".carryover/models"), Path(tempfile.gettempdir()) / "vectors")
    asked: list[Asked] = []
    for dataset, conversation in found(folder, Plan(sets=("locomo", "beam"))):
        asked += answers(dataset, conversation, embedder)
        print(f"{dataset} {conversation.name}", flush=True)
    for dataset in dict.fromkeys(one.dataset for one in asked):
        for mode in ("hybrid", "text"):
            print(table([one for one in asked if one.dataset == dataset], mode))


def answers(dataset: str, conversation: Conversation, embedder: Embedder) -> Iterator[Asked]:
    """Every question, asked in both modes without each ingredient in turn."""
    told = Told({(session, n): "" for session, said in conversation.sessions.items() for n in range(1, len(said) + 1)})
    with tempfile.TemporaryDirectory() as home:
        engine = Engine.open(Settings.model_validate({"home": home, "embedder": "none"}), embedder=embedder)
        engine = replace(engine, limits=replace(engine.limits, index_ms=0))
        with Carryover(engine, Scope(engine.settings.tenant)) as memory:
            for session, drafts in conversation.sessions.items():
                memory.append(Append(session, tuple(drafts)))
                memory.consolidate(session)
            engine.worker.drain(("index", "embed"), tenant=memory.scope.tenant)
            for number, question in enumerate(conversation.questions):
                for mode, used in (("hybrid", embedder), ("text", None)):
                    for without, weights in WITHOUT.items():
                        asked = Query(question.text, k=HITS)
                        hits = search(engine.store, memory.scope, asked, embedder=used, weights=weights)
                        values = ranking(hits.results, question, told)
                        if MEASURES[0] in values:
                            yield Asked(dataset, conversation.name, number, mode, without, values)


def table(asked: list[Asked], mode: str) -> str:
    """One set in one mode: first all ingredients, then the loss without each."""
    of = {(one.mode, one.without, one.conversation, one.question): one.values for one in asked}
    whole = {key[2:]: values for key, values in of.items() if key[:2] == (mode, ALL)}
    shares = [f"{100 * sum(values[name] for values in whole.values()) / len(whole):.1f}" for name in MEASURES]
    lines = [
        f"\n## {asked[0].dataset}, {mode}, {len(whole)} questions\n",
        f"| without | {' | '.join(MEASURES)} |",
        "|---" * (len(MEASURES) + 1) + "|",
        f"| nothing: all ingredients | {' | '.join(shares)} |",
    ]
    for without in (*WITHOUT, VECTORS)[1:]:
        other = ("text", ALL) if without == VECTORS else (mode, without)
        if (mode, ALL) != other:
            cells = [
                _lost({key: (values, of[*other, *key]) for key, values in whole.items()}, name) for name in MEASURES
            ]
            lines.append(f"| {without} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _lost(pairs: dict[tuple[str, int], tuple[dict[str, float], dict[str, float]]], name: str) -> str:
    changes = [100 * (other[name] - whole[name]) for whole, other in pairs.values()]
    one = interval(changes, [conversation for conversation, _ in pairs])
    between = "" if one.low is None or one.high is None else f" [{one.low:+.1f}, {one.high:+.1f}]"
    return f"{one.mean:+.1f}{between}"


if __name__ == "__main__":
    main()
