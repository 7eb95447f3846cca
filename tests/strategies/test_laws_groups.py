"""Laws of what stands together in a view, and in what order, for every mode and any log."""

from __future__ import annotations

from carryover.strategies.course import course_of
from strategies.logs import Case, live_seqs
from strategies.oracle import Looked, every_mode


@every_mode()
def test_law_02_pairing(case: Case) -> None:
    looked = Looked(case)
    told, order = looked.told, list(looked.shown)
    for seq, item in looked.shown.items():
        if item.kind == "tool_result":
            call = next(call for call, result in told.pairs.items() if result == seq)
            assert order.index(call) < order.index(seq)
        elif item.kind == "tool_call":
            assert seq in told.open or told.pairs[seq] in looked.shown


@every_mode()
def test_law_02_an_open_call_is_at_the_end(case: Case) -> None:
    looked = Looked(case)
    last = max(looked.told.users, default=0)
    for seq in looked.told.open:
        assert seq > last
        assert seq in looked.shown or looked.taken_back  # it was past answering when it was cut away


@every_mode()
def test_law_03_a_group_is_whole_or_not_there(case: Case) -> None:
    looked = Looked(case)
    told = looked.told
    for call, result in told.pairs.items():
        assert (call in looked.shown) == (result in looked.shown)
    for one, other in zip(told.live, told.live[1:], strict=False):
        at_once = one.kind == other.kind == "tool_call"
        if at_once and not looked.taken_back and not {one.seq, other.seq} & (told.dead | told.late):
            assert (one.seq in looked.shown) == (other.seq in looked.shown)


@every_mode(examples=40)
def test_law_03_what_was_taken_back_has_never_been(case: Case) -> None:
    """Nor has it left a trace in how the others hang together, and in what they weigh."""
    live = set(live_seqs(case.turns))
    left = course_of([sketch for sketch in case.sketches if sketch.seq in live], case.strategy)
    found = course_of(case.sketches, case.strategy)
    for name in ("live", "seqs", "before", "starts", "turns", "rounds", "answer", "asked", "leading"):
        assert getattr(found.outline, name) == getattr(left.outline, name), name
    assert found.outline.first_open() == left.outline.first_open()
    end = len(live)
    assert found.outline.dead(0, end) == left.outline.dead(0, end)
    for cleared in range(end + 1):
        assert found.tokens(0, cleared) == left.tokens(0, cleared)


@every_mode()
def test_law_03_only_calls_and_results_are_replaced(case: Case) -> None:
    for item in Looked(case).shown.values():
        assert not item.replaced or item.kind in ("tool_call", "tool_result")


@every_mode()
def test_law_04_reasoning_goes_with_what_it_led_to(case: Case) -> None:
    looked = Looked(case)
    told = looked.told
    for one, other in zip(told.live, told.live[1:], strict=False):
        if one.kind != "reasoning":
            continue
        if other.role == "assistant" and other.seq in looked.shown:
            assert one.seq in looked.shown
        if one.seq in looked.shown:
            assert other.role == "assistant"
            assert other.seq in looked.shown or other.seq in told.dead | told.lost


@every_mode()
def test_law_04_calls_go_with_what_was_said_before_them(case: Case) -> None:
    """A provider says it all in one answer, and may refuse to be shown the rest of it."""
    looked = Looked(case)
    told = looked.told
    for one, other in zip(told.live, told.live[1:], strict=False):
        said = (one.role, one.kind) == ("assistant", "message") and other.kind == "tool_call"
        if said and other.seq not in told.dead | told.late and not looked.taken_back:
            assert (one.seq in looked.shown) == (other.seq in looked.shown)


@every_mode()
def test_law_05_order(case: Case) -> None:
    looked = Looked(case)
    seqs = [item.seq for item in looked.items if item.seq is not None]
    assert seqs == sorted(set(seqs))
    assert set(seqs) <= {turn.seq for turn in looked.told.bulk}
    strange = [n for n, item in enumerate(looked.items) if item.seq is None]
    if strange:
        head = strange[0]
        assert strange == list(range(head, head + len(strange)))
        assert [item.seq for item in looked.items[:head]] == looked.told.leading


@every_mode()
def test_law_05_operations_tell_of_every_turn_once(case: Case) -> None:
    looked = Looked(case)
    told = [operation for operation in looked.plan.operations if operation.op != "insert"]
    assert [seq for one in told for seq in range(one.first, one.last + 1)] == [turn.seq for turn in case.turns]
    live = {turn.seq for turn in looked.told.live}
    for turn in case.turns:
        assert (looked.reason[turn.seq] == "retracted") == (turn.seq not in live)
    replaced = [seq for seq, action in looked.plan.shown() if action == "replace"]
    assert replaced == [seq for seq, item in looked.shown.items() if item.replaced]


@every_mode()
def test_law_06_what_no_strategy_is_asked_to_leave_out_is_there(case: Case) -> None:
    looked = Looked(case)
    for turn in looked.told.bulk:
        if not looked.plan.moves or turn.seq in looked.told.leading:
            assert looked.shown[turn.seq].body == turn.body
            assert looked.shown[turn.seq].tokens == turn.tokens


@every_mode()
def test_law_07_the_first_turn_shown_is_a_users(case: Case) -> None:
    looked = Looked(case)
    told = looked.told
    shown = [seq for seq in looked.shown if seq not in told.leading]
    bulk = [turn.seq for turn in told.bulk if turn.seq not in told.leading]
    cut = bool(shown) and shown[0] != bulk[0]
    summary = looked.plan.summary is not None
    if cut and not summary and told.users:
        assert shown[0] in told.users
    if looked.plan.summary is not None:
        first = next(item for item in looked.items if item.about or item.role != "system")
        assert (first.role, first.about) == ("user", f"summary:{looked.plan.summary.id}")


@every_mode()
def test_law_07_a_cut_inside_of_a_turn_leaves_its_question(case: Case) -> None:
    looked = Looked(case)
    for seq, item in looked.shown.items():
        before = [user for user in looked.told.users if user < seq]
        if item.kind != "message" and before and seq not in looked.told.late | set(looked.told.leading):
            assert before[-1] in looked.shown


@every_mode(modes=("summarize",), examples=70)
def test_law_16_coverage(case: Case) -> None:
    looked = Looked(case)
    summary, told = looked.plan.summary, looked.told
    inserted = [operation for operation in looked.plan.operations if operation.op == "insert"]
    about = {item.about for item in looked.items if item.seq is None}
    if summary is None:
        assert (inserted, about) == ([], set())
        return
    assert about == {f"summary:{summary.id}"}
    assert [operation.reason for operation in inserted] == [f"summary:{summary.id}"]
    assert summary.recipe == case.strategy.recipe
    for turn in told.live:
        if turn.seq not in told.leading:
            assert (looked.reason[turn.seq] == "summarized") <= (turn.seq <= summary.last)
            if turn.seq <= summary.last and turn.seq in looked.shown:
                assert turn.seq in told.users  # the question that a cut inside of its turn leaves
    assert looked.taken_back or not [seq for seq in told.open if seq <= summary.last]


@every_mode(modes=("summarize",), examples=70)
def test_law_16_the_summary_that_is_wanted_can_be_made(case: Case) -> None:
    looked = Looked(case)
    plan, told = looked.plan, looked.told
    if plan.wanted is not None and not looked.taken_back:
        assert plan.wanted < plan.moves[-1].cut
        assert plan.summary is None or plan.wanted > plan.summary.last
        assert not [seq for seq in told.open if seq <= plan.wanted]
        pairs = [pair for pair in told.pairs.items() if not set(pair) & told.late]
        assert not [pair for pair in pairs if pair[0] <= plan.wanted < pair[1]]
