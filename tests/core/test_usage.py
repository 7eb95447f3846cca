"""Usage adds up."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from carryover.core.usage import Usage

USAGES = st.builds(
    Usage,
    model=st.just("rules"),
    calls=st.integers(0, 99),
    tokens_in=st.integers(0, 10**9),
    tokens_out=st.integers(0, 10**9),
    money=st.decimals(0, 10**6, places=9),
)


@given(USAGES, USAGES, USAGES)
def test_a_sum_does_not_depend_on_the_order(a: Usage, b: Usage, c: Usage) -> None:
    assert a.plus(b) == b.plus(a)
    assert a.plus(b).plus(c) == a.plus(b.plus(c))
    assert a.plus(Usage()) == a
    assert a.plus(b).tokens == a.tokens + b.tokens


def test_the_model_is_the_one_that_was_called() -> None:
    called = Usage("anthropic:small", 1, money=Decimal("0.1"))
    assert Usage().plus(called).model == called.plus(Usage()).model == "anthropic:small"
