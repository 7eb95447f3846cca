"""One language model behind one seam, over pydantic-ai; which calls any provider that the library knows.

The library is loaded at the first call. It makes single requests here: repeating a malformed answer is ours, so
that the number of calls is bounded and every one of them is metered; waiting out a provider's trouble is the queue's.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from carryover.core import telemetry
from carryover.core.errors import ProviderError, ProviderUnavailable
from carryover.core.ports import Reply
from carryover.core.usage import Usage
from carryover.providers import prices
from carryover.providers import schema as shapes
from carryover.providers.urls import check_url

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal
    from pydantic_ai.messages import ModelResponse
    from pydantic_ai.models import Model, ModelRequestParameters

_FAULT_SHOWN = 200  # characters
_STOPPED = {
    "length": "was cut off at max_tokens; ask for less at once, or allow more",
    "content_filter": "refused to answer; rephrase the request or choose another model",
    "error": "broke off; try again",
}


class LibraryLLM:
    """A model of any provider of pydantic-ai. Threads may share it; `close` ends its connections."""

    calls_per_complete = 2  # at most: one, and one more when an answer does not match its schema

    def __init__(
        self, name: str, price: prices.Price, *, window: int, timeout_s: float, access: Mapping[str, str]
    ) -> None:
        self.name = name
        self.window = window
        self._price = price
        self._timeout_s = timeout_s
        self._access = access
        self._opening = threading.Lock()
        self._opened: tuple[BlockingPortal, Model] | None = None
        self._resources = ExitStack()

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
            if answer.finish_reason in _STOPPED:
                raise ProviderError(f"model {self.name!r} {_STOPPED[answer.finish_reason]}", usage=spent)
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
        return prices.priced(self._price, usage)

    def close(self) -> None:
        """Connections and the thread that holds them are gone; a later call opens new ones."""
        with self._opening:
            self._opened = None
            self._resources.close()

    def _metered(
        self, system: str, prompt: str, schema: dict[str, Any] | None, max_tokens: int, spent: Usage
    ) -> tuple[ModelResponse, Usage]:
        """One call and what it consumed, told to whoever listens."""
        outcome = "failed"
        try:
            with telemetry.span("model", model=self.name) as told:
                answer = self._ask(system, prompt, schema, max_tokens, spent)
                used = self._usage(answer)
                tokens = {"in": used.tokens_in, "out": used.tokens_out}
                tokens |= {"cache_read": used.cache_read, "cache_write": used.cache_write}
                told |= {f"tokens_{kind}": amount for kind, amount in tokens.items()}
            outcome = "answered"
        finally:
            telemetry.count("model_calls", model=self.name, outcome=outcome)
        for kind, amount in tokens.items():
            telemetry.count("model_tokens", amount, model=self.name, kind=kind)
        telemetry.count("model_money", float(used.money), model=self.name)
        return answer, used

    def _ask(
        self, system: str, prompt: str, schema: dict[str, Any] | None, max_tokens: int, spent: Usage
    ) -> ModelResponse:
        portal, model = self._open()
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
        except (AgentRunError, UserError) as cause:
            raise _failure(self.name, cause, spent.plus(Usage(self.name, calls=1))) from cause
        except (TypeError, ValueError, AttributeError, LookupError) as cause:  # the library trusts what it reads
            raise ProviderError(
                f"the answer of model {self.name!r} cannot be read ({cause}); check the base URL",
                usage=spent.plus(Usage(self.name, calls=1)),
            ) from cause

    def _open(self) -> tuple[BlockingPortal, Model]:
        """The model, and the event loop (on a thread of its own) that its connections belong to."""
        with self._opening:
            if self._opened is None:
                model = _connect(self.name, self._access)
                from anyio.from_thread import start_blocking_portal

                portal = self._resources.enter_context(start_blocking_portal(name=f"llm-{self.name}"))
                self._resources.enter_context(portal.wrap_async_context_manager(model))
                self._opened = portal, model
            return self._opened

    def _usage(self, answer: ModelResponse) -> Usage:
        used = answer.usage
        return self.price(
            Usage(
                self.name,
                calls=1,
                tokens_in=used.input_tokens,
                tokens_out=used.output_tokens,
                cache_read=used.cache_read_tokens,
                cache_write=used.cache_write_tokens,
            )
        )


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
    if base_url is not None and api_key is None:
        api_key = "none"  # a key from the environment is meant for the provider's own host, not for this one
    access = {"api_key": api_key, "base_url": None if base_url is None else check_url(base_url)}
    given = {key: value for key, value in access.items() if value is not None}
    return LibraryLLM(name, price, window=window or price.window, timeout_s=timeout_s, access=given)


def _connect(name: str, access: Mapping[str, str]) -> Model:
    try:
        from pydantic_ai.exceptions import UserError
        from pydantic_ai.models import infer_model
        from pydantic_ai.providers import infer_provider, infer_provider_class
    except ImportError as cause:
        raise ProviderError(
            f"model {name!r} needs pydantic-ai; install it with `pip install 'carryover-memory[models]'`"
        ) from cause

    def provider(kind: str) -> Any:
        made = cast("Any", infer_provider_class(kind))
        return made(**access) if access else infer_provider(kind)

    try:
        return infer_model(name, provider)
    except ImportError as cause:
        raise ProviderError(f"model {name!r} needs another package ({cause}); install it") from cause
    except (UserError, ValueError, TypeError) as cause:
        raise ProviderError(f"model {name!r} cannot be opened ({cause}); check its name, key and base URL") from cause


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
    except ValueError as cause:
        return None, f"no JSON object ({cause})"[:_FAULT_SHOWN]
    wrong = shapes.fault(data, schema)
    return (data, "") if wrong is None else (None, wrong[:_FAULT_SHOWN])


def _failure(name: str, cause: Exception, usage: Usage) -> ProviderError:
    """What a failure of the library means to us."""
    from pydantic_ai import exceptions as library

    status = cause.status_code if isinstance(cause, library.ModelHTTPError) else None
    passing = (
        library.ModelRateLimitError,
        library.ModelUnavailableError,
        library.ModelServerError,
        library.ModelConnectionError,
        library.ModelRequestTimeout,
    )
    if isinstance(cause, passing) or status in (408, 409) or (status or 0) >= 500:
        wait = cause.retry_after if isinstance(cause, library.ModelAPIError) else None
        facts = {} if wait is None else {"retry_after": wait}
        return ProviderUnavailable(
            f"model {name!r} did not answer ({_brief(cause, status)}); it will be tried again", usage=usage, **facts
        )
    remedy = "check the key" if isinstance(cause, library.ModelAuthenticationError) else "check the model's settings"
    if isinstance(cause, library.ModelQuotaExceededError):
        remedy = "top up the provider's account"
    return ProviderError(f"model {name!r} refused the call ({_brief(cause, status)}); {remedy}", usage=usage)


def _brief(cause: Exception, status: int | None) -> str:
    said = str(cause)[:_FAULT_SHOWN]
    return said if status is None else f"status {status}: {said}"
