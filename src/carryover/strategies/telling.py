"""What is told of a view: once for each move of its strategy, whoever asks, and how warm it keeps the cache."""

from __future__ import annotations

from carryover.core import telemetry
from carryover.core.strategy import View
from carryover.jobs.logger import logger_for
from carryover.strategies.plan import Plan

READ, WRITE = 0.1, 1.25  # of a token's price: from the provider's cache, and written to it

logger = logger_for(__name__)


def tell_view(view: View, plan: Plan, told: int) -> None:
    """The view was made anew: what it costs is counted, and the moves of its plan that follow the first `told`."""
    mode, where = view.strategy.mode, {"agent": view.agent_id, "session": view.session_id}
    if mode != "none":
        logger.debug("session.memory_strategy_applied", strategy=mode, sources=view.sources, hash=view.hash, **where)
    if view.prefix_tokens_before:
        telemetry.observe(
            "memory_prefix_stability", view.prefix_tokens_shared / view.prefix_tokens_before, strategy=mode
        )
    telemetry.observe("memory_predicted_cost_tokens", predicted(view), strategy=mode)
    if view.injected is not None:
        telemetry.count("memory_summary_injection", result=view.injected)
        if view.injected == "used":
            logger.debug("memory.injection.summary_used", **where)
        else:
            logger.debug("memory.injection.summary_skipped", reason=view.injected, **where)
    for move in plan.moves[told:]:
        telemetry.count("memory_trigger", strategy=mode, trigger=move.trigger)
        for side, tokens in (("before", move.tokens_before), ("after", move.tokens_after)):
            telemetry.observe("memory_tokens_before_after", tokens, strategy=mode, trigger=move.trigger, side=side)
    if told < len(plan.moves):
        _tell_cleared(view, plan, told, where)


def predicted(view: View) -> float:
    """What the view costs in tokens of its price, if the provider has its beginning in the cache."""
    return READ * view.prefix_tokens_shared + WRITE * (view.tokens_after - view.prefix_tokens_shared)


def _tell_cleared(view: View, plan: Plan, told: int, where: dict[str, str]) -> None:
    since = plan.moves[told - 1].cleared if told else 1
    new = [text for seq, text in plan.placeholders.items() if seq >= since]
    inputs = sum(text.startswith('{"removed":') for text in new)  # arguments stay an object
    counts = {"output": len(new) - inputs, "input": inputs}
    for kind, many in counts.items():
        if many:
            telemetry.count("memory_compaction_items", many, kind=kind)
    first, last = plan.moves[told], plan.moves[-1]
    logger.info(
        "memory.compaction_applied",
        strategy=view.strategy.mode,
        trigger=last.trigger,
        moves=len(plan.moves) - told,
        cut_seq=view.cut_seq,
        cleared_seq=view.cleared_seq,
        outputs=counts["output"],
        inputs=inputs,
        tokens_before=first.tokens_before,
        tokens_after=last.tokens_after,
        **where,
    )
