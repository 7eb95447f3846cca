"""A conversation for those who call a provider's API themselves: OpenAI's responses or chat completions, Anthropic's.

    chat = Conversation(memory, "session-1", "anthropic", strategy={"mode": "compact"})
    chat.add("Which database did we choose?")
    response = client.messages.create(model="claude-sonnet-5", max_tokens=1024, **chat.request(system="Be brief."))
    chat.add(response)

What is added is in the log as it came; what a request holds is the strategy's view of that log. The providers' own
libraries are not needed for either.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from carryover.chat.persona import due
from carryover.core.errors import Invalid
from carryover.core.persona import Persona
from carryover.core.scope import DEFAULT
from carryover.core.session import INJECTED, Append, Appended, Draft, Place
from carryover.core.strategy import View
from carryover.core.text import digest
from carryover.jobs.logger import logger_for
from carryover.memories import Memory
from carryover.strategies.formats import anthropic, catalog

Provider = Literal["openai", "openai-chat", "anthropic"]  # responses, chat completions, messages
Native = dict[str, Any]

PROVIDERS: tuple[Provider, ...] = ("openai", "openai-chat", "anthropic")

# A shorter prefix than before is told from rounding as of so many tokens, and so large a part of it.
_MISSED_TOKENS, _MISSED_SHARE = 2_000, 0.05

# What the libraries put into their objects besides what the provider sent; it does not take them back.
_PARSED = ("parsed", "parsed_arguments", "parsed_output")

logger = logger_for(__name__)


@dataclass(frozen=True, slots=True)
class CacheUse:
    """What a response's tokens of input came from: the provider's cache (`read`), or they went there (`written`).

    `missed` are those that the request before left there, and that were not read although the conversation went on
    in time and its view began as before: most often something in front of it, the tools or the instructions, changed.
    """

    input: int
    read: int
    written: int
    missed: int = 0


@dataclass(slots=True)
class _Asked:
    """A request that was made, and how much of it the provider has in its cache since."""

    view: View
    at: float
    cached: int = 0


class Conversation:
    """A session's log, and what of it one request to a provider holds.

    `strategy` are fields that count in this conversation only, on top of those that are set where it is stored.
    `cache_ttl` is how long Anthropic is to keep the prefixes that it caches: `5m`, its own default, or `1h`.
    """

    def __init__(
        self,
        memory: Memory,
        session_id: str,
        provider: Provider,
        *,
        agent: str = DEFAULT,
        user: str | None = None,
        strategy: Mapping[str, Any] | None = None,
        cache_ttl: Literal["5m", "1h"] | None = None,
    ) -> None:
        if provider not in PROVIDERS:
            raise Invalid(f"provider {provider!r} is unknown; use one of {', '.join(PROVIDERS)}", field="provider")
        self.session_id, self.agent, self.user = session_id, agent, user
        self.provider: Provider = provider
        self.strategy = strategy
        self.cache: CacheUse | None = None  # of the last response that was added
        self._memory = memory
        self._ttl = cache_ttl
        self._before: _Asked | None = None
        self._asked: _Asked | None = None
        self._change = "", 0  # of the user's profile, as it was told last, and the turn that tells it

    @property
    def cache_key(self) -> str:
        """A `prompt_cache_key` that all requests of the conversation share, and no others."""
        return f"carryover-{digest(self.agent, self.session_id)[3:]}"

    def add(self, *said: Any, key: str | None = None) -> Appended | None:
        """All of it is in the log, in order: responses, messages or items as objects or dicts, and texts of the user.

        Responses and items are known by their ids and logged once, however often they are added; of anything else
        that is so where a `key` is given for it. None where there is nothing in it. Raises Invalid, NotFound or
        TooLarge.
        """
        drafts: list[Draft] = []
        for n, one in enumerate(said):
            given = _plain(one)
            for m, (native, own, rest) in enumerate(_natives(self.provider, given)):
                ident = f"{key}:{n}:{m}" if key is not None else own
                drafts += _drafts(self.provider, native, ident, rest)
            if isinstance(given, dict):
                self._note(cast("Native", given))
        if not drafts:
            return None
        return self._memory.append(Append(self.session_id, tuple(drafts), self.agent, self.user))

    def request(
        self, system: str | Sequence[Mapping[str, Any]] | None = None, *, persona: bool = False
    ) -> dict[str, Any]:
        """The arguments of `create` that hold the conversation, with the instructions in `system` before it.

        For Anthropic cache breakpoints are set; for responses, the key of the cache. With `persona`, how the user likes
        to be served stands behind the instructions, as it was known when the session was opened; what they changed of
        that since is told once, in a turn of its own. Raises NotFound, Invalid or KeyLost.
        """
        told = self._persona() if persona else None
        view = self._view()
        if told is not None and self._tell_change(told, view):
            view = self._view()
        self._asked = _Asked(view, time.monotonic())
        items: list[Native] = list(view.items)
        own = told.text if told is not None else ""
        if self.provider == "anthropic":
            blocks = [{"type": "text", "text": system}] if isinstance(system, str) else list(system or ())
            behind = [{"type": "text", "text": own}] if own else []
            shared = len(blocks) or len(view.system) if own else 0
            head = [*blocks, *view.system, *behind]
            head, messages = anthropic.with_breakpoints(head, items, shared=shared, ttl=self._ttl)
            return {"messages": messages} | ({"system": head} if head else {})
        parts = [part for part in (system, own) if part]
        if self.provider == "openai-chat":
            return {"messages": [*({"role": "system", "content": part} for part in parts), *items]}
        instructions = system if not own else "\n\n".join(map(str, parts))
        told_first = {"instructions": instructions} if instructions else {}
        return {"input": items, "prompt_cache_key": self.cache_key} | told_first

    def _view(self) -> View:
        return self._memory.strategies.view(
            self.session_id, agent=self.agent, strategy=self.strategy, format=self.provider
        )

    def _persona(self) -> Persona:
        if self.user is None:
            raise Invalid("a persona is of a user; say whose conversation it is (`user=`)", field="user")
        return self._memory.profiles.persona(self.user, session_id=self.session_id, agent=self.agent)

    def _tell_change(self, persona: Persona, view: View) -> bool:
        """Whether the log has got a turn that tells what the user changed, because the view has none that does."""
        before, seq = self._change
        text = due(before if seq >= view.cut_seq else "", persona.tail)
        if not text:
            return False
        key = digest("persona", persona.etag, text, str(seq))
        place = self._log(text, key)
        if place.seq < view.cut_seq:  # another process told it, and it was cut away since
            place = self._log(text, f"{key}:{view.cut_seq}")
        self._change = text, place.seq
        return True

    def _log(self, text: str, key: str) -> Place:
        note = Draft("system", text, metadata={INJECTED: "persona"}, idempotency_key=key)
        return self._memory.append(Append(self.session_id, (note,), self.agent, self.user)).turns[0]

    def _note(self, response: Native) -> None:
        """The response's use of the cache is known, and told where it is not what the requests led to expect."""
        use = _cache_use(_members(response.get("usage")))
        asked, before = self._asked, self._before
        if use is None or asked is None:
            return
        if before is not None and _goes_on(before, asked):
            missed = before.cached - use.read
            if missed >= max(_MISSED_TOKENS, _MISSED_SHARE * before.cached):
                use = replace(use, missed=missed)
                logger.warning(
                    "cache.missed", session=self.session_id, agent=self.agent, tokens=missed, expected=before.cached
                )
        # OpenAI caches what it is asked without being told to, and does not say so.
        asked.cached = use.read + use.written if self.provider == "anthropic" else use.input
        self.cache, self._before, self._asked = use, asked, None


def _goes_on(before: _Asked, now: _Asked) -> bool:
    """Whether a request came in time for the cache, with a view that begins as the one before it did."""
    in_time = now.at - before.at < now.view.strategy.cache_ttl_s
    same = (before.view.cut_seq, before.view.cleared_seq) == (now.view.cut_seq, now.view.cleared_seq)
    return in_time and same and before.view.items[:1] == now.view.items[:1]


def _cache_use(usage: Native) -> CacheUse | None:
    """The tokens of input, which each API counts in its own way; None where nothing is told."""
    if "cache_read_input_tokens" in usage or "cache_creation_input_tokens" in usage:
        read, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
        return CacheUse(usage.get("input_tokens", 0) + read + written, read, written)
    details = _members(usage.get("input_tokens_details") or usage.get("prompt_tokens_details"))
    total = usage.get("input_tokens", usage.get("prompt_tokens"))
    if total is None or "cached_tokens" not in details:
        return None
    return CacheUse(total, details["cached_tokens"] or 0, details.get("cache_write_tokens") or 0)


def _natives(provider: Provider, given: Any) -> Iterator[tuple[Native, str | None, Native]]:
    """The messages or items that are given, what tells each apart for good, and what else was said about it."""
    if isinstance(given, str):
        yield {"role": "user", "content": given}, None, {}
    elif isinstance(given, list):
        for one in cast("list[Any]", given):
            yield from _natives(provider, one)
    elif not isinstance(given, dict):
        raise Invalid(f"a {type(given).__name__} is no message; add a text, a dict or a response of the provider")
    else:
        found = cast("Native", given)
        if provider == "anthropic" and found.get("type") == "message":
            told = {name: found[name] for name in ("role", "content")}
            yield told, found.get("id"), _without(found, "role", "content", "type")
        elif provider == "openai" and found.get("object") == "response":
            # Each item is one of its own, alike whether it is added with its response or by itself.
            for n, item in enumerate(cast("list[Native]", found["output"])):
                yield item, item.get("id") or f"{found.get('id')}:{n}", {}
        elif provider == "openai-chat" and found.get("object") == "chat.completion":
            for choice in cast("list[Native]", found["choices"][:1]):
                yield choice["message"], found.get("id"), _without(found, "choices", "object")
        else:
            yield found, found.get("id") if provider == "openai" else None, {}


def _drafts(provider: Provider, native: Native, ident: str | None, rest: Native) -> list[Draft]:
    """The message or item as turns; the last one knows what else the response said."""
    made = [
        replace(draft, idempotency_key=None if ident is None else digest(provider, ident, str(n)))
        for n, draft in enumerate(catalog.drafts_of(provider, [native]))
    ]
    if rest and made:
        made[-1] = replace(made[-1], metadata={**cast("Native", made[-1].metadata or {}), "response": rest})
    return made


def _plain(value: Any) -> Any:
    """The value as JSON has it: of a library's object what the provider sent, and nothing that the library added."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in cast("Sequence[Any]", value)]
    thing: Any = value
    if not hasattr(thing, "model_fields_set"):
        return thing
    fields: dict[str, Any] = cast("Any", type(thing)).model_fields
    held: dict[str, Any] = {**vars(thing), **(thing.model_extra or {})}
    return {
        getattr(fields.get(name), "alias", None) or name: _plain(inner)
        for name, inner in held.items()
        if name in thing.model_fields_set and name not in _PARSED and inner is not None
    }


def _members(value: Any) -> Native:
    return cast("Native", value) if isinstance(value, dict) else {}


def _without(value: Native, *names: str) -> Native:
    return {name: inner for name, inner in value.items() if name not in names}
