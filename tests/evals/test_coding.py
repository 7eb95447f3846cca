"""All coding sessions on one page: the figures are right, and the page is safe, whole, and good to look at."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from carryover.core.budget import Budget
from carryover.core.pattern import Effect, Evidence, Pattern, Share
from carryover.core.scope import Scope
from carryover.core.step import About, Spend
from carryover.evals import coding, draw
from carryover.evals.coding import Overview, overview
from carryover.evals.coding_page import page
from carryover.store import exposures, origins, patterns, spends
from carryover.store.store import Store
from coded import worked

T = Scope("acme")
BUDGET = Budget(4_000_000, 8_000_000, 90, 1_000_000)
EVIL = '<script src="https://evil.example/x.js">alert("1")</script><img src=x onerror=alert(1)>'
MONDAY = 1_769_990_400_000  # 2 February 2026
WEEK = 7 * 86_400_000
_VOID = {"meta", "br", "link", "img", "input", "hr"}


class Balanced(HTMLParser):
    """Fails where an element is not closed, or closed twice."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += attrs
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(made: str) -> Balanced:
    """The page, which stands alone and is well-formed."""
    found = Balanced()
    found.feed(made)
    found.close()
    assert found.open == []
    assert found.seen & {"script", "link", "img", "iframe", "object", "embed", "form", "base"} == set()
    for name, value in found.attributes:
        assert not name.startswith("on")
        assert name not in ("src", "href", "xlink:href", "srcset", "action")
        assert "url(" not in (value or "")
    style = re.search(r"<style>(.*?)</style>", made, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    return found


def session(store: Store, id: str, week: int | None, **more: Any) -> None:
    at = None if week is None else MONDAY + week * WEEK
    worked(store, T, id, "mend it", started_at=at, ended_at=at, **more)


def known(store: Store, id: str, **more: Any) -> Pattern:
    made = Pattern(id, 1, "candidate", "tool_error", id, f"{id} recurs", f"Mind {id}.", total=Share(2, 3))
    with store.write(T) as tx:
        patterns.put(tx, replace(made, **more))
    return replace(made, **more)


def effect(pattern: str, verdict: str, estimate: float, low: float, high: float, missing: int = 0) -> Effect:
    return Effect(
        pattern, 1, MONDAY, verdict, "before and after", "incidence", Share(9, 20), Share(2, 20), estimate, low, high,
        missing,
    )  # type: ignore[arg-type]  # fmt: skip


@pytest.fixture
def full(store: Store) -> Overview:
    """Three weeks of several agents, with hostile texts, effects and costs."""
    for n in range(12):
        agent = ("claude-code", "codex", "grok")[n % 3]
        outcome = ("verified", "unverified", "errored", "unknown")[n % 4]
        session(store, f"s{n}", n % 3, agent=agent, outcome=outcome)
    session(store, "child", 1, kind="subagent")
    quote = Evidence("codex", f"s1{EVIL}", 1, 1, f"said {EVIL}", EVIL)
    one = known(
        store, "p1", title=f"`make` {EVIL}", lesson=f"Never {EVIL}", evidence=(quote,), cross_flavor=True,
        flavors={"codex": Share(2, 4)}, repos={EVIL: Share(1, 2)},
    )  # fmt: skip
    known(store, "p2", state="rejected", title="not to be seen")
    with store.write(T) as tx:
        exposures.measured(tx, [effect(one.id, "helped", -0.35, -0.6, -0.1)])
        origins.put(tx, [("codex", "s1", "/l", About(first_at=MONDAY))])
        priced = Spend("k1", MONDAY, "claude-opus-4-6", 1000, 2000, 0, 300)
        spends.put(tx, [("codex", "s1", priced), ("codex", "s1", Spend("k2", MONDAY, EVIL, 1, 0, 0, 1))])
        spends.put(tx, [("codex", "s1", Spend("k3", MONDAY, "told", 1, 0, 0, 1, cost=2_500_000_000))])
    return overview(store, T)


def test_sessions_are_counted_by_the_week_in_which_they_began(full: Overview) -> None:
    assert full.weeks == (MONDAY, MONDAY + WEEK, MONDAY + 2 * WEEK)
    told = {"all": full.digests, "verified": [one for one in full.digests if one.outcome == "verified"]}
    counts = coding.by_time(full, told)
    assert list(counts) == ["2026-02-02", "2026-02-09", "2026-02-16"]
    assert [one["all"] for one in counts.values()] == [4, 5, 4]
    assert sum(one["verified"] for one in counts.values()) == 4  # the sub-agent's among them


def test_a_week_without_sessions_is_shown_and_many_weeks_become_months(store: Store) -> None:
    session(store, "s1", 0)
    session(store, "s2", 4)
    found = overview(store, T)
    assert [one["all"] for one in coding.by_time(found, {"all": found.digests}).values()] == [1, 0, 0, 0, 1]
    session(store, "s3", 60)
    found = overview(store, T)
    counts = coding.by_time(found, {"all": found.digests})
    assert list(counts)[:3] == ["2026-02", "2026-03", "2026-04"]
    assert (counts["2026-02"]["all"], counts["2026-03"]["all"], sum(one["all"] for one in counts.values())) == (1, 1, 3)


def test_what_was_spent_is_told_as_far_as_it_is_known(full: Overview) -> None:
    spent = {one.model: one for one in full.spent}
    priced = spent["claude-opus-4-6"]
    assert (priced.calls, priced.input, priced.cache_read, priced.output, priced.cost) == (1, 1000, 2000, 300, None)
    assert priced.estimate is not None
    assert spent["told"].cost == 2.5
    assert (spent[EVIL].cost, spent[EVIL].estimate) == (None, None)
    made = parsed(page(full, BUDGET))
    said = " ".join(made.text)
    assert "$2.50" in said
    assert "spent, at least" in said
    assert "unknown" in said


def test_the_page_is_whole_and_nothing_in_it_is_run(full: Overview) -> None:
    made = page(full, BUDGET)
    found = parsed(made)
    assert "<script" not in made
    assert "<img" not in made
    said = "".join(found.text)
    assert f"said {EVIL}" in said
    assert f"Never {EVIL}" in said
    assert "[CROSS-FLAVOR]" in said
    assert "<code>make</code>" in made
    assert "not to be seen" not in said
    assert "12" in said


def test_effects_stand_on_their_intervals(full: Overview) -> None:
    made = page(full, BUDGET)
    assert "-0.35 [-0.6, -0.1]" in made
    assert "helped" in made
    assert "9 of 20" in made


def test_an_empty_store_says_what_to_do(store: Store) -> None:
    found = overview(store, T)
    assert (found.weeks, found.digests, found.spent) == ((), (), ())
    made = parsed(page(found, BUDGET))
    said = "".join(made.text)
    assert "carryover ingest" in said
    assert "carryover detect" in said
    assert "svg" not in made.seen


def test_a_session_without_times_is_counted_and_not_drawn(store: Store) -> None:
    session(store, "s1", None)
    found = overview(store, T)
    assert found.weeks == ()
    made = parsed(page(found, BUDGET))
    assert "of unknown times" in "".join(made.text)
    assert "svg" not in made.seen
    session(store, "s2", 0)
    assert "1 of unknown times" in "".join(parsed(page(overview(store, T), BUDGET)).text)


def test_intervals_without_an_end_stay_on_the_plot() -> None:
    made = draw.intervals("x", [("wide", 0.5, float("-inf"), float("inf")), ("narrow", -0.2, -0.3, -0.1)])
    xs = [float(x) for x in re.findall(r'x[12]="([^"]+)"', made)]
    assert xs
    assert all(0 <= x <= draw.WIDTH for x in xs)
    assert "nan" not in made


def test_columns_have_whole_numbers_beside_them() -> None:
    for most in (1, 2, 3, 5, 14, 97):
        made = draw.stacked("x", {"a": {"one": most, "none": 0}})
        ticks = [int(tick) for tick in re.findall(r'text-anchor="end">([^<]+)<', made)]
        assert ticks == sorted(set(ticks))
        assert ticks[-1] >= most
        assert "none" not in made


@pytest.fixture
def chromium() -> str:
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("no chromium here; install it to look at the page")
    return found


@pytest.mark.parametrize("width", [1000, 400])
def test_a_browser_shows_it_without_scrolling_sideways(
    full: Overview, chromium: str, tmp_path: Path, width: int
) -> None:
    """The frame is as wide as the screen; what is wider scrolls by itself, and not the page."""
    (tmp_path / "page.html").write_text(page(full, BUDGET), "utf-8")
    probe = (
        f'<body><iframe id="f" src="page.html" style="width:{width}px;height:900px"></iframe><pre id="out"></pre>'
        "<script>onload = () => { const d = document.getElementById('f').contentDocument.documentElement;"
        "document.getElementById('out').textContent = `measured ${d.scrollWidth - d.clientWidth}`; }</script></body>"
    )
    (tmp_path / "probe.html").write_text(probe, "utf-8")
    done = subprocess.run(
        [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
         f"--user-data-dir={tmp_path}/profile", "--virtual-time-budget=5000", "--dump-dom",
         (tmp_path / "probe.html").as_uri()],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "measured 0<" in done.stdout
