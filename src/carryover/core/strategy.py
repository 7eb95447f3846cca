"""Strategies: how a model is to see a session, and what it then sees."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args

from carryover.core.clock import Time
from carryover.core.session import Json, Kind, Role
from carryover.core.text import canonical_json

Mode = Literal["none", "trim", "summarize", "compact"]
Layer = Literal["request", "conversation", "agent", "default"]  # who said so, the strongest first
Format = Literal["generic", "openai", "openai-chat", "anthropic"]
Reach = Literal["agent", "user"]
Trigger = Literal["turns", "calls", "token_budget", "token_soft_budget", "cold"]
Injected = Literal["used", "stale", "too_long", "none", "wrong_scope"]
Action = Literal["keep", "replace", "omit", "insert"]

MODES: tuple[Mode, ...] = get_args(Mode)
FORMATS: tuple[Format, ...] = get_args(Format)

PLACEHOLDER = "⟦removed: tool {what} for {name} (call_id={call_id}); reason=context_compaction⟧"


@dataclass(frozen=True, slots=True)
class Strategy:
    """How a model is to see a session. A turn here is a user's message and all that follows it until the next.

    Counts come in pairs, a high mark that sets something off and a low one down to which it goes: what lies between
    is how long the beginning of the view stays as it is, and with it the provider's prompt cache. None is the mode's
    own default (see `settled`).
    """

    mode: Mode = "none"
    max_user_turns: int | None = None  # trim, summarize: more turns than this set off a cut
    keep_last_turns: int | None = None  # ... that leaves so many
    token_budget: int | None = None  # what the view may hold; default: see token_remaining_pct
    token_soft_budget: int | None = None  # what sets off a cut before the budget does
    token_remaining_pct: float = 0.2  # share of the window to be left free, where no budget is given
    context_window_tokens: int = 400_000
    reserve_tokens: int = 0  # of the budget, for tools, instructions and the answer
    token_keep_pct: float = 0.5  # a cut that tokens set off leaves so much of what set it off
    keep_last_calls: int | None = 10  # rounds of calls of the last turns that nothing touches; None: those turns whole
    compact_trigger_turns: int = 15  # compact: more turns than this with outputs not cleared set off a clearing
    compact_trigger_calls: int | None = 40  # ... or more results than this
    compact_keep: int = 3  # turns whose outputs are left
    compact_exclude_tools: tuple[str, ...] = ()  # never cleared
    compact_include_tools: tuple[str, ...] = ()  # where given, only these are cleared, excluded or not
    clear_tool_inputs: bool = False
    clear_at_least_tokens: int = 2_000  # a clearing that frees less waits
    placeholder: str = PLACEHOLDER
    summarizer_model: str | None = None  # default: the setting `llm`
    summary_prefix: str = "[summary] prior context"
    summary_max_tokens: int = 600
    summary_max_chars: int = 4_000
    summary_rebase_every: int = 4  # so many summaries of summaries, then one of the turns themselves
    cache_ttl_s: int = 300  # silence after which the provider's cache is taken to be cold
    memory_injection: bool = False  # what other sessions settled is told at the head of the view
    injection_reach: Reach = "agent"
    injection_max_tokens: int = 400
    injection_max_age_days: int = 14

    @property
    def budget(self) -> int:
        """Tokens that the turns of a view may hold."""
        given = self.token_budget
        if given is None:
            given = int(self.context_window_tokens * (1 - min(1.0, max(0.0, self.token_remaining_pct))))
        return max(0, given - self.reserve_tokens)

    @property
    def high(self) -> int:
        """Tokens of turns beyond which something is set off."""
        soft = self.token_soft_budget
        return self.budget if soft is None else min(self.budget, max(0, soft - self.reserve_tokens))

    @property
    def low(self) -> int:
        """Tokens down to which it then goes."""
        return int(self.high * self.token_keep_pct)

    @property
    def hash(self) -> str:
        """The same for strategies that mean the same."""
        return hashlib.sha256(canonical_json(asdict(settled(self))).encode()).hexdigest()

    @property
    def ingredients(self) -> dict[str, Any]:
        """The fields that summaries depend on."""
        return {name: getattr(self, name) for name in FIELDS if name.startswith(("summary_", "summarizer_"))}

    @property
    def recipe(self) -> str:
        """The same for strategies that make the same summaries."""
        return hashlib.sha256(canonical_json(self.ingredients).encode()).hexdigest()[:32]


FIELDS: tuple[str, ...] = tuple(entry.name for entry in fields(Strategy))
NONE = Strategy()
_TURNS: dict[Mode, tuple[int | None, int | None]] = {
    "none": (None, None),
    "trim": (40, 20),
    "summarize": (40, 10),
    "compact": (None, None),
}


def settled(strategy: Strategy) -> Strategy:
    """The strategy with its mode's own defaults; where only one of the two marks is given, the other follows it."""
    high, low = _TURNS[strategy.mode]
    given, kept = strategy.max_user_turns, strategy.keep_last_turns
    if given is None:
        given = high if high is None or not kept else max(high, 2 * kept)
    if kept is None:
        kept = low if given is None or low is None else min(low, max(1, given // 2))
    elif kept == 0:
        kept = given
    return replace(strategy, max_user_turns=given, keep_last_turns=kept)


@dataclass(frozen=True, slots=True)
class Sketch:
    """A turn without its content: all that a strategy decides by. `retracts` are the turns that it takes back.

    What a tool says with the id of a call is a result, also where it was logged as a message.
    """

    seq: int
    role: Role
    kind: Kind
    tokens: int
    received_at: Time
    name: str | None = None
    call_id: str | None = None
    retracts: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.role == "tool" and self.kind == "message" and self.call_id is not None:
            object.__setattr__(self, "kind", "tool_result")


@dataclass(frozen=True, slots=True)
class Item:
    """A turn as a model is shown it, or what stands for several.

    `body` is its content as JSON text; with a `format` it is a list of the one item of that wire, as it came.
    `about` says of what has no turn of its own where it is from: `summary:<id>` or `memory`.
    """

    role: Role
    kind: Kind
    body: Json
    tokens: int
    seq: int | None = None
    name: str | None = None
    call_id: str | None = None
    format: Format | None = None
    replaced: bool = False
    about: str | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """A text that stands for the turns 1 to `last` of a session in a view; cached, derived, never in the log."""

    id: str
    agent_id: str
    session_id: str
    last: int
    recipe: str
    text: str
    tokens: int
    by: str  # who made it: `rules`, or a model
    created_at: Time
    user_id: str | None = None
    base: str | None = None  # the summary that it goes on from
    depth: int = 0  # how many summaries of summaries it is

    @property
    def first(self) -> int:
        return 1


@dataclass(frozen=True, slots=True)
class Operation:
    """What was done with the turns `first` to `last`, and why. An insertion stands before the turn `first`."""

    op: Action
    first: int
    last: int
    reason: str


@dataclass(frozen=True, slots=True)
class View:
    """What a model should see of a session at `version`; the same log, strategy and summaries give the same bytes.

    `items` are as the wire of `format` has them; `system` are blocks that go elsewhere on that wire. Tokens are
    estimates: of all turns (`tokens_before`), of the view (`tokens_after`), and of how much of its beginning is as it
    was before the last turn (`prefix_tokens_shared`). `pending` is the last turn of a summary that is being made; until
    then an older one, or the turns, stand for it.
    """

    agent_id: str
    session_id: str
    version: int
    format: Format
    items: tuple[Any, ...]
    operations: tuple[Operation, ...]
    tokens_before: int
    tokens_after: int
    prefix_tokens_shared: int
    prefix_tokens_before: int  # of the view before the last turn: shared / before is its stability
    budget: int
    over_budget: bool
    cut_seq: int  # the first turn that is not cut away
    cleared_seq: int  # results before it are cleared
    strategy: Strategy
    sources: dict[str, Layer]
    hash: str
    etag: str
    trigger: Trigger | None = None  # what set off the newest cut or clearing
    pending: int | None = None
    injected: Injected | None = None
    warnings: tuple[str, ...] = ()
    system: tuple[Any, ...] = ()  # the system turns that the log begins with, where the wire is Anthropic's


@dataclass(frozen=True, slots=True)
class Effective:
    """A conversation's (or an agent's) strategy: what is stored there, what is in force, and who said each field."""

    agent_id: str
    session_id: str | None
    stored: dict[str, Any]
    version: int  # of what is stored: 0 where nothing ever was
    strategy: Strategy
    sources: dict[str, Layer] = field(default_factory=dict[str, Layer])
    warnings: tuple[str, ...] = ()
