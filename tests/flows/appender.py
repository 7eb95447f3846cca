"""A process that appends and says so, line by line: what it has printed was acknowledged, and must be there for ever.

Arguments: the database's URL, a name, how many turns (0: until it is killed).
"""

from __future__ import annotations

import sys
from itertools import count

from carryover.core.session import Draft
from carryover.store.store import Store
from logbook import Book


def main(url: str, name: str, most: int) -> None:
    with Store.open(url) as store:
        book = Book(store)
        for n in count() if most == 0 else range(most):
            session = f"shared-{n % 3}"
            drafts = [Draft("user", f"{name} {n} {part} " + "x" * 50 * part) for part in range(1 + n % 3)]
            for draft, place in zip(drafts, book.append(session, *drafts).turns, strict=True):
                sys.stdout.write(f"{session}\t{place.seq}\t{place.id}\t{draft.content}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
