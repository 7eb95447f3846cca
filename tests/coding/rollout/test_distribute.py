"""Patterns into files and back out of them: shown first, recorded, and never a byte of anybody else's."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from carryover.coding.patterns import curate
from carryover.coding.patterns.telling import Budget
from carryover.coding.rollout import distribute, files, targets
from carryover.coding.rollout.compare import Goal
from carryover.coding.rollout.distribute import Change, Wish
from carryover.coding.rollout.targets import EVERYWHERE, Readers, Target
from carryover.core.errors import Conflict, Invalid, NotFound
from carryover.core.event import PATTERNS, Filter
from carryover.core.pattern import Exposure, Pattern, Share
from carryover.core.scope import Scope
from carryover.store import events, exposures, patterns
from carryover.store.store import Store
from clocks import FrozenClock

ACME = Scope("acme")
FLAVORS = {"claude-code": Share(7, 31), "codex": Share(3, 12)}


def pattern(id: str, lesson: str, *, score: float = 1.0, state: str = "approved", **more: object) -> Pattern:
    made = Pattern(id, 1, state, "edit_before_read", f"edit {id}", id, lesson, score=score, flavors=FLAVORS)  # type: ignore[arg-type]
    return replace(made, **more)  # type: ignore[arg-type]


def known(store: Store, *found: Pattern) -> None:
    with store.write(ACME) as tx:
        for one in found:
            patterns.put(tx, one)


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A checkout with a remote, and instructions of its own for one agent."""
    folder = tmp_path / "shop"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git/config").write_text(
        '[core]\n\tbare = false\n[remote "origin"]\n\turl = git@github.com:acme/shop.git\n'
    )
    (folder / "CLAUDE.md").write_bytes(b"# Shop\n\nUse PostgreSQL.")
    return folder


@pytest.fixture
def approved(store: Store) -> Store:
    known(store, pattern("p1", "Read a file before you edit it.", score=2), pattern("p2", "Run `make test` once."))
    return store


def told(store: Store, where: Sequence[Target], wish: Wish | None = None) -> list[Change]:
    changes = distribute.plan(store, ACME, where, wish or Wish())
    distribute.carry_out(store, ACME, changes, Goal(), by="mara", reason="for all")
    return changes


def withdrawn(store: Store, id: str, *, force: bool = False) -> Pattern:
    changes = distribute.withdrawing(store, ACME, id, force=force)
    return distribute.withdraw(store, ACME, id, changes, by="mara", reason="it did not help")


def standing(store: Store) -> list[Exposure]:
    with store.read(ACME) as tx:
        return exposures.listed(tx, standing=True)


def state_of(store: Store, id: str) -> str:
    with store.read(ACME) as tx:
        return curate.known(tx, id).state


def test_there_and_back(approved: Store, repo: Path, clock: FrozenClock) -> None:
    before = (repo / "CLAUDE.md").read_bytes()
    planned = distribute.plan(approved, ACME, targets.of_repo(repo), Wish())
    assert (repo / "CLAUDE.md").read_bytes() == before
    assert [(Path(one.shown.path).name, one.shown.state) for one in planned] == [
        ("CLAUDE.md", "changed"),
        ("AGENTS.md", "new"),
        ("GROK.md", "unchanged"),  # neither was seen in a session of Grok
    ]
    assert "+- Read a file before you edit it.\n" in planned[0].shown.diff
    assert "-Use PostgreSQL.\n\\ No newline at end of file\n+Use PostgreSQL.\n" in planned[0].shown.diff
    told(approved, targets.of_repo(repo))
    written = (repo / "CLAUDE.md").read_bytes()
    assert written.startswith(before)
    assert written.index(b"- Read a file") < written.index(b"- Run `make test` once.")
    assert not (repo / "GROK.md").exists()
    rows = standing(approved)
    assert {(one.pattern, Path(one.path).name, one.flavor) for one in rows} == {
        (id, name, flavor)
        for id in ("p1", "p2")
        for name, flavor in (("CLAUDE.md", "claude-code"), ("AGENTS.md", "codex"))
    }
    assert {(one.repo, one.version, one.since) for one in rows} == {("github.com/acme/shop", 2, clock.now())}
    assert rows[0].detail["readers"] == ["codex", "grok", "opencode", "copilot-cli", "cursor"]
    assert rows[0].detail["registered"]["direction"] == "less"
    assert len({one.block for one in rows}) == 1
    assert [state_of(approved, id) for id in ("p1", "p2")] == ["distributed"] * 2

    clock.pass_(1_000)
    again = told(approved, targets.of_repo(repo))
    assert {one.shown.state for one in again} == {"unchanged"}
    assert standing(approved) == rows

    clock.pass_(1_000)
    assert withdrawn(approved, "p1").state == "withdrawn"
    assert b"Read a file" not in (repo / "CLAUDE.md").read_bytes()
    assert b"- Run `make test` once." in (repo / "AGENTS.md").read_bytes()
    assert {one.pattern for one in standing(approved)} == {"p2"}
    withdrawn(approved, "p2")
    assert (repo / "CLAUDE.md").read_bytes() == before
    assert sorted(path.name for path in repo.iterdir()) == [".git", "CLAUDE.md"]
    assert standing(approved) == []
    with approved.read(ACME) as tx:
        done = [(one.action, one.session_id) for one in events.newest(tx, PATTERNS, Filter(), limit=10)]
    assert done == [("withdraw", "p2"), ("withdraw", "p1"), ("distribute", "p2"), ("distribute", "p1")]


def test_only_what_was_approved_is_told(store: Store, repo: Path) -> None:
    known(
        store, *(pattern(state, f"Lesson of {state}.", state=state) for state in ("candidate", "rejected", "withdrawn"))
    )
    assert all(not change.told for change in told(store, targets.of_repo(repo)))
    for id in ("candidate", "rejected", "withdrawn"):
        with pytest.raises(Conflict, match=f"pattern '{id}' is {id}; .*approve"):
            told(store, targets.of_repo(repo), Wish((id,)))
    with pytest.raises(NotFound):
        told(store, targets.of_repo(repo), Wish(("nobody",)))
    known(store, pattern("empty", "\x00"))
    with pytest.raises(Invalid, match="no lesson that could be told"):
        told(store, targets.of_repo(repo), Wish(("empty",)))
    assert sorted(path.name for path in repo.iterdir()) == [".git", "CLAUDE.md"]


def test_agents_are_told_what_sessions_of_their_own_showed(store: Store, repo: Path) -> None:
    known(
        store,
        pattern("c", "For one.", flavors={"claude-code": Share(5, 9)}),
        pattern("g", "For Grok.", flavors={"grok": Share(5, 9)}),
        pattern("x", "For many.", flavors={"claude-code": Share(5, 9), "gemini-cli": Share(4, 9)}, cross_flavor=True),
    )
    names = ("CLAUDE.md", "AGENTS.md", "GROK.md", "GEMINI.md")
    here = targets.of_repo(repo, names)
    plan = {Path(c.shown.path).name: set(c.shown.patterns) for c in distribute.plan(store, ACME, here, Wish())}
    assert plan == {"CLAUDE.md": {"c", "x"}, "AGENTS.md": {"g"}, "GROK.md": {"g"}, "GEMINI.md": {"x"}}
    wide = distribute.plan(store, ACME, here, Wish(all_flavors=True))
    assert all("x" in change.shown.patterns for change in wide)
    seen = distribute.plan(store, ACME, here, Wish(seen_here=True))
    assert not any(change.told for change in seen)


def test_the_best_are_told_and_the_others_named(store: Store, repo: Path) -> None:
    known(store, *(pattern(f"p{n}", f"Lesson {n}.", score=n) for n in range(6)))
    (change,) = distribute.plan(store, ACME, targets.of_repo(repo, ("CLAUDE.md",)), Wish(budget=Budget(lines=6)))
    assert (change.shown.patterns, change.shown.left_out) == (("p5", "p4"), ("p3", "p2", "p1", "p0"))


@pytest.mark.parametrize("force", [False, True])
def test_what_was_edited_inside_is_not_lost_unawares(approved: Store, repo: Path, force: bool) -> None:
    here = targets.of_repo(repo, ("CLAUDE.md",))
    told(approved, here, Wish(("p1",)))
    path = repo / "CLAUDE.md"
    path.write_text(path.read_text().replace("before you edit it.", "before you edit it, always."))
    edited = path.read_bytes()
    if force:
        told(approved, here, Wish(force=True))
        assert b"always" not in path.read_bytes()
        path.write_bytes(edited)
        withdrawn(approved, "p1", force=True)
        return
    for attempt in (lambda: told(approved, here), lambda: withdrawn(approved, "p1")):
        with pytest.raises(Conflict, match="edited by hand; move what you wrote out of it, or use `--force`"):
            attempt()
    assert path.read_bytes() == edited
    assert state_of(approved, "p1") == "distributed"


def test_what_another_store_wrote_is_not_lost_unawares(approved: Store, repo: Path) -> None:
    path = repo / "AGENTS.md"
    theirs = distribute.blocks.put(None, distribute.block_of(["- Of a colleague."]), "f")
    path.write_bytes(theirs)
    here = targets.of_repo(repo, ("AGENTS.md",))
    with pytest.raises(Conflict, match=r"another store of carryover wrote there \('Of a colleague\.', 1 in all\)"):
        told(approved, here)
    assert path.read_bytes() == theirs
    told(approved, here, Wish(force=True))
    assert b"colleague" not in path.read_bytes()


def test_a_block_that_was_taken_out_by_hand_begins_anew(approved: Store, repo: Path, clock: FrozenClock) -> None:
    here = targets.of_repo(repo, ("AGENTS.md",))
    told(approved, here, Wish(("p1",)))
    (repo / "AGENTS.md").unlink()
    clock.pass_(5_000)
    told(approved, here, Wish(("p1",)))
    with approved.read(ACME) as tx:
        assert [(one.since, one.until) for one in exposures.listed(tx)] == [
            (clock.now() - 5_000, clock.now()),
            (clock.now(), None),
        ]
    (repo / "AGENTS.md").unlink()
    assert withdrawn(approved, "p1").state == "withdrawn"
    assert not (repo / "AGENTS.md").exists()


def test_a_repository_that_is_gone_does_not_hold_up_a_withdrawal(approved: Store, repo: Path) -> None:
    told(approved, targets.of_repo(repo, ("AGENTS.md",)), Wish(("p1",)))
    repo.rename(repo.parent / "elsewhere")
    assert withdrawn(approved, "p1").state == "withdrawn"
    assert standing(approved) == []
    with pytest.raises(Conflict, match="is withdrawn"):
        withdrawn(approved, "p1")


def test_two_names_of_one_file_are_one(approved: Store, repo: Path) -> None:
    (repo / "AGENTS.md").symlink_to("CLAUDE.md")
    told(approved, targets.of_repo(repo))
    assert (repo / "AGENTS.md").is_symlink()
    assert (repo / "CLAUDE.md").read_text().count("carryover:begin") == 1
    rows = standing(approved)
    assert {Path(one.path).name for one in rows} == {"CLAUDE.md"}
    assert set(rows[0].detail["readers"]) == {"claude-code", "codex", "grok", "opencode", "copilot-cli", "cursor"}
    assert {one.shown.state for one in told(approved, targets.of_repo(repo))} == {"unchanged"}


def test_a_skill_comes_and_goes_with_its_folder(approved: Store, repo: Path) -> None:
    here = targets.of_repo(repo, skill="what-we-learnt")
    assert {str(one.path.relative_to(repo)) for one in here} == {
        ".claude/skills/what-we-learnt/SKILL.md",
        ".agents/skills/what-we-learnt/SKILL.md",
        ".grok/skills/what-we-learnt/SKILL.md",
    }
    told(approved, here)
    skill = repo / ".claude/skills/what-we-learnt/SKILL.md"
    assert skill.read_text().startswith("---\nname: what-we-learnt\ndescription: ")
    (skill.parent / "more.txt").write_text("mine")
    for id in ("p1", "p2"):
        withdrawn(approved, id)
    assert not skill.exists()
    assert (skill.parent / "more.txt").exists()
    assert not (repo / ".agents/skills/what-we-learnt").exists()
    for name in ("../x", "A b", "", "x" * 65):
        with pytest.raises(Invalid, match="is no name"):
            targets.of_repo(repo, skill=name)


def test_of_a_user_only_the_agents_that_are_there(approved: Store, tmp_path: Path) -> None:
    home = tmp_path / "home"
    for name in (".claude", "elsewhere"):
        (home / name).mkdir(parents=True)
    mine = targets.of_user({"CODEX_HOME": str(home / "elsewhere")}, home)
    assert [str(one.path.relative_to(home)) for one in mine] == [".claude/CLAUDE.md", "elsewhere/AGENTS.md"]
    (home / "dotfiles").mkdir()
    (home / "dotfiles/CLAUDE.md").write_text("mine\n")
    (home / ".claude/CLAUDE.md").symlink_to(home / "dotfiles/CLAUDE.md")
    told(approved, mine)
    assert "carryover:begin" in (home / "dotfiles/CLAUDE.md").read_text()
    assert {one.repo for one in standing(approved)} == {EVERYWHERE}


def test_repositories_are_drawn_once(approved: Store, tmp_path: Path) -> None:
    repos = [tmp_path / f"r{n}" for n in range(24)]  # so many that two draws are hardly ever alike
    for folder in repos:
        folder.mkdir()
    here = [target for folder in repos for target in targets.of_repo(folder, ("CLAUDE.md",))]
    wish = Wish(share=0.5, seed=7)
    planned = distribute.plan(approved, ACME, here, wish)
    drawn = {id: [one.shown.repo for one in planned if id in one.shown.patterns] for id in ("p1", "p2")}
    assert [len(repos) for repos in drawn.values()] == [12, 12]
    assert drawn["p1"] != drawn["p2"]  # each pattern has a draw of its own
    for one in planned:
        assert set(one.shown.patterns) | set(one.shown.held_back) == {"p1", "p2"}
    told(approved, here, wish)
    for again in (wish, Wish(share=0.5, seed=8)):  # another seed does not draw anew what was drawn
        assert {one.shown.state for one in distribute.plan(approved, ACME, here, again)} == {"unchanged"}
    noted = standing(approved)[0].detail["assignment"]
    assert (noted["seed"], noted["share"], len(noted["told"]), len(noted["held_back"])) == (7, 0.5, 12, 12)
    with pytest.raises(Invalid, match=r"share of 0\.5 cannot be drawn from 1 repositories"):
        distribute.plan(approved, ACME, here[:1], wish)


def test_of_two_writers_one_is_told_to_look_again(approved: Store, repo: Path) -> None:
    here = targets.of_repo(repo, ("CLAUDE.md",))
    planned = [distribute.plan(approved, ACME, here, Wish((id,))) for id in ("p1", "p2")]
    ready, failures = threading.Barrier(2), list[Exception]()

    def write(changes: list[Change]) -> None:
        ready.wait()
        try:
            distribute.carry_out(approved, ACME, changes, Goal(), by="mara")
        except Conflict as failure:
            failures.append(failure)

    threads = [threading.Thread(target=write, args=(changes,)) for changes in planned]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 1
    assert "changed since its difference was shown; run it again" in str(failures[0])
    (winner,) = {one.pattern for one in standing(approved)}
    loser = {"p1": "p2", "p2": "p1"}[winner]
    assert [state_of(approved, id) for id in (winner, loser)] == ["distributed", "approved"]
    assert (repo / "CLAUDE.md").read_text().count("\n- ") == 1


def test_nothing_is_recorded_of_a_file_that_could_not_be_written(
    approved: Store, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (repo / "CLAUDE.md").read_bytes()
    changes = distribute.plan(approved, ACME, targets.of_repo(repo, ("CLAUDE.md",)), Wish())

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with pytest.raises(Invalid, match="No space left on device"):
            distribute.carry_out(approved, ACME, changes, Goal(), by="mara")
    assert (repo / "CLAUDE.md").read_bytes() == before
    assert sorted(path.name for path in repo.iterdir()) == [".git", "CLAUDE.md"]
    assert standing(approved) == []
    assert state_of(approved, "p1") == "approved"


def test_what_was_written_before_a_crash_is_recorded_by_the_next_run(approved: Store, repo: Path) -> None:
    here = targets.of_repo(repo, ("CLAUDE.md",))
    (change,) = distribute.plan(approved, ACME, here, Wish())
    files.replace(change.held, change.after)  # and then the process died, before it was recorded
    (found,) = told(approved, here)
    assert found.shown.state == "unchanged"
    assert {one.pattern for one in standing(approved)} == {"p1", "p2"}


def test_a_pattern_that_changed_meanwhile_is_not_told(approved: Store, repo: Path) -> None:
    changes = distribute.plan(approved, ACME, targets.of_repo(repo, ("CLAUDE.md",)), Wish())
    curate.decide(approved, ACME, "p1", "reject", "mara")
    before = (repo / "CLAUDE.md").read_bytes()
    with pytest.raises(Conflict, match="'p1' was changed since the difference was shown"):
        distribute.carry_out(approved, ACME, changes, Goal(), by="mara")
    assert (repo / "CLAUDE.md").read_bytes() == before


def test_repositories_are_known_by_their_remote(tmp_path: Path) -> None:
    main = tmp_path / "main"
    (main / ".git/worktrees/w").mkdir(parents=True)
    (main / ".git/config").write_text(
        '[remote "up"]\n url = https://example.com/a/b.git\n[remote "origin"]\n\turl = ssh://git@github.com/acme/app\n'
    )
    (main / ".git/worktrees/w/commondir").write_text("../..\n")
    other = tmp_path / "other"
    (other / "sub").mkdir(parents=True)
    (other / ".git").write_text(f"gitdir: {main}/.git/worktrees/w\n")
    bare = tmp_path / "bare"
    bare.mkdir()
    assert targets.repo_key(main) == "github.com/acme/app"
    assert targets.repo_key(other / "sub") == "github.com/acme/app"
    assert targets.repo_key(bare) == str(bare)
    (main / ".git/config").write_text("[core]\n")
    assert targets.repo_key(other) == targets.repo_key(main) == str(main)
    assert targets.of_repo(other)[0].names == (str(main), str(other))
    with pytest.raises(Invalid, match="is no folder"):
        targets.of_repo(tmp_path / "nowhere")
    with pytest.raises(Invalid, match=r"file 'README\.md' is none that agents read"):
        targets.of_repo(main, ("README.md",))
    assert Readers(("a", "b"), ("c",)).with_(Readers(("c",), ("a", "d"))) == Readers(("a", "b", "c"), ("d",))


@pytest.mark.parametrize(
    ("repo", "inside"),
    [
        ("github.com/acme/app", True),
        ("/work/app", True),
        ("/work/app/lib", True),  # some logs tell only the folder that was worked in
        ("/work/apple", False),
        ("github.com/acme/app/lib", False),
        ("", False),
    ],
)
def test_a_session_is_known_by_any_name_of_its_repository(repo: str, inside: bool) -> None:
    assert targets.is_in(repo, ("github.com/acme/app", "/work/app")) == inside
    assert targets.is_in(repo, (EVERYWHERE,))
