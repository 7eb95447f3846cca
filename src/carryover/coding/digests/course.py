"""The course of a coding session: its steps in order, each call joined to what became of it, and no more than needed.

Steps stand in the log in the order in which files were read. Here they stand in the order in which they happened, so
that a session whose logs were read in another order has the same course.
"""

from __future__ import annotations

import posixpath
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from carryover.coding.adapters.messages import entries
from carryover.coding.digests import fingerprint, shell
from carryover.coding.tools import canonical, command_of, patched
from carryover.core.clock import Time
from carryover.core.step import About, Branch, Flavor, Spend, Step, StepKind, StepStatus, Supply, Tool, excerpt, uid
from carryover.core.text import canonical_json, clean

Made = TypeVar("Made")

_PATHS = ("file_path", "filePath", "absolute_path", "target_file", "notebook_path", "path", "filename", "file")
_OLD = ("old_string", "oldString", "old_str", "old_text", "search", "old")
_NEW = ("new_string", "newString", "new_str", "new_text", "replace", "replacement", "new")
_COMMANDS = ("command", "cmd", "script", "input")
_TERMINALS = ("session_id", "bash_id", "shell_id", "task_id", "id")
_SPAN = ("offset", "limit", "start_line", "end_line", "view_range", "line_start", "line_end", "pages", "range")
_LISTS = ("todos", "plan", "items", "tasks")
_SHOWN = re.compile(r"\A(?:cat|sed|head|tail|nl|less|more|bat|type)\Z")
# Programs that exit with 1 to say that nothing was found, or that something differs.
_OF_SEARCH = "grep egrep fgrep rg ag ack zgrep diff cmp test [ [[ which pgrep find fd type command"
_NO_MATCH = frozenset(_OF_SEARCH.split())
_DETAILS = ("via", "queued", "instead_of", "pr", "command", "what", "micro", "status", "said", "rewind_to")
_EXIT_1 = re.compile(r"\A\s*(?:(?:Error: )?Exit code:? 1)?\s*\Z")
_BEHIND = re.compile(r"running in (?:the )?background|[Bb]ackgrounded|running with (?:session )?ID")
_EXITED = re.compile(r"<exit_code>(-?\d+)</exit_code>|^(?:Process exited with code|Exit code:?) (-?\d+)", re.MULTILINE)
_CALLED_OFF = re.compile(r"Sibling tool call errored|Cancelled: parallel tool call|\[Request interrupted by user")
_TAG = re.compile(
    r"<(system-reminder|ide_\w+|local-command-\w+|environment_context|user_instructions|INSTRUCTIONS|"
    r"task-notification|command-(?:name|message|args|contents)|turn_aborted|user_info|attached_files)\b[^>]*>.*?</\1>",
    re.DOTALL,
)
_NOT_SAID = re.compile(
    r"\A\s*(?:Caveat: The messages below|This session is being continued from|# AGENTS\.md instructions|"
    r"\[Request interrupted|<(?:system-reminder|environment_context|user_instructions|turn_aborted|command-name)\b)"
)
_WORST: dict[StepStatus | None, int] = {"rejected": 5, "cancelled": 4, "error": 3, "ok": 2, "unknown": 1, None: 0}


@dataclass(slots=True)
class Act:
    """One thing that happened; a call holds what came back as well.

    `own` is false for a copy of another session's. Of a call, `result` begins and ends as what came back did, which is
    the turn `result_seq` (0: nothing came back). `edits` are (path, hash of what it took, hash of what it put).
    """

    seq: int
    kind: StepKind
    at: Time | None
    text: str
    start: int = 0
    length: int = 0
    branch: Branch = "main"
    own: bool = True
    tool: Tool = "other"
    name: str = ""
    call_id: str | None = None
    status: StepStatus | None = None
    exit_code: int | None = None
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])
    n: int = 0  # its place in the course
    result: str = ""
    result_seq: int = 0
    hearsay: bool = False  # what came back is only told of by another record
    command: str = ""
    terminal: str = ""  # the call asks how a command in it goes on
    paths: tuple[str, ...] = ()
    edits: tuple[tuple[str, str, str], ...] = ()
    input: str = ""  # equal for equal arguments
    span: str = ""  # which part of a file was read
    pending: int | None = None  # entries of a plan that are not done

    @property
    def about(self) -> str:
        """What the call is a case of: `shell go test`, `edit *.go`, `web`."""
        if self.tool == "shell":
            head = shell.head(self.command)
            return f"shell {head}" if head else "shell"
        if self.paths and self.tool in ("read", "edit", "write"):
            return f"{self.tool} {fingerprint.of_path(self.paths[0])}"
        if self.tool in ("mcp", "other", "agent", "plan") and self.name:
            return f"{self.tool} {self.name}"[:80]
        return self.tool

    @property
    def failed(self) -> bool:
        """Whether the tool itself said that it failed, and that means something."""
        return self.status == "error" and not self.only_empty and not _CALLED_OFF.search(self.result[:200])

    @property
    def only_empty(self) -> bool:
        """A search that exits with 1 and prints nothing has found nothing."""
        if self.tool != "shell" or self.exit_code not in (1, None) or not _EXIT_1.match(self.result):
            return False
        return any(run.words[0].rpartition("/")[2] in _NO_MATCH for run in shell.runs(self.command)) or bool(
            re.search(r"git (?:\S+ )*(?:diff|grep|merge-base|check-ignore)\b", self.command)
        )


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a session beside its steps."""

    agent: str
    session: str
    flavor: Flavor
    user: str | None = None
    source_hash: str = ""
    abouts: tuple[About, ...] = ()
    spends: tuple[Spend, ...] = ()
    supplies: frozenset[Supply] = frozenset()
    domain: str | None = None
    repo: str = ""
    steps: int = 0
    replayed: int = 0

    @property
    def cwd(self) -> str:
        return next((about.cwd for about in self.abouts if about.cwd), "")


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """A session's acts in order: all of them, its own calls, and what people said in it."""

    facts: Facts
    acts: tuple[Act, ...]
    calls: tuple[Act, ...]
    prompts: tuple[Act, ...]
    _known: dict[Callable[..., Any], Any] = field(default_factory=dict[Callable[..., Any], Any], repr=False)

    def once(self, find: Callable[[Course], Made]) -> Made:
        """What `find` finds in the course, found out once however often it is asked."""
        if find not in self._known:
            self._known[find] = find(self)
        return self._known[find]

    def tells(self, supply: Supply) -> bool:
        """Whether the flavor's records can tell that."""
        return supply in self.facts.supplies

    def of(self, *tools: Tool) -> list[Act]:
        """The calls of these tools."""
        return [call for call in self.calls if call.tool in tools]

    def path(self, path: str) -> str:
        """A path in the repository, as far as the folder that was worked in tells it."""
        return relative(path, self.facts.cwd)


def act_of(seq: int, step: Step) -> Act | None:
    """What of a step its digest needs; None for what was only thought, or put before the model."""
    if step.kind == "thinking" or (step.kind == "note" and not step.detail):
        return None
    act = Act(
        seq,
        step.kind,
        step.at,
        clean(_kept(step)),
        step.start,
        step.length,
        step.branch,
        tool=step.tool or (canonical(step.name) if step.name else "other"),
        name=clean(step.name or ""),
        call_id=step.call_id,
        status=step.status,
        exit_code=step.exit_code,
        detail={name: step.detail[name] for name in _DETAILS if name in step.detail} if step.detail else {},
    )
    return _with_input(act, step.input or {}) if step.kind == "call" else act


def course_of(facts: Facts, acts: Iterable[Act], replayed: frozenset[int] | set[int] = frozenset()) -> Course:
    """The course of these acts, which may come in the order of their turns only; copies are not its own."""
    ordered = joined([replace(act, own=act.seq not in replayed) for act in in_order(acts)])
    for n, act in enumerate(ordered):
        act.n = n
    calls = tuple(act for act in ordered if act.kind == "call" and act.own)
    by_people = all(about.kind != "subagent" for about in facts.abouts)
    prompts = tuple(act for act in ordered if by_people and act.kind == "prompt" and act.own and is_typed(act))
    return Course(facts, tuple(ordered), calls, prompts)


def in_order(acts: Iterable[Act]) -> list[Act]:
    """The acts in the order in which they happened: by time, then by place in their file.

    What has no time stands where it does in the run of its file that it was read in; a run ends where places go back.
    """
    runs: list[list[Act]] = []
    for act in acts:
        if not runs or act.start < runs[-1][-1].start:
            runs.append([])
        runs[-1].append(act)
    keyed: list[tuple[tuple[int, int, int, int], Act]] = []
    for run in runs:
        at = next((act.at for act in run if act.at is not None), 0)
        for act in run:
            at = act.at if act.at is not None else at
            keyed.append(((at, act.start, act.length, act.seq), act))
    keyed.sort(key=lambda pair: pair[0])
    return [act for _, act in keyed]


def joined(acts: Sequence[Act]) -> list[Act]:
    """The acts with what came back in their calls; a result that nobody asked for stands as a call of its own."""
    kept: list[Act] = []
    open_calls: dict[str, Act] = {}
    nameless: deque[Act] = deque()
    late: dict[str, list[Act]] = {}
    for act in acts:
        if act.kind not in ("call", "result", "outcome"):
            kept.append(act)
        elif act.kind == "call":
            known = open_calls.get(act.call_id or "")
            if known is not None and not known.result_seq and known.input == act.input:
                continue  # another record of the same call
            kept.append(act)
            if act.call_id:
                open_calls[act.call_id] = act
                for one in late.pop(act.call_id, ()):
                    _join(act, one)
            else:
                nameless.append(act)
        elif act.call_id:
            call = open_calls.get(act.call_id)
            if call is None:
                late.setdefault(act.call_id, []).append(act)
            else:
                _join(call, act)
        elif nameless and act.kind == "result":
            _join(nameless.popleft(), act)
    for stray in (one for ones in late.values() for one in ones if one.kind == "result"):
        call = replace(stray, kind="call")
        _join(call, stray)
        kept.append(call)
    places = {act.seq: n for n, act in enumerate(acts)}
    kept = sorted(kept, key=lambda act: places[act.seq]) if late else kept
    _continue(kept)
    return kept


def is_typed(act: Act) -> bool:
    """Whether a person typed the prompt: neither a sub-agent's task nor what the harness put in."""
    return act.branch != "sidechain" and bool(spoken(act.text)) and not _NOT_SAID.match(act.text)


def spoken(text: str) -> str:
    """What a person said, on one line, without what the harness put around it."""
    return " ".join(_TAG.sub(" ", text).split())


def relative(path: str, cwd: str) -> str:
    """The path below the folder worked in; outside of it, without whose home it is in."""
    path = path.replace("\\", "/")
    cwd = cwd.replace("\\", "/").rstrip("/")
    plain = posixpath.normpath(path) if path else ""
    if cwd and (plain == cwd or plain.startswith(f"{cwd}/")):
        return plain[len(cwd) + 1 :] or "."
    return re.sub(r"\A(?:/home|/Users|[A-Za-z]:/Users)/[^/]+", "~", plain)


def _kept(step: Step) -> str:
    if step.kind == "prompt":
        return excerpt(step.text, 3_000, 1_000)
    if step.kind == "text":
        return excerpt(step.text, 1_500, 500)
    if step.kind == "result":
        telling = step.status != "ok" or step.tool in ("shell", "agent", None)
        return excerpt(step.text, 1_500, 1_000) if telling else excerpt(step.text, 200, 0)
    return excerpt(step.text, 500, 0)


def _with_input(act: Act, input: Mapping[str, Any]) -> Act:
    act.input = uid(act.tool, act.name, canonical_json(input))[:16]
    if act.tool == "shell":
        act.command = clean(next((said for name in _COMMANDS if (said := command_of(input.get(name)))), ""))[:4_000]
        act.paths = _shown(act.command)
        act.terminal = "" if act.command else next((str(input[name]) for name in _TERMINALS if input.get(name)), "")
    elif act.tool in ("read", "edit", "write"):
        act.paths = _paths(input)
        act.span = canonical_json({name: input[name] for name in _SPAN if name in input})
        act.edits = tuple(_edits(act.paths, input))
    elif act.tool == "plan":
        act.pending = _pending(input)
    return act


def _paths(input: Mapping[str, Any]) -> tuple[str, ...]:
    found: list[str] = []
    for name in ("files", "paths", *_PATHS):
        value = input.get(name)
        several: list[Any] = value if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownVariableType]
        found += [clean(one) for one in several if isinstance(one, str) and one]
    if not found:
        for name in ("patch", "input", "diff"):
            if isinstance(input.get(name), str):
                found += [clean(path) for path in patched(input[name])]
    return tuple(dict.fromkeys(found))[:50]


def _edits(paths: tuple[str, ...], input: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    for edit in [input, *entries(input.get("edits"))]:
        old, new = _first(edit, _OLD), _first(edit, _NEW)
        if old is not None or new is not None:
            path = _first(edit, _PATHS) or next(iter(paths), "")
            yield clean(path), uid(old or "")[:12] if old else "", uid(new or "")[:12] if new else ""


def _first(input: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return next((input[name] for name in names if isinstance(input.get(name), str)), None)


def _shown(command: str) -> tuple[str, ...]:
    """The files that a command prints: flavors without a tool for reading read so."""
    found: list[str] = []
    for run in shell.runs(command):
        if _SHOWN.match(run.words[0].rpartition("/")[2]):
            found += [word for word in run.words[1:] if not word.startswith("-") and re.search(r"[\w)]\.\w+\Z|/", word)]
    return tuple(dict.fromkeys(word for word in found if re.fullmatch(r"[\w@.~/+\-\[\]()]+", word)))[:20]


def _pending(input: Mapping[str, Any]) -> int | None:
    for name in _LISTS:
        if listed := entries(input.get(name)):
            return sum(entry.get("status") in ("pending", "in_progress", "inProgress") for entry in listed)
    return None


def _continue(acts: Sequence[Act]) -> None:
    """A command that went on after its call came back has ended as a later call that asked for it says."""
    waiting: list[Act] = []
    known: dict[str, Act] = {}
    for act in acts:
        if act.kind != "call" or act.tool != "shell":
            continue
        if act.command and (act.status == "unknown" or _BEHIND.search(act.result[:400])):
            waiting.append(act)
        elif act.terminal and (act.terminal in known or waiting):
            named = next((one for one in waiting if act.terminal in one.result), waiting[-1] if waiting else None)
            began = known.setdefault(act.terminal, named or act)
            waiting = [one for one in waiting if one is not began]
            told = _EXITED.search(act.result)
            code = int(told[1] or told[2]) if told else act.exit_code
            if code is not None and began is not act:
                began.status, began.exit_code = "ok" if code == 0 else "error", code
                began.result, began.result_seq = act.result, act.result_seq
                act.status, act.exit_code = "ok", None  # that it was told is no failure of its own


def _join(call: Act, back: Act) -> None:
    """What came back is in the call. Of several answers the one that says most of how it ended counts."""
    if not call.result_seq or (call.hearsay and back.kind == "result"):
        call.result, call.result_seq, call.hearsay = back.text, back.seq, back.kind == "outcome"
    if _WORST[back.status] > _WORST[call.status]:
        call.status = back.status
    if call.exit_code is None or (call.exit_code == 0 and back.exit_code):
        call.exit_code = back.exit_code
    call.detail = {**call.detail, **back.detail}
