"""What is the same about two errors, or two paths, without what changes from session to session."""

from __future__ import annotations

import posixpath
import re
from functools import lru_cache

LONGEST = 160
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_WRAPPED = re.compile(
    r"</?(?:tool_use_error|error|stderr|stdout|output|system)>|\A\s*Error:\s*(?=Exit code)|^Output: ", re.MULTILINE
)
_EXIT = re.compile(
    r"\A\s*(?:Exit code:? \d+|Process exited with code \d+|Chunk ID: .*|Wall time: .*|Original token count: .*|Output:"
    r"|Command: .*|Directory: .*|Exit Code: \d+|Signal: .*|Background PIDs: .*|Process Group PGID: .*|Error: \(none\)"
    r"|Command failed with exit code \d+|Error)\s*\Z"
)
_TELLS = re.compile(
    r"error|fail|fatal|panic|exception|traceback|denied|cannot|can't|could not|couldn't|unable|undefined|unknown"
    r"|invalid|no such|not found|not exist|not been|missing|refused|timed? ?out|unexpected|must "
    r"|conflict|reject|unrecogni|expected",
    re.IGNORECASE,
)
_SUMS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b[a-z][a-z0-9+.\-]*://[^\s'\"<>)\]]+"), "<url>"),
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"), "<time>"),
    (re.compile(r"\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b"), "<time>"),
    (re.compile(r"(?<![\w.])\d+(?:\.\d+)? ?(?:ns|µs|us|ms|s|sec|secs|seconds?|m|min|minutes?|h|hours?)\b"), "<t>"),
    (re.compile(r"(?<![\w<])(?:[A-Za-z]:)?(?:[~.]{0,2}[/\\])(?:[\w.@+\-]+[/\\])*[\w.@+\-*]+[/\\]?"), "<path>"),
    (re.compile(r"(?<![\w<:/])(?:[\w.@+\-]+/)+[\w.@+\-*]*"), "<path>"),
    (re.compile(r"\b[\w\-]+\.[A-Za-z]\w{0,4}(?=:\d)"), "<path>"),
    (re.compile(r"\b(?:0x[0-9a-fA-F]+|(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{7,}|[0-9A-F]{12,})\b"), "<hex>"),
    (re.compile(r"(?<![\w])[-+]?\d[\d_,]*(?:\.\d+)?"), "<n>"),
)
_SENTENCE = re.compile(r"(?<=\w[.!])\s+(?=[A-Z])|(?<=: )(?=[{\[])")
_NAMED = re.compile(r"'[^'\n]{1,200}'(?!\w)|\"[^\"\n]{1,200}\"|`[^`\n]{1,200}`")
_BLANKS = re.compile(r"\s+")
_TEST_PATH = re.compile(r"(?:\A|[/_.\-])(?:tests?|specs?|__tests__|e2e)(?:[/_.\-]|\Z)", re.IGNORECASE)


@lru_cache(8_192)
def of_error(text: str, *, printed: bool = True) -> str:
    """The error in at most 160 characters, without paths, numbers, times, ids and colours: equal for equal errors.

    What a program `printed` says what is wrong anywhere; a tool of the harness says it first.
    """
    line = telling_line(text, printed=printed)
    if not printed:
        line = _NAMED.sub("<name>", _SENTENCE.split(line, maxsplit=1)[0])
    for pattern, instead in _SUMS:
        line = pattern.sub(instead, line)
    return _BLANKS.sub(" ", line).strip()[:LONGEST].rstrip()


def telling_line(text: str, *, printed: bool = True) -> str:
    """The first line that says what is wrong, without colours and wrappers; else the first line that says anything."""
    lines = [line for line in plain(text[:20_000]).splitlines() if line.strip() and not _EXIT.match(line)]
    said = next((line for line in lines if printed and _TELLS.search(line)), next(iter(lines), ""))
    return said.strip()


def plain(text: str) -> str:
    """The text without colours and without what the harness wraps an error in."""
    return _WRAPPED.sub("", _ANSI.sub("", text) if "\x1b" in text else text)


@lru_cache(8_192)
def of_path(path: str) -> str:
    """The class of a path: `*.go`, `test *.go`, `Makefile`; `folder` where it has no ending."""
    name = posixpath.basename(path.replace("\\", "/").rstrip("/"))
    stem, ending = posixpath.splitext(name)
    if not stem or (not ending and not name[:1].isupper()):
        return "folder" if not name.startswith(".") else "dotfile"
    if not ending:
        return name if name.isalpha() else "file"
    kind = f"*{ending.lower()}" if re.fullmatch(r"\.[A-Za-z]\w{0,9}", ending) else "file"
    return f"test {kind}" if _TEST_PATH.search(path) else kind
