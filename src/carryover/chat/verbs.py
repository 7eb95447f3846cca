"""What can be asked of the chat, as one scope sees it."""

from __future__ import annotations

import threading
from collections.abc import Generator

from carryover.chat import answering, runs
from carryover.core.chat import ChatAnswer, ChatEvent, ChatRequest, Run, RunDetail
from carryover.core.errors import Cancelled, Invalid
from carryover.core.scope import DEFAULT
from carryover.providers.chat import ChatModel
from carryover.runtime import Carryover
from carryover.strategies.resolve import checked

LONGEST = 200_000  # tokens of one answer


class Chat:
    """The reference chat over an embedded memory; `client.chat` has the same verbs on a server.

        with carryover.open("./memory", llm="anthropic:claude-haiku-5-5") as memory:
            answer = Chat(memory).send(ChatRequest("session-1", "Which database did we choose?"))

    The model is the one that the setting `llm` names.
    """

    def __init__(self, memory: Carryover) -> None:
        self._memory = memory

    def send(self, request: ChatRequest, *, stop: threading.Event | None = None) -> ChatAnswer:
        """The user's turn and its answer are in the log. Raises as `stream` does."""
        for event in self.stream(request, stop=stop):
            if isinstance(event, ChatAnswer):
                return event
        raise Cancelled

    def stream(self, request: ChatRequest, *, stop: threading.Event | None = None) -> Generator[ChatEvent]:
        """What happens while the user is answered, as it happens; the last event is the answer.

        Whoever leaves the iteration, or sets `stop`, ends the model's call. Whatever fails, the user's turn stays in
        the log, and what was already said of an answer, marked as interrupted; sent again with the same
        idempotency key it is answered anew. Raises Invalid or Forbidden, and Conflict while another run answers in
        the session: then nothing was saved. Later OverBudget, ProviderError or ProviderUnavailable, and Cancelled.
        """
        self._memory.scope.require("write")
        model = self._model()
        checked(request.strategy or {})
        if not 1 <= request.max_tokens <= LONGEST:
            raise Invalid(f"max_tokens is {request.max_tokens}; use 1 to {LONGEST}", field="max_tokens")
        yield from answering.answer(self._memory, model, request, stop or threading.Event())

    def runs(
        self, session_id: str, *, agent: str = DEFAULT, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[Run], str | None]:
        """Runs of the session, newest first, and the cursor of the next page. Raises NotFound."""
        memory = self._memory
        return runs.listed(memory.engine.store, memory.scope, agent, session_id, limit=limit, cursor=cursor)

    def run(self, session_id: str, run_id: str, *, agent: str = DEFAULT) -> RunDetail:
        """A run with all its events: outputs of tools as they were. Raises NotFound."""
        return runs.detail(self._memory.engine.store, self._memory.scope, agent, session_id, run_id)

    def _model(self) -> ChatModel:
        model = self._memory.engine.chat_model
        if model is None:
            raise Invalid(
                "no model is configured, and rules hold no conversation; set `llm` (CARRYOVER_LLM) to one, as in "
                "`anthropic:claude-haiku-5-5`",
                field="llm",
            )
        return model
