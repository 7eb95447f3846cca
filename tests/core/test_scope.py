"""Rights include one another, and a narrowed scope does not see what lies outside."""

from __future__ import annotations

import pytest

from carryover.core.errors import Forbidden, NotFound
from carryover.core.scope import RIGHTS, Right, Scope


@pytest.mark.parametrize("held", RIGHTS)
@pytest.mark.parametrize("asked", RIGHTS)
def test_admin_includes_write_and_write_includes_read(held: Right, asked: Right) -> None:
    scope = Scope("t", rights=frozenset({held}))
    if RIGHTS.index(asked) <= RIGHTS.index(held):
        scope.require(asked)
    else:
        with pytest.raises(Forbidden, match=repr(asked)):
            scope.require(asked)


def test_no_right_admits_nothing() -> None:
    with pytest.raises(Forbidden):
        Scope("t", rights=frozenset()).require("read")


@pytest.mark.parametrize(
    ("scope", "inside"),
    [
        (Scope("t"), True),
        (Scope("t", agent="a"), True),
        (Scope("t", agent="b"), False),
        (Scope("t", user="u"), True),
        (Scope("t", user="v"), False),
        (Scope("t", agent="a", user="u"), True),
        (Scope("t", agent="a", user="v"), False),
    ],
)
def test_a_scope_admits_its_own_rows_only(scope: Scope, inside: bool) -> None:
    assert scope.admits("a", "u") is inside
    if inside:
        scope.require_inside("a", "u", "session 's'")
    else:
        with pytest.raises(NotFound, match="session 's' does not exist here"):
            scope.require_inside("a", "u", "session 's'")


def test_rows_without_a_user_lie_outside_a_scope_of_one_user() -> None:
    assert not Scope("t", user="u").admits("a", None)
