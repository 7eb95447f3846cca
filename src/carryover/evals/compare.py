"""Whether one run is better than another: each question is compared with itself, and whole conversations are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from carryover.core.errors import Invalid
from carryover.evals.bootstrap import FEW, Interval, interval
from carryover.evals.report import CONTEXT, LESS_IS_MORE, MEASURES, SESSIONS, Report, head, row, shown

# Neither the floor nor how much of its budget a context uses is better or worse.
_COMPARED = [name for name in (*MEASURES, *SESSIONS, *CONTEXT) if name not in ("answer by chance", "context tokens")]


@dataclass(frozen=True, slots=True)
class Difference:
    """A measure in a dataset and a mode: the mean before, and by how much it is another now."""

    dataset: str
    mode: str
    measure: str
    before: float
    by: Interval

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or that there is no difference to be seen."""
        if self.by.low is None:
            return "one conversation only: no telling"
        if not self.by.sure:
            return "no difference"
        better = (self.by.mean > 0) != (self.measure in LESS_IS_MORE)
        return ("better" if better else "worse") + (", of few conversations" if self.by.clusters < FEW else "")


def differences(new: Report, old: Report) -> list[Difference]:
    """New less old, over the questions that both asked in the same mode. Raises Invalid where there are none."""
    made = list(_differences(new, old))
    if not made:
        raise Invalid("the two reports have no question in common; compare runs over the same data", field="against")
    return made


def _differences(new: Report, old: Report) -> Iterator[Difference]:
    before = {result.key: result for result in old.results}
    for dataset, mode in new.sets:
        pairs = [(now, before[now.key]) for now in new.chosen(dataset, mode) if now.key in before]
        for name in _COMPARED:
            both = [(now, was) for now, was in pairs if name in now.values and name in was.values]
            if both:
                by = interval(
                    [now.values[name] - was.values[name] for now, was in both], [now.cluster for now, _ in both]
                )
                yield Difference(dataset, mode, name, sum(was.values[name] for _, was in both) / len(both), by)


def markdown(found: list[Difference]) -> str:
    """A table for each dataset and mode."""
    lines: list[str] = []
    for dataset, mode in dict.fromkeys((one.dataset, one.mode) for one in found):
        lines += [f"## {dataset}, {mode}, against the other run", ""]
        lines += head("measure", "n", "before", "by", "95 %", "verdict")
        lines += [line(one) for one in found if (one.dataset, one.mode) == (dataset, mode)] + [""]
    return "\n".join(lines)


def line(one: Difference) -> str:
    return row(*cells(one))


def cells(one: Difference) -> tuple[str, ...]:
    """What a table says of it."""
    name, by = one.measure, one.by
    ends = "" if by.low is None or by.high is None else f"{_signed(name, by.low)} to {_signed(name, by.high)}"
    return name, str(by.n), shown(name, one.before), _signed(name, by.mean), ends, one.verdict


def _signed(name: str, value: float) -> str:
    text = shown(name, value)
    return text if text.startswith("-") and float(text) else f"+{text.removeprefix('-')}"
