"""One language model behind one seam, over pydantic-ai; which calls any provider that the library knows.

The library is loaded at the first call. It makes single requests here: repeating a malformed answer is ours, so
that the number of calls is bounded and every one of them is metered; waiting out a provider's trouble is the queue's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from carryover.core.errors import ProviderError
from carryover.core.ports import Reply
from carryover.core.usage import Usage
from carryover.providers import prices
from carryover.providers import schema as shapes
from carryover.providers.library import FAULT_SHOWN, STOPPED, Connection, access_of, failure, metered

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelResponse
    from pydantic_ai.models import Model, ModelRequestParameters


class LibraryLLM:
    """A model of any provider of pydantic-ai. Threads may share it; `close` ends its connections."""

    calls_per_complete = 2  # at most: one, and one more when an answer does not match its schema

    def __init__(self, connection: Connection, *, window: int, timeout_s: float) -> None:
        self.name = connection.name
        self.window = window
        self._connection = connection
        self._timeout_s = timeout_s

    def complete(
        self, *, system: str, prompt: str, schema: dict[str, Any] | None = None, max_tokens: int = 2048
    ) -> Reply:
        """The model's answer; `data` holds an object that matches `schema`. `system` is marked for prompt caching.

        Raises ProviderUnavailable (`retry_after` in seconds where the provider said so) when a later try may
        succeed, ProviderError when the request was refused, or the answer was cut off, withheld or malformed
        twice; `usage` is what the calls consumed nevertheless. Raises Invalid for a schema that cannot be checked.
        """
        if schema is not None:
            shapes.check(schema)
        spent, note, wrong = Usage(self.name), "", ""
        for _ in range(self.calls_per_complete):
            answer, used = self._metered(system, prompt + note, schema, max_tokens, spent)
            spent = spent.plus(used)
            text = _text(answer)
            if answer.finish_reason in STOPPED:
                raise ProviderError(f"model {self.name!r} {STOPPED[answer.finish_reason]}", usage=spent)
            if schema is None:
                return Reply(text, spent)
            data, wrong = _read(text, schema)
            if data is not None:
                return Reply(text, spent, data)
            note = f"\n\nAn earlier answer could not be used: {wrong}. Answer once more."
        raise ProviderError(
            f"model {self.name!r} did not answer in the shape asked for ({wrong}); choose another model", usage=spent
        )

    def price(self, usage: Usage) -> Usage:
        """`usage` with its money; several calls are priced as one, which is never too little."""
        return self._connection.price(usage)

    def close(self) -> None:
        """Connections and the thread that holds them are gone; a later call opens new ones."""
        self._connection.close()

    def _metered(
        self, system: str, prompt: str, schema: dict[str, Any] | None, max_tokens: int, spent: Usage
    ) -> tuple[ModelResponse, Usage]:
        """One call and what it consumed, told to whoever listens."""
        with metered(self.name) as told:
            answer = self._ask(system, prompt, schema, max_tokens, spent)
            used = self._connection.used(answer.usage)
            told.append(used)
        return answer, used

    def _ask(
        self, system: str, prompt: str, schema: dict[str, Any] | None, max_tokens: int, spent: Usage
    ) -> ModelResponse:
        portal, model = self._connection.open()
        from pydantic_ai.direct import model_request
        from pydantic_ai.exceptions import AgentRunError, UserError
        from pydantic_ai.messages import ModelRequest
        from pydantic_ai.settings import ModelSettings

        settings = ModelSettings(
            max_tokens=max_tokens,
            max_retries=0,
            timeout=self._timeout_s,
            request_timeout=self._timeout_s,
            cache={"messages": False},  # the instructions repeat from call to call, the prompt does not
            thinking=False,  # or as little as the model allows: it would use up max_tokens unseen
        )
        request = ModelRequest.user_text_prompt(prompt, instructions=system or None)

        async def ask() -> ModelResponse:
            return await model_request(
                model, [request], model_settings=settings, model_request_parameters=_parameters(model, schema)
            )

        try:
            return portal.call(ask)
        except (AgentRunError, UserError, TypeError, ValueError, AttributeError, LookupError) as cause:
            raise failure(self.name, cause, spent.plus(Usage(self.name, calls=1))) from cause


def open_llm(
    name: str,
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    timeout_s: float = 120.0,
    window: int | None = None,
    own_prices: Path | None = None,
) -> LibraryLLM:
    """The model `provider:model`, say `anthropic:claude-haiku-5-5`; nothing is loaded or connected yet.

    `api_key` defaults to what the provider's library finds in the environment, unless `base_url` names another host;
    `base_url` is as that
    library takes it (OpenAI's ends in `/v1`). `timeout_s` bounds one call. `window` replaces the table's.
    Raises ProviderError when no price is known for the model, Invalid for a `base_url` that is none.
    """
    price = prices.find(name, own_prices)
    connection = Connection(name, price, access_of(api_key, base_url))
    return LibraryLLM(connection, window=window or price.window, timeout_s=timeout_s)


def _parameters(model: Model, schema: dict[str, Any] | None) -> ModelRequestParameters:
    """With a schema: the provider's native structured output where the model has it, else a forced tool call."""
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.output import OutputObjectDefinition
    from pydantic_ai.tools import ToolDefinition

    if schema is None:
        return ModelRequestParameters()
    name, about = "answer", schema.get("description", "The answer.")
    return ModelRequestParameters(
        output_mode="native" if model.profile.get("supports_json_schema_output") else "tool",
        output_object=OutputObjectDefinition(json_schema=schema, name=name, description=about),
        output_tools=[ToolDefinition(name=name, description=about, parameters_json_schema=schema, kind="output")],
        allow_text_output=False,
    )


def _text(answer: ModelResponse) -> str:
    """What the model said: the arguments of the tool call that it was made to make, else its text."""
    for call in answer.tool_calls:
        return call.args_as_json_str()
    return answer.text or ""


def _read(text: str, schema: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The object in `text` when it matches, else None; and then what is wrong with it."""
    try:
        data = json.loads(text[text.find("{") : text.rfind("}") + 1])
    except (ValueError, RecursionError) as cause:
        return None, f"no JSON object ({cause})"[:FAULT_SHOWN]
    wrong = shapes.fault(data, schema)
    return (data, "") if wrong is None else (None, wrong[:FAULT_SHOWN])
