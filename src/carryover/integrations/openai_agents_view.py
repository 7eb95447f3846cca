"""What the OpenAI Agents SDK was shown of a session: known again when it comes back, and cut while a run goes on.

The SDK reads a session once, at the beginning of a run, and adds to that in memory. So a view has to be taken once more
before each call of the model, and what stands in it for turns must never be written into the session as if it had been
said.
"""

from __future__ import annotations

import json
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from carryover.core.errors import Invalid
from carryover.core.session import Turn, to_json
from carryover.core.strategy import Item, Strategy
from carryover.core.text import content_tokens, digest
from carryover.strategies.formats import catalog
from carryover.strategies.render import view_items

logger = logging.getLogger(__name__)

Native = dict[str, Any]

REMEMBERED = 10_000  # items of views that stand for others
_INTERNAL = ("_agents_tool_description", "_agents_tool_title", "created_by")  # the SDK keeps these from the model


@dataclass(frozen=True, slots=True)
class Shown:
    """What a strategy shows of a session that is `size` turns long."""

    items: Sequence[Item]
    strategy: Strategy
    size: int

    @property
    def is_whole(self) -> bool:
        """Whether the strategy leaves all as it is, and nothing is told before it."""
        return self.strategy.mode == "none" and not any(item.about for item in self.items)


class Showing:
    """What one session has shown: of what size it was, and how it began the input of the newest run."""

    def __init__(self) -> None:
        self._history: list[str] = []
        self._size = 0
        self._warned = False
        self._inserted: OrderedDict[str, None] = OrderedDict()
        self._replaced: OrderedDict[str, None] = OrderedDict()

    def begin(self, shown: Shown) -> list[Native]:
        """The items as the SDK wants them, with which the input of a run will begin."""
        written = self._written(shown.items)
        self._history, self._size = [mark(item) for item in written], shown.size
        return written

    def warn(self, session_id: str) -> None:
        """Whoever set a limit on the session was told, once, that it keeps strategies out."""
        if not self._warned:
            self._warned = True
            logger.warning(
                "session %r has a limit, so the SDK reads its newest items as they are and no strategy applies; "
                "leave SessionSettings.limit out: the strategy bounds what a model sees",
                session_id,
            )

    def refuse(self, items: Sequence[Mapping[str, Any]]) -> None:
        """Raises Invalid where one of the items was never said, but stands for others in a view."""
        for n, item in enumerate(items):
            if (own := mark(item)) in self._inserted or own in self._replaced:
                raise Invalid(
                    f"items[{n}] stands for other items in a view, and a session keeps only what was said; "
                    "leave it out of what a session_input_callback adds",
                    field=f"items[{n}]",
                )

    async def bounded(
        self,
        given: Sequence[Mapping[str, Any]],
        shown: Callable[[], Awaitable[Shown]],
        last: Callable[[int], Awaitable[Sequence[Mapping[str, Any]]]],
    ) -> list[Any]:
        """What of this input, the session's history and what a run has added to it, the model is to see.

        Of what the session has by now it is the session's own view, so that the next run will begin as this one went
        on. The SDK may call the model before a question is written: it follows the view. Any other input is itself
        taken for a log.
        """
        now = await shown()
        if now.is_whole:
            return list(given)
        marks, begun = [mark(item) for item in given], self._history
        written, new = self._written(now.items), now.size - self._size
        added = marks[len(begun) :]
        if marks[: len(begun)] == begun and 0 <= new <= len(added):
            waiting = given[len(begun) + new :]
            is_known = not new or [mark(item) for item in await last(new)] == added[:new]
            if is_known and _is_question(waiting):
                return [*map(_without_internal, written), *waiting]
        return self._cut(given, marks, now.strategy)

    def _cut(self, given: Sequence[Mapping[str, Any]], marks: Sequence[str], strategy: Strategy) -> list[Any]:
        """The input as the strategy shows it; what a view inserted is nobody's turn, and stays before the others."""
        inserted = [item for item, own in zip(given, marks, strict=True) if own in self._inserted]
        said = [item for item, own in zip(given, marks, strict=True) if own not in self._inserted]
        written = catalog.written("openai", view_items(turns_of(said), strategy))
        head = next((n for n, item in enumerate(written) if item.get("role") not in ("system", "developer")), 0)
        return [*written[:head], *inserted, *written[head:]]

    def _written(self, items: Sequence[Item]) -> list[Native]:
        """The items as the SDK wants them; those that stand for others will be known again."""
        for item in items:
            if item.about:
                _remember(self._inserted, catalog.written("openai", [item]))
            elif item.replaced and item.format == "openai":
                _remember(self._replaced, json.loads(item.body))
        return list(catalog.written("openai", items))


def _is_question(items: Sequence[Mapping[str, Any]]) -> bool:
    """Whether no more than one question is asked, and nothing is answered."""
    questions = sum(item.get("role") == "user" for item in items)
    return questions <= 1 and not any("output" in item for item in items)


def mark(item: Mapping[str, Any]) -> str:
    """The same for items that the SDK takes for the same."""
    return digest(json.dumps(_without_internal(item), sort_keys=True, default=str))


def turns_of(items: Sequence[Mapping[str, Any]]) -> list[Turn]:
    """The items as the turns of a log that never fell silent."""
    return [
        Turn(
            seq=n,
            id=f"t{n}",
            role=draft.role,
            body=to_json(draft.content),
            kind=draft.kind,
            received_at=0,
            tokens=content_tokens(draft.content),
            created_at=0,
            name=draft.name,
            call_id=draft.call_id,
            metadata=to_json(draft.metadata),
        )
        for n, draft in enumerate(catalog.drafts_of("openai", items), 1)
    ]


def _without_internal(item: Mapping[str, Any]) -> Native:
    return {key: value for key, value in item.items() if key not in _INTERNAL}


def _remember(marks: OrderedDict[str, None], items: Sequence[Mapping[str, Any]]) -> None:
    marks.update((mark(item), None) for item in items)
    while len(marks) > REMEMBERED:
        marks.popitem(last=False)
