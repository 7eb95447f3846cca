"""What a coding agent runs when a session starts, pauses and ends: `python -I -S carryover_hook.py EVENT FLAVOR`.

A copy of this file stands in `CARRYOVER_HOME/hooks` and needs nothing but Python: no carryover, no database. Whatever
happens it ends with 0, within two seconds, and what it prints is either nothing or what the agent expects.

- SessionStart prints the notes that were prepared for the repository (`prepared.py`).
- Stop and SessionEnd leave word in the spool that the session's log went on (`coding/logs/spool.py`).
- `notes FLAVOR` prints the notes as they are, for an agent that has to ask for them.
"""

from __future__ import annotations

import os
import select
import sys
import time
from _thread import start_new_thread


class Manner:
    """How JSON is read: as `json.loads` does, but for control characters, which are let pass."""

    strict, object_hook, object_pairs_hook = False, None, None
    parse_float, parse_int, parse_constant = float, int, float


# Of hashlib, json and threading only what is written in C: they take as long to load as all else here together.
try:
    from _blake2 import blake2b
    from _json import encode_basestring_ascii as quoted
    from _json import make_scanner

    scan = make_scanner(Manner())  # pyright: ignore
except ImportError:  # a Python that has them elsewhere
    from hashlib import blake2b
    from json import JSONDecoder
    from json import dumps as quoted

    scan = JSONDecoder(strict=False).raw_decode

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE_S = 0.05  # how long the agent may take to say what happened
LAST_RESORT_S = 2.0  # a disk that does not answer, a machine that is far too busy
MOST_INPUT, MOST_NOTES = 1 << 20, 64 << 10


def key(*parts: str) -> str:
    """The name of a file of notes: of a flavor, and a folder or a repository's name."""
    return blake2b("\x00".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def main(arguments: list[str]) -> None:
    """The event was handled as far as that was possible."""
    event, flavor = arguments[0], arguments[1]
    if "GROK_HOOK_EVENT" in os.environ:
        flavor = "grok"  # which runs the hooks in Claude Code's settings too
    said = {} if event == "notes" else told()
    cwd = text(said, "cwd") or os.environ.get("CLAUDE_PROJECT_DIR", "") or os.getcwd()
    if event in ("SessionStart", "notes"):
        notes = notes_for(flavor, cwd)
        if notes:
            answer(notes if event == "notes" else as_context(notes))
    else:
        leave_word(event, flavor, cwd, said)


def told() -> dict[str, object]:
    """What the agent says about the event on standard input; nothing where it does not come, or is no JSON object."""
    parts: list[bytes] = []
    size, end = 0, time.monotonic() + PATIENCE_S
    try:
        while size < MOST_INPUT and select.select([0], [], [], max(end - time.monotonic(), 0))[0]:
            part = os.read(0, 1 << 16)
            if not part:
                break
            parts.append(part)
            size += len(part)
        said: object = scan(b"".join(parts).decode("utf-8", "replace").lstrip(), 0)[0]  # pyright: ignore
    except (OSError, ValueError, RecursionError, StopIteration):
        return {}
    return said if isinstance(said, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def text(said: dict[str, object], *names: str) -> str:
    """The first of these members that is text."""
    return next((value for name in names if isinstance(value := said.get(name), str) and value), "")


def notes_for(flavor: str, cwd: str) -> str:
    """The notes that were prepared for the folder, or for the repository that it is part of; "" without any."""
    for folder in dict.fromkeys((os.path.normpath(cwd), os.path.realpath(cwd))):
        for name in names(folder):
            path = os.path.join(HERE, "contexts", f"{key(flavor, name)}.md")
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    return file.read(MOST_NOTES).decode("utf-8", "replace").strip()
    return ""


def names(folder: str) -> list[str]:
    """Under which names notes for this folder may have been prepared: its own, those above it in its repository, the
    repository's main checkout, its remote.
    """
    above = [folder]
    while above[-1] != os.path.dirname(above[-1]) and len(above) < 64:
        git = os.path.join(above[-1], ".git")
        if os.path.exists(git):
            return [*above, *checkout(git)]
        above.append(os.path.dirname(above[-1]))
    return [folder]


def checkout(git: str) -> list[str]:
    """What `.git` tells of where else the repository is: a worktree names the folder of its main checkout."""
    found: list[str] = []
    if os.path.isfile(git):
        with open(git, encoding="utf-8", errors="replace") as file:
            pointed = file.read(4096).partition("gitdir:")[2].strip()
        git = os.path.normpath(os.path.join(os.path.dirname(git), pointed)).partition("/worktrees/")[0]
        if os.path.basename(git) == ".git":
            found.append(os.path.dirname(git))
    config = os.path.join(git, "config")
    if os.path.isfile(config):
        with open(config, encoding="utf-8", errors="replace") as file:
            found += remotes(file.read(MOST_NOTES))
    return found


def remotes(config: str) -> list[str]:
    """The remotes of a repository as `host/owner/name`, `origin` first."""
    found: list[str] = []
    section = ""
    for line in config.splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line
        elif section.startswith("[remote ") and line.partition("=")[0].strip() == "url":
            name = remote_name(line.partition("=")[2].strip())
            found.insert(0 if section == '[remote "origin"]' else len(found), name)
    return [name for name in found if name]


def remote_name(url: str) -> str:
    """`git@github.com:acme/app.git` as `github.com/acme/app`; "" for what is no remote of another machine."""
    if url.startswith((".", "/", "file:")):
        return ""
    place = url.partition("://")[2] or url
    if "://" not in url:
        place = place.replace(":", "/", 1)
    host, _, path = place.partition("/")
    host = host.rpartition("@")[2].partition(":")[0].lower()
    return f"{host}/{path.strip('/').removesuffix('.git').strip('/')}" if path else ""


def as_context(notes: str) -> str:
    """The notes as Claude Code and Codex take them into a session that starts."""
    return f'{{"hookSpecificOutput": {{"hookEventName": "SessionStart", "additionalContext": {quoted(notes)}}}}}'


def answer(line: str) -> None:
    """The agent has it, whole: text that is cut would be no JSON."""
    data = memoryview(f"{line}\n".encode("utf-8", "replace"))
    while data:
        data = data[os.write(1, data) :]


def leave_word(event: str, flavor: str, cwd: str, said: dict[str, object]) -> None:
    """The spool holds a line about the session, in place of an earlier one about it: whole, or not at all."""
    session = text(said, "session_id", "sessionId") or os.environ.get("GROK_SESSION_ID", "")
    log = text(said, "transcript_path", "transcriptPath")
    members = {"event": event, "flavor": flavor, "session": session, "log": log, "cwd": cwd}
    if flavor == "grok":
        members["root"] = os.environ.get("GROK_HOME", "")
    line = ", ".join(f"{quoted(name)}: {quoted(value)}" for name, value in members.items())
    spool = os.path.join(HERE, "spool")
    os.makedirs(spool, 0o700, exist_ok=True)
    # Of a session without a name each event has a file of its own.
    file = os.path.join(spool, key(flavor, log or session or f"{time.time_ns()} {os.getpid()}"))
    made = f"{file}.{os.getpid()}.tmp"
    try:
        with open(made, "x", encoding="ascii") as opened:
            opened.write(f'{{{line}, "at": {int(time.time() * 1000)}}}\n')
        os.replace(made, f"{file}.json")
    except OSError:
        if os.path.exists(made):
            os.unlink(made)


def end() -> None:
    """The process has ended, without the rest of an ordinary end, which may fail or wait."""
    os._exit(0)


def end_late() -> None:
    """The process ends in any case, also while a disk keeps it waiting."""
    time.sleep(LAST_RESORT_S)
    end()


if __name__ == "__main__":
    try:
        start_new_thread(end_late, ())
        main(sys.argv[1:])
    except BaseException:  # no error of ours may reach the agent
        end()
    end()
