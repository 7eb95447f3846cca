"""Segments are kept once, as long as a piece names them, whoever else is at work."""

from __future__ import annotations

import threading

import pytest

from carryover.core.scope import EVERY_TENANT, Scope
from carryover.store import archive
from carryover.store.archive import Piece, Segment, Tail
from carryover.store.check import check
from carryover.store.coding_tables import pieces, segments
from carryover.store.store import Store

T = Scope("t")


def seg(name: str, size: int = 10) -> Segment:
    return Segment(name, size, name.encode())


def held(store: Store, scope: Scope = T) -> set[str]:
    with store.read(scope) as tx:
        rows = tx.conn.execute(segments.select().where(segments.c.tenant == scope.tenant))
        return {row.hash for row in rows}


def test_a_log_that_grows_changes_its_last_piece_only(store: Store) -> None:
    with store.write(T) as tx:
        archive.put(tx, "/a", 0, [Piece(0, 0, seg("one")), Piece(1, 10, seg("short", 3))])
        assert archive.tail(tx, "/a", 0) == Tail(1, 10)
        assert archive.tail(tx, "/a", 1) == archive.START
        archive.put(tx, "/a", 0, [Piece(1, 10, seg("two")), Piece(2, 20, seg("three", 5))])
        archive.put(tx, "/a", 0, [])
    assert held(store) == {"one", "two", "three"}
    with store.read(T) as tx:
        found = archive.kept(tx, "/a")
        assert [(one.n, one.start, one.length, one.hash, one.whole, one.tier) for one in found] == [
            (0, 0, 10, "one", "one", "full"),
            (1, 10, 10, "two", "two", "full"),
            (2, 20, 5, "three", "three", "full"),
        ]
        assert archive.size(tx) == sum(one.packed for one in found) == 11
        assert archive.faults(tx.within(EVERY_TENANT)) == []


def test_equal_segments_are_kept_once_until_the_last_log_lets_go(store: Store) -> None:
    with store.write(T) as tx:
        for path in ("/a", "/b"):
            archive.put(tx, path, 0, [Piece(0, 0, seg("same")), Piece(1, 10, seg(path))])
        assert archive.size(tx) == 8
        assert archive.erase(tx, ["/a"]) == {"pieces": 2, "segments": 1}
    assert held(store) == {"same", "/b"}
    with store.write(T) as tx:
        assert archive.erase(tx, ["/a", "/b"]) == {"pieces": 2, "segments": 2}
    assert held(store) == set()


def test_a_rewritten_log_shares_what_stayed(store: Store) -> None:
    with store.write(T) as tx:
        archive.put(tx, "/a", 0, [Piece(0, 0, seg("same")), Piece(1, 10, seg("old"))])
        archive.put(tx, "/a", 1, [Piece(0, 0, seg("same")), Piece(1, 10, seg("new"))])
    with store.read(T) as tx:
        assert [one.hash for one in archive.kept(tx, "/a")] == ["same", "new"]
        assert [one.hash for one in archive.kept(tx, "/a", 0)] == ["same", "old"]
    assert held(store) == {"same", "old", "new"}


def test_what_changed_meanwhile_is_not_replaced(store: Store) -> None:
    with store.write(T) as tx:
        archive.put(tx, "/a", 0, [Piece(0, 0, seg("old"))])
        [piece] = archive.kept(tx, "/a")
        archive.put(tx, "/a", 0, [Piece(0, 0, seg("grown"))])
        assert not archive.replace(tx, piece, "", "gone")
        [piece] = archive.kept(tx, "/a")
        assert archive.replace(tx, piece, "", "gone")
        assert archive.release(tx, [piece.hash, ""]) == len("grown")
        archive.forget(tx, "/a", 0)
        assert archive.kept(tx, "/a") == []


def test_tenants_do_not_share(store: Store) -> None:
    for scope in (T, Scope("u")):
        with store.write(scope) as tx:
            archive.put(tx, "/a", 0, [Piece(0, 0, seg("same"))])
    with store.write(T) as tx:
        archive.erase(tx, ["/a"])
    assert (held(store), held(store, Scope("u"))) == (set(), {"same"})


@pytest.mark.parametrize("damage", ["bare", "torn", "stray"])
def test_damage_is_told(store: Store, damage: str) -> None:
    with store.write(T) as tx:
        archive.put(tx, "/a", 0, [Piece(0, 0, seg("one")), Piece(1, 10, seg("two"))])
    assert [fault for fault in check(store) if fault.check == "archive"] == []
    with store.write(T) as tx:
        first = (pieces.c.tenant == "t", pieces.c.n == 0)
        if damage == "bare":
            tx.conn.execute(segments.delete().where(segments.c.tenant == "t", segments.c.hash == "two"))
        elif damage == "torn":
            tx.conn.execute(pieces.update().where(*first).values(length=9))
        else:
            archive.add(tx, [seg("nobody's")])
    [fault] = [fault for fault in check(store) if fault.check == "archive"]
    said = {
        "bare": "'/a' of tenant 't' lack their bytes",
        "torn": "do not follow",
        "stray": "1 segments belong to no log",
    }
    assert said[damage] in fault.detail
    assert not fault.repairable


def test_whoever_lets_go_and_whoever_names_do_not_lose_a_segment(store: Store) -> None:
    """Logs of several writers come to share a segment and let go of it, over and over."""
    failed: list[BaseException] = []

    def write(path: str) -> None:
        try:
            for n in range(25):
                cut = [Piece(0, 0, seg("same" if n % 2 else path)), Piece(1, 10, seg(f"{path}{n}"))]
                store.transact(T, lambda tx, cut=cut: archive.put(tx, path, 0, cut))
        except BaseException as cause:
            failed.append(cause)

    writers = [threading.Thread(target=write, args=(f"/{name}",)) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failed == []
    with store.read(EVERY_TENANT) as tx:
        assert archive.faults(tx) == []
