"""How a session ended, by what stands in it; with how sure that is, and the turns that decided it."""

from __future__ import annotations

from dataclasses import dataclass

from carryover.coding.digests import lexicon, quotes, review
from carryover.coding.digests.course import Act, Course, is_typed, spoken
from carryover.core.digest import Outcome
from carryover.core.session import Source

LEAST = 3  # things that were said or done; less is no session to judge
STREAK = 3  # failed calls in a row
_MOST = 5  # turns that are named
_LEAVING = ("/exit", "/quit", "/clear", "/logout", "exit", "quit", "bye")


@dataclass(frozen=True, slots=True)
class Judged:
    """An outcome with its confidence (0 to 1) and the turns that decided it."""

    outcome: Outcome
    confidence: float
    because: tuple[Source, ...] = ()


def judge(course: Course) -> Judged:
    """The outcome, in the order in which they exclude each other: errored, abandoned, verified, unverified.

    Who left after everything was shown to work has not abandoned it.
    """
    acts = [act for act in course.acts if act.own and act.branch == "main" and _counts(act)]
    if sum(act.kind in ("prompt", "text", "call") for act in acts) < LEAST:
        return Judged("unknown", 0.5)
    return _errored(course, acts) or _by_evidence(course, acts)


def left(course: Course, acts: list[Act]) -> tuple[float, Act] | None:
    """How sure it is that the user left before it was over, and by which act; None where the agent had its say."""
    last = acts[-1]
    if last.kind == "interrupt":
        return 0.8, last
    if last.kind == "prompt":
        said = spoken(last.text)
        over = lexicon.approval(said) is not None or said.lower().startswith(_LEAVING)
        return None if over else (0.8, last)
    if last.kind == "call" and last.status == "rejected":
        return 0.7, last
    if last.kind == "call" and not last.result_seq and any(call.result_seq for call in course.calls):
        return 0.7, last
    return None


def _counts(act: Act) -> bool:
    """Whether something was said or done; what a user ran for himself, and the end of it, are not part of the work."""
    if act.kind == "prompt":
        return is_typed(act) and not act.text.startswith("! ")
    return act.kind in ("text", "call", "interrupt", "failure")


def _errored(course: Course, acts: list[Act]) -> Judged | None:
    said = [act for act in acts if act.kind != "prompt"]
    if said and said[-1].kind == "failure":
        sure = 0.9 if acts[-1] is said[-1] else 0.7  # asked to go on, it did not answer any more
        return Judged("errored", sure, (quotes.of_text(course, said[-1]),))
    streak: list[Act] = []
    for call in reversed(course.calls):
        if not call.failed:
            break
        streak.append(call)
    if len(streak) < STREAK:
        return None
    spoke = acts[-1].kind == "text"
    return Judged("errored", 0.6 if spoke else 0.8, quotes.of(course, streak[:STREAK][::-1]))


def _by_evidence(course: Course, acts: list[Act]) -> Judged:
    gone = left(course, acts)
    proof, sure, after = _proof(course)
    if proof and (gone is None or not after):
        return Judged("verified", sure if gone is None else 0.6, proof)
    if gone is not None:
        sure, act = gone
        return Judged("abandoned", sure, quotes.of(course, [act]))
    tried = review.trials(course)
    if tried and tried[-1].passed is False:
        return Judged("unverified", 0.7, (quotes.of_trial(course, tried[-1].call), *_last_words(course, acts)))
    return Judged("unverified", 0.6 if review.edits(course) else 0.5, _last_words(course, acts))


def _proof(course: Course) -> tuple[tuple[Source, ...], float, bool]:
    """The turns that show that what was done works, how sure that is, and whether something was changed after them.

    It is less sure where something was, and where a plan was left with entries to do.
    """
    changed = [edit.n for edit in review.edits(course)]
    told = [trial for trial in review.trials(course) if trial.passed is not None]
    ended_red = bool(told) and not told[-1].passed
    ships = [act for act, _ in review.shipped(course)]
    green = told[-1] if told and told[-1].passed and any(n < told[-1].call.n for n in changed) else None
    if ended_red or (green is None and not ships):
        return (), 0.0, False
    sure = 0.95 if green is not None and ships else 0.85 if green is not None else 0.75
    last = max(act.n for act in (*ships[-1:], *([green.call] if green else [])))
    after = any(n > last for n in changed)
    proof = [quotes.of_trial(course, green.call)] if green else []
    proof += [
        quotes.of_result(course, act) if act.kind == "call" else quotes.of_text(course, act) for act in ships[-2:]
    ]
    plans = [call.pending for call in course.of("plan") if call.pending is not None and not call.failed]
    doubtful = after or bool(plans and plans[-1])
    return tuple(proof[:_MOST]), sure - 0.2 if doubtful else sure, after


def _last_words(course: Course, acts: list[Act]) -> tuple[Source, ...]:
    said = next((act for act in reversed(acts) if act.kind == "text"), None)
    return () if said is None else (quotes.of_text(course, said),)
