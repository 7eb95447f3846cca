"""What all calls of language models share: one model of pydantic-ai, what its failures mean, and what is told of it.

The library is loaded at the first call.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from carryover.core import telemetry
from carryover.core.errors import ProviderError, ProviderUnavailable
from carryover.core.usage import Usage
from carryover.providers import prices
from carryover.providers.urls import check_url

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal
    from pydantic_ai.models import Model
    from pydantic_ai.usage import RequestUsage

FAULT_SHOWN = 200  # characters
# The library's modules need one another: of two threads that load them at once, one finds the other's half done.
_loading = threading.Lock()
STOPPED = {
    "length": "was cut off at max_tokens; ask for less at once, or allow more",
    "content_filter": "refused to answer; rephrase the request or choose another model",
    "error": "broke off; try again",
}


class Connection:
    """A model of any provider of pydantic-ai. Threads may share it; `close` ends its connections."""

    def __init__(self, name: str, price: prices.Price, access: Mapping[str, str]) -> None:
        self.name = name
        self._price = price
        self._access = access
        self._opening = threading.Lock()
        self._opened: tuple[BlockingPortal, Model] | None = None
        self._resources = ExitStack()

    def open(self) -> tuple[BlockingPortal, Model]:
        """The model, and the event loop (on a thread of its own) that its connections belong to."""
        with self._opening:
            if self._opened is None:
                with _loading:
                    model = _connect(self.name, self._access)
                from anyio.from_thread import start_blocking_portal

                portal = self._resources.enter_context(start_blocking_portal(name=f"llm-{self.name}"))
                self._resources.enter_context(portal.wrap_async_context_manager(model))
                self._opened = portal, model
            return self._opened

    def close(self) -> None:
        """Connections and the thread that holds them are gone; a later call opens new ones."""
        with self._opening:
            self._opened = None
            self._resources.close()

    def price(self, usage: Usage) -> Usage:
        """`usage` with its money; several calls are priced as one, which is never too little."""
        return prices.priced(self._price, usage)

    def used(self, told: RequestUsage) -> Usage:
        """What one call consumed, as the library tells it, with its money."""
        return self.price(
            Usage(
                self.name,
                calls=1,
                tokens_in=told.input_tokens,
                tokens_out=told.output_tokens,
                cache_read=told.cache_read_tokens,
                cache_write=told.cache_write_tokens,
            )
        )


def access_of(api_key: str | None, base_url: str | None) -> dict[str, str]:
    """How the provider is reached. Raises Invalid for a `base_url` that is none."""
    if base_url is not None and api_key is None:
        api_key = "none"  # a key from the environment is meant for the provider's own host, not for this one
    access = {"api_key": api_key, "base_url": None if base_url is None else check_url(base_url)}
    return {key: value for key, value in access.items() if value is not None}


@contextmanager
def metered(name: str) -> Generator[list[Usage]]:
    """One call is told to whoever listens, with the usage that is put in the list once it is known."""
    outcome = "failed"
    spent: list[Usage] = []
    try:
        with telemetry.span("model", model=name) as told:
            yield spent
            told |= {f"tokens_{kind}": amount for used in spent for kind, amount in _tokens(used).items()}
        outcome = "answered"
    finally:
        telemetry.count("model_calls", model=name, outcome=outcome)
        for used in spent:
            for kind, amount in _tokens(used).items():
                telemetry.count("model_tokens", amount, model=name, kind=kind)
            telemetry.count("model_money", float(used.money), model=name)


def _tokens(used: Usage) -> dict[str, int]:
    tokens = {"in": used.tokens_in, "out": used.tokens_out}
    return tokens | {"cache_read": used.cache_read, "cache_write": used.cache_write}


def failure(name: str, cause: Exception, usage: Usage, later: str = "it will be tried again") -> ProviderError:
    """What a failure of the library means to us; `later` is what is to be done about one that passes."""
    from pydantic_ai import exceptions as library

    if isinstance(cause, (TypeError, ValueError, AttributeError, LookupError)):  # the library trusts what it reads
        return ProviderError(f"the answer of model {name!r} cannot be read ({cause}); check the base URL", usage=usage)
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
            f"model {name!r} did not answer ({_brief(cause, status)}); {later}", usage=usage, **facts
        )
    remedy = "check the key" if isinstance(cause, library.ModelAuthenticationError) else "check the model's settings"
    if isinstance(cause, library.ModelQuotaExceededError):
        remedy = "top up the provider's account"
    return ProviderError(f"model {name!r} refused the call ({_brief(cause, status)}); {remedy}", usage=usage)


def _brief(cause: Exception, status: int | None) -> str:
    said = str(cause)[:FAULT_SHOWN]
    return said if status is None else f"status {status}: {said}"


def _connect(name: str, access: Mapping[str, str]) -> Model:
    try:
        import_module("pydantic_ai.direct")  # calls will need it
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
