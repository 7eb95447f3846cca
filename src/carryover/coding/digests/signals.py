"""The signals of a session: each kind of problem or success that can be seen in its steps, by a small pure function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from carryover.coding.digests import quotes
from carryover.coding.digests import signals_calls as calls
from carryover.coding.digests import signals_model as model
from carryover.coding.digests import signals_people as people
from carryover.coding.digests import signals_work as work
from carryover.coding.digests.course import Course
from carryover.core.digest import Signal
from carryover.core.step import Supply


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of signal: what it says, what a flavor has to tell for it, and in how many sessions it was seen.

    `rate` is the share of 284 real sessions of Claude Code, in percent, that had it; None where nobody counted.
    """

    name: str
    doc: str
    find: Callable[[Course], Iterable[Signal]]
    needs: tuple[Supply, ...] = ()
    rate: float | None = None
    good: bool = False


KINDS: tuple[Kind, ...] = (
    Kind("tool_errors", "calls of a tool failed", calls.tool_errors, ("errors",), 73.9),
    Kind("error", "the same error, by what failed and what it said", calls.errors, ("errors",)),
    Kind("error_streak", "three calls or more failed in a row", calls.streaks, ("errors",), 7.0),
    Kind(
        "same_call_failed", "the same call with the same arguments failed again", calls.same_failed, ("errors",), 10.6
    ),
    Kind("runaway_loop", "of 12 calls 6 failed, or 10 were alike and 3 failed", calls.loops, ("errors",)),
    Kind(
        "edit_before_read", "a file was edited that had not been read, or changed since", calls.unread, ("errors",), 8.8
    ),
    Kind(
        "edit_mismatch",
        "the text to replace was not in the file, or was there twice",
        calls.mismatches,
        ("errors",),
        16.9,
    ),
    Kind("wrong_path", "a file or folder was read that does not exist", calls.wrong_paths, ("errors",)),
    Kind("reread", "the same part of a file was read three times with no edit between", calls.rereads, (), 18.7),
    Kind("edit_revert", "an edit took back an earlier one", calls.reverts, (), 11.6),
    Kind("edit_churn", "a file was edited four times or more within ten calls", calls.churn),
    Kind("rejection", "the user refused a call", people.rejections, ("errors",), 32.4),
    Kind("interrupt", "the user broke the agent off", people.interrupts, (), 26.8),
    Kind("steering", "the user wrote while the agent was working", people.steering),
    Kind("rewind", "the user went back and asked anew", people.rewinds),
    Kind("correction", "the user said that it was wrong", people.corrections, (), 3.9),
    Kind("repeated_prompt", "the user asked for the same again", people.repeated, (), 4.9),
    Kind("ended_red", "the last run of tests failed", work.ended_red, (), 2.1),
    Kind("untested_edits", "code was edited and no test was run", work.untested, (), 16.2),
    Kind("false_success", "the agent said it was done while tests or the last command failed", work.false_success),
    Kind(
        "left_open",
        "it ended with an open call, a plan not done, or a prompt without an answer",
        work.left_open,
        (),
        9.2,
    ),
    Kind("idle_gap", "nothing happened for more than half an hour", work.idle_gaps, ("times",), 28.2),
    Kind("subagent_failed", "a sub-agent failed", work.failed_agents, ("errors",)),
    Kind("compaction", "the context was compacted", model.compactions, (), 21.5),
    Kind("mid_task_compaction", "the context was compacted in the middle of a piece of work", model.mid_task),
    Kind("context_pressure", "more than nine tenths of the context were full", model.pressure, ("tokens",)),
    Kind("api_trouble", "the model's provider or the network failed", model.trouble, (), 0.7),
    Kind("approval", "the user was content", people.approvals, (), 11.6, good=True),
    Kind("test_fixed", "tests failed, something was edited, and they passed", work.fixed, (), 34.2, good=True),
    Kind(
        "clean_run",
        "edits that were tested, with no correction, refusal or streak of errors",
        work.clean,
        (),
        good=True,
    ),
    Kind("shipped", "a commit, a push or a pull request succeeded", work.shipped, (), good=True),
    Kind("delegation", "sub-agents did a part of the work", work.delegation, (), 33.8, good=True),
)


def signals_of(course: Course) -> tuple[Signal, ...]:
    """All signals of the session, by the order of kinds, and of one kind the most frequent first."""
    found: list[Signal] = []
    for kind in KINDS:
        if all(course.tells(supply) for supply in kind.needs):
            found += sorted(kind.find(course), key=lambda signal: (-signal.count, signal.key))
    return tuple(replace(one, key=quotes.masked(one.key), text=quotes.masked(one.text)) for one in found)
