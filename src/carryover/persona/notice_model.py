"""Preferences out of what a user said, by a language model, held to what the turns say.

A preference survives only if its quote stands in a turn of the user and its value may be told to a model. What is
dropped is logged by number. What we told the model ourselves is not shown to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

from carryover.core.errors import ProviderError
from carryover.core.persona import EXPLICIT, FACETS, IMPLIED, LONGEST_QUOTE, PERSONAL, Noticed
from carryover.core.portions import portions
from carryover.core.ports import LLM
from carryover.core.session import Turn
from carryover.core.text import canonical_json, clean, count_tokens
from carryover.core.usage import Usage
from carryover.persona import notice_prompts as prompts
from carryover.persona.lint import refused
from carryover.persona.notice import Told, heard, is_users

CHUNK_TOKENS = 16_000  # of turns in one call
ANSWER_TOKENS = 2_048
SLACK_TOKENS = 1_500  # what a provider wraps around a prompt and a schema, and a second try says more
LEAST_ROOM = 500
_ARTICLE = re.compile(r"^(?:a|an|the) ")


class _Heard(NamedTuple):
    """A user's turn: its text, and the words of it that are the user's."""

    text: str
    words: list[str]


class ModelNoticer:
    """A noticer (`persona.noticing.Noticer`) over one model; what its window cannot hold is read in parts.

    `facets` are a tenant's own, each with some of its values.
    """

    def __init__(self, llm: LLM, facets: Mapping[str, Sequence[str]] | None = None) -> None:
        self.id = f"{llm.name}@{prompts.VERSION}"
        self._llm = llm
        self._facets = frozenset((*FACETS, *(facets or {})))
        self._head = prompts.head(facets or {})
        self._schema = prompts.schema(facets or {})

    def estimate(self, turns: Sequence[Turn]) -> Usage:
        """An upper bound on tokens and money: every call with its longest answer, retries included.

        Raises ProviderError where the model has no price or too small a window.
        """
        answer, room = self._room()
        total = Usage(self._llm.name)
        for portion in _portions([turn for turn in turns if is_users(turn)], Told(()), room):
            tokens = sum(map(count_tokens, portion)) + self._fixed()
            one = self._llm.price(Usage(self._llm.name, 1, tokens, answer, cache_write=tokens))
            for _ in range(self._llm.calls_per_complete):
                total = total.plus(one)
        return total

    def notice(self, turns: Sequence[Turn], told: Sequence[str] = ()) -> tuple[list[Noticed], Usage]:
        """What the user's turns say, in their order; every quote stands in its turn. `told` is what we put there.

        Raises ProviderError or ProviderUnavailable with the usage of all calls made until then.
        """
        answer, room = self._room()
        users, ours = [turn for turn in turns if is_users(turn)], Told(told)
        said = {turn.seq: _Heard(turn.text, " ".join(_own_words(turn, ours)).split()) for turn in users}
        usage = Usage(self._llm.name)
        found: dict[tuple[int, str, str], Noticed] = {}
        for portion in _portions(users, ours, room):
            data, used = self._ask(portion, answer, usage)
            usage = usage.plus(used)
            for item in _items(data):
                if (one := self._noticed(item, said)) is not None:
                    found.setdefault((one.seq, one.facet, one.value), one)
        return sorted(found.values(), key=lambda one: one.seq), usage

    def _ask(self, portion: Sequence[str], answer: int, until_now: Usage) -> tuple[dict[str, Any], Usage]:
        prompt = prompts.prompt(portion)
        try:
            reply = self._llm.complete(system=self._head, prompt=prompt, schema=self._schema, max_tokens=answer)
        except ProviderError as failure:
            failure.facts["usage"] = until_now.plus(failure.facts.get("usage") or Usage())
            raise
        if reply.data is None:
            raise ProviderError(
                f"{self._llm.name} answered without the JSON that was asked for; choose a model with structured output",
                usage=until_now.plus(reply.usage),
            )
        return reply.data, reply.usage

    def _noticed(self, item: object, said: Mapping[int, _Heard]) -> Noticed | None:
        """What an item says, where it is whole, proved by its turn, and fit to be told."""
        if not isinstance(item, dict):
            return None
        given = cast("dict[str, Any]", item)
        value, polarity, seq, quote = (given.get(name) for name in ("value", "polarity", "n", "quote"))
        facet = given.get("facet")
        if not isinstance(value, str) or not isinstance(quote, str) or polarity not in ("like", "avoid"):
            return None
        if not isinstance(seq, int) or seq not in said or (stands := _verbatim(quote, said[seq])) is None:
            return None
        value = _ARTICLE.sub("", " ".join(clean(value).lower().split()).strip(" .,;:!\"'"))
        if refused(value) is not None:
            return None
        explicit = given.get("explicit") is True
        return Noticed(
            facet if isinstance(facet, str) and facet in self._facets else PERSONAL,
            value,
            "avoid" if facet == "avoid" else polarity,
            explicit,
            seq,
            stands,
            given.get("correction") is True,
            EXPLICIT if explicit else IMPLIED,
        )

    def _fixed(self) -> int:
        """Tokens of a call beside its turns."""
        return sum(map(count_tokens, (self._head, canonical_json(self._schema), prompts.prompt(())))) + SLACK_TOKENS

    def _room(self) -> tuple[int, int]:
        """How many tokens an answer and the turns of one call may have."""
        answer = min(ANSWER_TOKENS, self._llm.window // 4)
        left = self._llm.window - answer - self._fixed()
        if left < LEAST_ROOM:
            raise ProviderError(
                f"{self._llm.name} holds only {self._llm.window} tokens; choose a model with a larger window"
            )
        return answer, min(left, CHUNK_TOKENS)


def _portions(users: Sequence[Turn], ours: Told, room: int) -> list[list[str]]:
    spoken = [turn for turn in users if _own_words(turn, ours)]
    return list(portions(spoken, lambda turn: "\n".join(_own_words(turn, ours)), prompts.piece, room))


def _own_words(turn: Turn, ours: Told) -> list[str]:
    """What is shown of a turn: the sentences that are the user's, as they stand in it."""
    return [quote for _, quote in heard(turn, ours)]


def _items(data: dict[str, Any]) -> list[object]:
    items = data.get("preferences")
    return cast("list[object]", items) if isinstance(items, list) else []


def _verbatim(quote: str, said: _Heard) -> str | None:
    """The quote as it stands in the turn, however its white space is broken; None where the user did not say it."""
    words = clean(quote).split()
    if not words or len(words) > LONGEST_QUOTE or " ".join(words) not in " ".join(said.words):
        return None
    match = re.search(r"\s+".join(map(re.escape, words)), said.text)
    return match[0] if match is not None and len(match[0]) <= LONGEST_QUOTE else None
