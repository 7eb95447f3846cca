"""Both engines find the same: what moves from one to the other is ranked as before."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from carryover.core.chunk import Query
from carryover.core.session import Draft
from carryover.core.usage import Cap
from carryover.jobs.worker import Worker
from carryover.recall.index import indexing
from carryover.recall.search import search
from carryover.store.store import Store
from clocks import FrozenClock
from logbook import ACME, Book

DOCS = Path(__file__).parents[2] / "docs"


def paragraphs() -> dict[str, list[str]]:
    """Our own documentation, a session a page and a turn a paragraph."""
    pages = sorted((DOCS / "explain").glob("*.md")) + sorted((DOCS / "howto").glob("*.md"))
    return {page.stem: [part for part in page.read_text().split("\n\n") if len(part) > 40] for page in pages}


def questions(told: dict[str, list[str]]) -> list[str]:
    """The first words of every seventh paragraph, and of some the last: common words and rare ones."""
    parts = [part for page in told.values() for part in page][::7]
    return [" ".join(part.split()[:9]) for part in parts] + [" ".join(part.split()[-6:]) for part in parts[::3]]


@contextmanager
def filled(url: str, told: dict[str, list[str]]) -> Generator[Store]:
    with Store.open(url, clock=FrozenClock()) as store:
        book = Book(store)
        for page, parts in told.items():
            book.append(page, *(Draft("user" if n % 2 else "assistant", part) for n, part in enumerate(parts)))
        Worker(store, {"index": indexing()}, lambda _: Cap()).drain()
        yield store


def test_words_are_ranked_alike(tmp_path: Path, postgres_url: str) -> None:
    told = paragraphs()
    asked = questions(told)
    same = first = 0.0
    with filled(f"sqlite:///{tmp_path / 'alike.db'}", told) as one, filled(postgres_url, told) as other:
        for question in asked:
            ours, theirs = top(one, question), top(other, question)
            same += len(set(ours) & set(theirs)) / len(ours)
            first += ours[0] == theirs[0]
    assert len(asked) > 50
    assert same / len(asked) > 0.98
    assert first / len(asked) > 0.98


def top(store: Store, question: str) -> list[tuple[str, int]]:
    hits = search(store, ACME, Query(question, 10), embedder=None).results
    return [(hit.session_id, hit.sources[0].first) for hit in hits]
