"""Extraction by a language model, held to what the turns say.

A statement survives only if its quote stands in the turns that it cites and they hold its every name, number and
date; one further call asks for details that nothing carries. What is dropped is counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from carryover.core.errors import ProviderError
from carryover.core.portions import portions
from carryover.core.ports import LLM
from carryover.core.session import Turn
from carryover.core.snapshot import Closed, Extraction, Finding, Found
from carryover.core.text import canonical_json, count_tokens
from carryover.core.usage import Usage
from carryover.memory import ground, prompts
from carryover.memory.proposals import Proposals, read

CHUNK_TOKENS = 32_000  # of turns in one call: more fits into many windows, but models then pass over more
ANSWER_TOKENS = 4_096
NOTES_TOKENS = 6_000  # of findings that are known already
SUMMARY_CHARS = 500
SLACK_TOKENS = 1_500  # what a provider wraps around a prompt and a schema, and a second try says more
LEAST_ROOM = 500
COVERAGE_FLOOR = 5  # so few details without a finding are not worth another call


def named(model: str, prompt: str = prompts.NEWEST) -> str:
    """The id of the extractor that asks this model with the prompt of this version."""
    return f"{model}@{prompt}"


@dataclass(frozen=True, slots=True)
class _Room:
    """How many tokens of each kind one call holds."""

    answer: int
    notes: int
    turns: int


@dataclass(slots=True)
class _Taken:
    """What has been taken down so far, over all chunks."""

    found: list[Found] = field(default_factory=list[Found])
    closed: list[Closed] = field(default_factory=list[Closed])
    summary: str = ""
    dropped: int = 0
    usage: Usage = field(default_factory=Usage)


class ModelExtractor:
    """An extractor (core.ports.Extractor) over one model; a session that its window cannot hold is read in parts."""

    def __init__(self, llm: LLM, prompt: str = prompts.NEWEST) -> None:
        self.name = llm.name
        self.id = named(llm.name, prompt)
        self._llm = llm
        self._head = prompts.HEADS[prompt]

    def estimate(self, turns: Sequence[Turn], live: Sequence[Finding]) -> Usage:
        """An upper bound on tokens and money: every call with its longest prompt and answer, retries included.

        Raises ProviderError where the model has no price or too small a window.
        """
        room = self._room()
        chunks = list(portions(turns, prompts.speech, prompts.piece, room.turns))
        known = room.notes if len(chunks) > 1 else sum(map(count_tokens, _notes(live, (), room.notes)))
        sizes = [_size(chunk) for chunk in chunks]
        if sizes:
            sizes.append(min(room.turns, max(sum(sizes), LEAST_ROOM)))  # the call that asks for what is missing
        total = Usage(self.name)
        for size in sizes:
            tokens_in = size + known + self._fixed()
            # What is written to a cache is the dearest kind. Each call is priced alone: long ones may cost more.
            one = self._llm.price(Usage(self.name, 1, tokens_in, room.answer, cache_write=tokens_in))
            for _ in range(self._llm.calls_per_complete):
                total = total.plus(one)
        return total

    def extract(self, turns: Sequence[Turn], live: Sequence[Finding]) -> tuple[Extraction, Usage]:
        """Raises ProviderError or ProviderUnavailable with the usage of all calls made until then."""
        room, taken = self._room(), _Taken(usage=Usage(model=self.name))
        for chunk in portions(turns, prompts.speech, prompts.piece, room.turns):
            self._read_chunk(chunk, turns, live, room, taken)
        if turns:
            self._cover(turns, live, room, taken)
        extraction = Extraction(
            tuple(taken.found), tuple(taken.closed), taken.summary, by=self.name, dropped=taken.dropped
        )
        return extraction, taken.usage

    def _read_chunk(
        self, chunk: Sequence[str], turns: Sequence[Turn], live: Sequence[Finding], room: _Room, taken: _Taken
    ) -> None:
        """What an earlier part found has a name of its own here, so that a later part can close it."""
        earlier = {f"new-{n}": n for n in range(len(taken.found))}
        new = [(id, taken.found[n]) for id, n in earlier.items()]
        known: dict[str, int | None] = {**dict.fromkeys(finding.id for finding in live), **earlier}
        prompt = prompts.extraction(_notes(live, new, room.notes), taken.summary, chunk)
        said = self._ask(prompt, turns, known, room, taken)
        taken.closed += said.closed
        taken.summary = said.summary or taken.summary
        _add(taken, said.found)

    def _cover(self, turns: Sequence[Turn], live: Sequence[Finding], room: _Room, taken: _Taken) -> None:
        """One more call, for details that no statement carries, if there are enough of them."""
        open_atoms = ground.uncovered(turns, [*taken.found, *live])
        if sum(map(len, open_atoms.values())) <= COVERAGE_FLOOR:
            return
        told = portions(turns, prompts.speech, prompts.piece, room.turns)
        budget = min(room.turns, max(sum(map(_size, told)), LEAST_ROOM))
        missing: dict[int, list[str]] = {}
        pieces: list[tuple[int, str]] = []
        # The turns with most to tell first, as many as fit; they are shown in their order.
        for turn in sorted((t for t in turns if t.seq in open_atoms), key=lambda t: (-len(open_atoms[t.seq]), t.seq)):
            details = sorted(open_atoms[turn.seq])
            shown = prompts.piece(turn, prompts.speech(turn))
            cost = count_tokens(shown) + count_tokens(f"turn {turn.seq}: {', '.join(details)}\n")
            if cost <= budget:
                budget -= cost
                missing[turn.seq] = details
                pieces.append((turn.seq, shown))
        if missing:
            shown_turns = [piece for _, piece in sorted(pieces)]
            prompt = prompts.coverage(dict(sorted(missing.items())), taken.summary, shown_turns)
            _add(taken, self._ask(prompt, turns, {}, room, taken).found)

    def _ask(
        self, prompt: str, turns: Sequence[Turn], known: Mapping[str, int | None], room: _Room, taken: _Taken
    ) -> Proposals:
        """What one call answered and the turns bear out."""
        try:
            reply = self._llm.complete(system=self._head, prompt=prompt, schema=prompts.SCHEMA, max_tokens=room.answer)
        except ProviderError as failure:
            failure.facts["usage"] = taken.usage.plus(failure.facts.get("usage") or Usage())
            raise
        taken.usage = taken.usage.plus(reply.usage)
        if reply.data is None:
            raise ProviderError(
                f"{self.name} answered without the JSON that was asked for; choose a model with structured output",
                usage=taken.usage,
            )
        said = read(reply.data, turns, known)
        taken.dropped += said.dropped
        return replace(said, summary=said.summary[:SUMMARY_CHARS])

    def _fixed(self) -> int:
        """Tokens of a prompt beside its turns and known notes."""
        frame = prompts.extraction((), "", ()) + prompts.coverage({}, "", ())
        schema = canonical_json(prompts.SCHEMA)
        return sum(map(count_tokens, (self._head, schema, frame))) + SUMMARY_CHARS + SLACK_TOKENS

    def _room(self) -> _Room:
        answer = min(ANSWER_TOKENS, self._llm.window // 4)
        notes = min(NOTES_TOKENS, self._llm.window // 8)
        left = self._llm.window - answer - notes - self._fixed()
        if left < LEAST_ROOM:
            raise ProviderError(
                f"{self.name} holds only {self._llm.window} tokens; choose a model with a larger window"
            )
        return _Room(answer, notes, min(left, CHUNK_TOKENS))


def _size(chunk: Sequence[str]) -> int:
    return sum(map(count_tokens, chunk))


def _notes(live: Sequence[Finding], earlier: Sequence[tuple[str, Found]], most: int) -> list[str]:
    """Known notes within `most` tokens: the newest are kept, the oldest come first."""
    lines = [prompts.note(f.id, f.kind, f.text) for f in live]
    lines += [prompts.note(id, found.kind, found.text) for id, found in earlier]
    kept: list[str] = []
    for line in reversed(lines):
        most -= count_tokens(line)
        if most < 0:
            break
        kept.append(line)
    return kept[::-1]


def _add(taken: _Taken, found: Sequence[Found]) -> None:
    known = {(f.kind, f.text.lower()) for f in taken.found}
    taken.found += [f for f in found if (f.kind, f.text.lower()) not in known]
