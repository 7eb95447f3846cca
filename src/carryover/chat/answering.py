"""The course of one answer: the user's turn, then requests to the model and calls of tools until it has answered.

Each request is made of the log as it is by then, so that the strategy bounds a long run of calls as well.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from typing import Any

from carryover.chat import caching
from carryover.chat import persona as personas
from carryover.chat import prompt as prompts
from carryover.chat import tools as calling
from carryover.chat.journal import Happened, Journal, Settled, begin
from carryover.chat.tools import Here, Tool
from carryover.core.chat import (
    ChatAnswer,
    ChatEvent,
    ChatRequest,
    Compaction,
    ModelReply,
    Prompt,
    RunStarted,
    Stop,
    TextDelta,
    ToolCall,
    ToolOutput,
)
from carryover.core.errors import Cancelled, CarryoverError, Conflict, NotFound, StoreUnavailable
from carryover.core.persona import Persona
from carryover.core.session import Draft, Place
from carryover.core.strategy import View
from carryover.core.text import count_tokens
from carryover.core.usage import Usage
from carryover.core.wire import encode
from carryover.providers.chat import ChatModel
from carryover.runtime import Carryover
from carryover.store import runs
from carryover.strategies.formats import catalog
from carryover.strategies.formats.pieces import label

ROUNDS = 8  # requests of one answer after which the model may not call tools any more
_GRACE_S = 30.0  # after a model call should have ended


def answer(memory: Carryover, model: ChatModel, request: ChatRequest, stop: threading.Event) -> Generator[ChatEvent]:
    """What happens, as it happens; the last event is the answer."""
    tools = calling.chosen(request.tools)
    begun = begin(memory, request, model.name)
    if isinstance(begun, ChatAnswer):
        yield RunStarted(begun.run_id, begun.turns[0])
        yield TextDelta(begun.text)
        yield begun
        return
    running = _Running(memory, model, tools, begun, stop)
    try:
        yield RunStarted(begun.run_id, begun.places[0])
        yield from running.rounds()
    except BaseException as cause:
        # Else the run is left without an end, which says as much, or it is not its own any more.
        with suppress(StoreUnavailable, NotFound, Conflict):
            running.fail(cause)
        raise


class _Running:
    """One run under way."""

    def __init__(
        self, memory: Carryover, model: ChatModel, tools: Sequence[Tool], journal: Journal, stop: threading.Event
    ) -> None:
        self.memory, self.model, self.tools, self.journal, self.stop = memory, model, tools, journal, stop
        self.request = journal.request
        self.here = Here(memory, self.request.agent_id, self.request.session_id, journal.user)
        self.usage = Usage(model.name)
        self.said = ""  # of the call that is being made
        self.reservation: str | None = None
        self.warnings: tuple[str, ...] = ()

    def rounds(self) -> Generator[ChatEvent]:
        view = prompts.view_of(self.memory, self.request)
        persona = self._persona()
        if persona is not None and self._tell_change(persona, view):
            view = prompts.view_of(self.memory, self.request)
        is_warm = self._is_warm(view)
        own = "" if persona is None else persona.text
        head = prompts.head_of(self.memory, self.request, own, self._as_of(is_warm=is_warm))
        specs = [tool.spec for tool in self.tools]
        watch, number = None, 0
        while True:
            number += 1
            may_call = number < ROUNDS
            prompt = prompts.prompt_of(head, view, specs, self.request, may_call=may_call)
            watch = watch or self._watch(prompt, head, is_warm=is_warm)
            moved = yield from self._ask(number, head, view, prompt)
            reply = yield from self._hear(prompt)
            watch.hear(reply.usage, moved=moved)
            if not reply.calls or not may_call:
                self.warnings += watch.warnings
                yield self._end(reply, view, "max_tokens" if reply.cut else "calls" if reply.calls else "end")
                return
            yield from self._call(reply)
            if self.stop.is_set():
                raise Cancelled
            view = prompts.view_of(self.memory, self.request)

    def fail(self, cause: BaseException) -> None:
        """The run has ended without an answer. What was said of one stands in the log, marked as interrupted."""
        unknown = isinstance(cause, StoreUnavailable) and cause.facts.get("unknown")
        if self.journal.over or unknown:  # then the step that failed may be in the run after all
            return
        spent = cause.facts.get("usage") if isinstance(cause, CarryoverError) else None
        settled = None  # where nobody knows what the call consumed, what was reserved for it stays held
        if self.reservation is not None and isinstance(spent, Usage):
            settled = Settled(self.reservation, spent, saved=False)
        drafts = [Draft("assistant", self.said, metadata={"interrupted": True})] if self.said else []
        happened: list[Happened] = [("text", 0, {"text": self.said, "interrupted": True})] if self.said else []
        if settled is not None:
            happened.append(("usage", None, encode(settled.usage)))
        happened.append(("run_failed", None, _why(cause)))
        self.journal.note(happened, drafts, settled)
        self.journal.over = True

    def _persona(self) -> Persona | None:
        persona, warnings = personas.persona_of(self.memory, self.request, self.journal.user)
        self.warnings += warnings
        return persona

    def _tell_change(self, persona: Persona, view: View) -> bool:
        """Whether the log has got a turn that tells what the user changed, because the view has none."""
        note = personas.untold(self.memory, persona, view)
        if note is not None:
            self.journal.note([("persona", 0, {"version": persona.version})], [note])
        return note is not None

    def _watch(self, prompt: Prompt, head: prompts.Head, *, is_warm: bool) -> caching.Watch:
        own_prices = self.memory.engine.settings.prices
        return caching.watch(self.model.name, prompt, head.persona, own_prices=own_prices, is_warm=is_warm)

    def _is_warm(self, view: View) -> bool:
        """Whether the provider still has in its cache what the run before sent."""
        journal, warm_ms = self.journal, view.strategy.cache_ttl_s * 1000
        return journal.quiet_since is not None and journal.started_at - journal.quiet_since <= warm_ms

    def _as_of(self, *, is_warm: bool) -> int | None:
        """The moment as of which the context is read: in a warm session that of the run before, so that the head
        stays as it is."""
        journal = self.journal
        if not self.request.context:
            return None
        return journal.head_at if is_warm and journal.head_at is not None else journal.started_at

    def _ask(self, number: int, head: prompts.Head, view: View, prompt: Prompt) -> Generator[Compaction, None, bool]:
        """What the request is made of stands in the run, and it is within the caps; whether the view was cut."""
        request = self.request
        with self.memory.engine.store.read(self.memory.scope) as tx:
            before = runs.newest(tx, request.agent_id, request.session_id, "view")
        made = prompts.compaction_of(view, None if before is None else before.payload)
        happened: list[Happened] = []
        if number == 1:
            blocks = {"instructions": head.instructions, "persona": head.persona, "context": head.context}
            tokens = {name: count_tokens(block) for name, block in blocks.items()}
            happened.append(("head", None, {"as_of": head.as_of, "tokens": tokens}))
        happened.append(("view", None, prompts.shown_of(view) | encode(prompts.figures_of(view))))
        if made is not None:
            happened.append(("memory_compaction", None, encode(made)))
        told = {"round": number, "model": self.model.name, "messages": len(prompt.messages)}
        told |= {"max_tokens": prompt.max_tokens, "for_s": self.model.timeout_s + _GRACE_S}
        happened.append(("model_request", None, told))
        likely = prompts.tokens_in(prompt, view)
        estimate = Usage(self.model.name, 1, likely, prompt.max_tokens, cache_write=likely)
        self.reservation = self.journal.ask(happened, self.model.price(estimate))
        if made is not None:
            yield made
        return made is not None

    def _hear(self, prompt: Prompt) -> Generator[ChatEvent, None, ModelReply]:
        self.said = ""
        with closing(self.model.stream(prompt, self.stop)) as events:
            for event in events:
                if isinstance(event, ModelReply):
                    return event
                self.said += event.text
                yield event
        raise Cancelled

    def _call(self, reply: ModelReply) -> Generator[ToolCall | ToolOutput]:
        """The calls are made; they and what they came to are in the log, together."""
        said: list[Happened] = [("text", None, {"text": reply.text})] if reply.text else []
        calls: list[Happened] = [("tool_call", None, encode(call)) for call in reply.calls]
        self._settle(reply, [*said, *calls])
        outputs: list[ToolOutput] = []
        for call in reply.calls:
            yield call
            outputs.append(ToolOutput(call.call_id, call.name, calling.run(self.tools, self.here, call)))
            yield outputs[-1]
        drafts = _said(reply)
        first = len(drafts)
        for call in reply.calls:
            drafts.append(Draft("assistant", call.arguments, "tool_call", label(call.name), label(call.call_id)))
        for made in outputs:
            drafts.append(Draft("tool", made.output, "tool_result", label(made.name), label(made.call_id)))
        first += len(reply.calls)
        self.journal.note([("tool_output", first + n, encode(made)) for n, made in enumerate(outputs)], drafts)
        self.said = ""

    def _settle(self, reply: ModelReply, happened: Sequence[Happened]) -> None:
        settled = None if self.reservation is None else Settled(self.reservation, reply.usage)
        self.journal.note([*happened, ("usage", None, encode(reply.usage))], (), settled)
        self.usage, self.reservation = self.usage.plus(reply.usage), None

    def _end(self, reply: ModelReply, view: View, stop: Stop) -> ChatAnswer:
        """The answer, which is in the log; its run is over."""
        journal, request = self.journal, self.request
        before = tuple(journal.places)

        def made(places: Sequence[Place]) -> ChatAnswer:
            return ChatAnswer(
                text=reply.text,
                run_id=journal.run_id,
                agent_id=request.agent_id,
                session_id=request.session_id,
                turns=(*before, *places),
                usage=self.usage.plus(reply.usage),
                strategy=view.strategy,
                sources=view.sources,
                view=prompts.figures_of(view),
                stop=stop,
                warnings=self.warnings,
            )

        def finished(places: Sequence[Place]) -> dict[str, Any]:
            return {"answer": encode(made(places))}

        drafts = _said(reply) if reply.text else []
        settled = None if self.reservation is None else Settled(self.reservation, reply.usage)
        happened: list[Happened] = [
            ("text", len(drafts) - 1 if drafts else None, {"text": reply.text}),
            ("usage", None, encode(reply.usage)),
            ("run_finished", None, finished),
        ]
        places = journal.note(happened, drafts, settled)
        journal.over = True
        return made(places)


def _said(reply: ModelReply) -> list[Draft]:
    """The thoughts that the provider wants back, and the text."""
    thoughts = [{"role": "assistant", "content": [thought.item]} for thought in reply.thoughts]
    drafts = catalog.drafts_of("anthropic", thoughts)
    return [*drafts, Draft("assistant", reply.text)] if reply.text else drafts


def _why(cause: BaseException) -> dict[str, str]:
    """Why the run failed, as it is kept."""
    if isinstance(cause, (Cancelled, GeneratorExit, KeyboardInterrupt)):
        return {"reason": "cancelled", "kind": "Cancelled"}
    if isinstance(cause, CarryoverError):
        return {"reason": cause.message, "kind": type(cause).__name__}
    return {"reason": f"something went wrong that should not ({type(cause).__name__})", "kind": type(cause).__name__}
