"""What a pattern is called, what to tell agents about it, and how much it says at all.

A key names what it is about (`shell go test`, `edit`, `*.go`), and behind `: ` what was said. Both are put into one
sentence that an agent can act on. What comes from logs is masked, and kept short.
"""

from __future__ import annotations

from dataclasses import dataclass

from carryover.guard.orders import commands
from carryover.guard.redact import redact
from carryover.guard.visible import visible

_SAID, _NAME = 120, 60
_AN_ORDER = "a message that reads as an order"  # what logs quote is never told to agents as one
# Title and lesson by kind, where it matters by kind and key. {what} is what it is about, {said} what was said.
_WORDS: dict[str, tuple[str, str]] = {
    "error": (
        "{what} fails: {said}",
        "{What} has failed here with “{said}”: rule that out first, and do not repeat the call unchanged.",
    ),
    "error: tests failed": (
        "Runs of tests fail",
        "When tests fail, read the first failure and fix that one before you run them again.",
    ),
    "error_streak": (
        "Several calls in a row fail, mostly {what}",
        "After two failures of {what} in a row, stop and read the error before the next call.",
    ),
    "same_call_failed": (
        "The same call fails again: {what}, {said}",
        "When {what} fails with “{said}”, change something before you call it again: unchanged, it failed again.",
    ),
    "same_call_failed: tests failed": (
        "The same tests are run again unchanged, and fail again",
        "When tests fail, change something before you run them again: unchanged, they failed again.",
    ),
    "runaway_loop": (
        "Many calls in a short time fail: {what}",
        "When {what} keeps failing, stop, say what you tried, and take another way or ask.",
    ),
    "edit_before_read: not read": ("Files are edited before they are read", "Read a file before you edit it."),
    "edit_before_read": (
        "Files are edited that changed since they were read",
        "Read a file again before you edit it if a formatter, a build or the user may have changed it meanwhile.",
    ),
    "edit_mismatch: several matches": (
        "Edits match several places of a file",
        "Give so many lines around the text that you replace that it stands in the file only once.",
    ),
    "edit_mismatch": (
        "Edits replace text that is not in the file",
        "Copy the text to replace exactly as the file has it now, white space included; read that part again first.",
    ),
    "wrong_path": (
        "Files are looked for where none are",
        "List the folder or search for the name before you open a file: guessed paths did not exist here.",
    ),
    "reread": (
        "The same part of a file is read again and again",
        "Do not read the same part of a file again unless it was edited: what you read is still there.",
    ),
    "edit_revert": (
        "Edits are taken back",
        "Settle what should change before you edit: edits were taken back here.",
    ),
    "edit_churn": (
        "A file is edited again and again within a few calls",
        "Think a change through and make it in one edit, rather than in many small ones.",
    ),
    "rejection": ("The user refuses {what}", "Say what you are about to do, and why, before {what}: users refused it."),
    "rejection: ExitPlanMode": (
        "The user sends plans back",
        "Settle open questions with the user before you present a plan: plans were sent back here.",
    ),
    "rejection: AskUserQuestion": (
        "The user does not answer questions that are asked with a form",
        "Ask in plain words, and only what you cannot find out: questions in a form were turned away.",
    ),
    "interrupt": (
        "The user breaks the agent off: {what}",
        "Say what you are about to do before {what}, and do it in steps: users broke off there.",
    ),
    "interrupt: answer": (
        "The user breaks the agent off while it answers",
        "Answer what was asked first, and briefly: users broke off long answers.",
    ),
    "steering": (
        "The user writes while the agent works",
        "Settle what is open before you begin longer work: users had to add to it while it ran.",
    ),
    "rewind": (
        "The user goes back and asks anew",
        "Say how you understand a request before you act on it: users went back and asked anew.",
    ),
    "correction": (
        "The user corrects the agent: {what}",
        "Read the request again before you say that it is done, and check each point of it: users had to correct.",
    ),
    "correction: still failing": (
        "The user says that it still fails",
        "See it work, by running it or its tests, before you say that it is fixed: it still failed.",
    ),
    "correction: said already": (
        "The user has to say something again",
        "Keep to what the user said earlier in the session: it had to be said again.",
    ),
    "correction: undo": (
        "The user has changes taken back",
        "Change only what was asked for: users had other changes taken back.",
    ),
    "repeated_prompt": (
        "The user asks for the same again",
        "When a request comes again, the last answer missed it: say what you understood, then do that first.",
    ),
    "ended_red": (
        "Sessions end while tests fail: {what}",
        "Do not finish while {what} fails: fix it, or say plainly that it fails, and why.",
    ),
    "untested_edits": (
        "{Said} are edited and no test is run",
        "After you edit {said}, run the tests that cover them before you finish.",
    ),
    "false_success": (
        "It is called done after {what} failed",
        "Before you say that it is done, run {what} again and see it succeed.",
    ),
    "left_open": (
        "Calls never come back: {said}",
        "Give {said} a limit of time, or run it in the background: calls of it never came back.",
    ),
    "left_open: plan": (
        "Plans are left half done",
        "Before you finish, do what is left of your plan, or say what is left and why.",
    ),
    "left_open: prompt": ("The last prompt has no answer", "Answer each prompt, if only to say what you cannot do."),
    "subagent_failed": ("Sub-agents fail: {said}", "Give a sub-agent all that it needs: some failed with “{said}”."),
    "compaction": (
        "The context is compacted",
        "Keep what you read small: ask for the lines you need, not for whole files and long outputs.",
    ),
    "mid_task_compaction": (
        "The context is compacted in the middle of work: {what}",
        "Before long work with {what}, note the goal and what is done, so that a compacted context loses nothing.",
    ),
    "context_pressure": (
        "The context is nearly full",
        "Keep what you read small: ask for the lines you need, not for whole files and long outputs.",
    ),
    "api_trouble": ("The model's provider fails: {said}", "When the provider fails with “{said}”, wait and go on."),
    "approval": ("The user is content: {what}", "Work as in these sessions: users were content."),
    "test_fixed": (
        "Failing tests are made to pass: {what}",
        "When {what} fails, fix it and run it again until it passes: that worked here.",
    ),
    "clean_run": (
        "Edits tested with {what} need no correction",
        "Test what you edit with {what} before you finish: such sessions needed no correction.",
    ),
    "shipped": ("Work is handed in: {what}", "When you are asked to hand work in, {what} works here."),
    "delegation": ("Sub-agents do a part of the work", "Give pieces of work that stand alone to sub-agents."),
    "habit": (
        "Sessions with {what} end well more often",
        "Use {what} while you work: sessions here that did so ended well more often.",
    ),
    "habit: tests": (
        "Sessions that run tests end well more often",
        "Run the tests before you finish: sessions here that did so failed or broke off less.",
    ),
    "habit: read first": (
        "Sessions that read what they edit end well more often",
        "Read each file before you edit it: sessions here that did so ended well more often.",
    ),
}
# How much a kind says, where it is less than a kind that names what went wrong.
_WEIGHTS = {
    **dict.fromkeys(("edit_churn", "left_open", "approval", "delegation", "shipped"), 0.1),
    **dict.fromkeys(("steering", "compaction", "context_pressure", "api_trouble", "rewind"), 0.25),
    **dict.fromkeys(("interrupt", "error_streak", "mid_task_compaction", "untested_edits", "test_fixed"), 0.5),
}
_HEADS = """
    ls cat cd pwd echo printf head tail sed awk grep rg find fd wc sort uniq cut tr xargs which type stat file tree
    mkdir rm cp mv touch chmod ln test [ sleep date env export curl jq ps kill tee diff less git
"""
_OF_GIT = "status diff log show add branch checkout stash rev-parse fetch"
_COMMON = frozenset(_HEADS.split()) | {f"git {verb}" for verb in _OF_GIT.split()}
_LITTLE = 0.25  # of what a key says that names what every session does
_PLAIN = {
    "shell": "shell commands",
    "read": "reads",
    "edit": "edits",
    "write": "writes",
    "search": "searches",
    "web": "web requests",
    "agent": "sub-agents",
    "plan": "plans",
    "mcp": "MCP tools",
    "other": "other tools",
    "tests": "runs of tests",
}
_CLASSES = {"folder": "folders", "dotfile": "hidden files", "file": "files", "path": "files"}


@dataclass(frozen=True, slots=True)
class Words:
    """What a pattern is called, and what agents are told."""

    title: str
    lesson: str


def words_of(kind: str, key: str, text: str) -> Words:
    """The pattern's words; `text` is what its signals say, for kinds that nobody has written about."""
    about, _, said = (part.strip() for part in key.partition(": "))
    name = about.partition(" ")[2] or about
    found = next((_WORDS[k] for k in (f"{kind}: {said}", f"{kind}: {name}", kind) if k in _WORDS), None)
    if found is None:
        shown = _short(text or f"{kind} {key}".strip(), _SAID)
        return Words(shown, f"Mind what happened here before: {shown}.")
    what = _called(about)
    spoken = _short(said, _SAID) if kind in _QUOTING else _class(said or about)
    facts = {"what": what, "What": _capital(what), "said": spoken, "Said": _capital(spoken)}
    return Words(found[0].format(**facts), found[1].format(**facts))


_QUOTING = ("error", "same_call_failed", "subagent_failed", "api_trouble")


def specificity(kind: str, key: str) -> float:
    """From 0 to 1: less for kinds and commands that tell little, as nearly every session has them."""
    about, _, said = (part.strip() for part in key.partition(": "))
    program, _, head = about.partition(" ")
    common = program in ("shell", "ran") and (not head or head in _COMMON)
    says_nothing = said in ("tests failed", "no message")
    return _WEIGHTS.get(kind, 1.0) * (_LITTLE if common else 1.0) * (_LITTLE if says_nothing else 1.0)


def _called(about: str) -> str:
    """What a key is about, as a word of a sentence."""
    tool, _, name = about.partition(" ")
    if about in _PLAIN:
        return _PLAIN[about]
    if tool in ("shell", "ran", "mcp", "other", "agent", "plan", "used") and name:
        return _PLAIN.get(name) or f"`{_short(name, _NAME)}`"
    if tool in ("read", "edit", "write") and name:
        return f"{_PLAIN[tool]} of {_class(name)}"
    return f"`{_short(about, _NAME)}`" if about else "calls"


def _class(said: str) -> str:
    """A class of paths, or what is called so, as a word of a sentence: `*.go` files."""
    if said in _CLASSES:
        return _CLASSES[said]
    if said.startswith("*."):
        return f"`{_short(said, _NAME)}` files"
    if said.startswith("test *."):
        return f"`{_short(said.removeprefix('test '), _NAME)}` tests"
    return _called(said)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _short(text: str, most: int) -> str:
    safe = redact(" ".join(visible(text).replace("`", "'").split()))
    if commands(safe):
        safe = _AN_ORDER
    return safe if len(safe) <= most else safe[: most - 1].rstrip() + "…"
