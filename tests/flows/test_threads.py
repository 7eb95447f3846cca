"""Many threads of one process on one log share commits, and each gets its own answer."""

from __future__ import annotations

import threading

from carryover.core.session import Appended, Draft
from carryover.store.store import Store
from logbook import Book


def test_a_crowd_of_agents_fills_its_sessions_densely(store: Store) -> None:
    book = Book(store)
    answers: dict[str, list[Appended]] = {f"s{n}": [] for n in range(4)}
    guard = threading.Lock()

    def work(name: int) -> None:
        session = f"s{name % 4}"
        for n in range(15):
            drafts = [Draft("user", f"{name}/{n}", idempotency_key=f"{name}/{n}"), Draft("assistant", "ok")]
            answer = book.append(session, *drafts)
            with guard:
                answers[session].append(answer)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for session, given in answers.items():
        turns = book.turns(session)
        assert [turn.seq for turn in turns] == list(range(1, 121))
        for answer in given:
            asked, answered = (turns[place.seq - 1] for place in answer.turns)
            assert (asked.id, answered.id) == tuple(place.id for place in answer.turns)
            assert answered.seq == asked.seq + 1 == answer.version
    assert book.log.requests == 240
    assert book.log.commits < 240
