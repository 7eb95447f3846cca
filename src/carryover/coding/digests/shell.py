"""What a shell command runs: its simple commands, and what each of them is called, whatever stands around them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1([^\n]*)\n.*?^[^\S\n]*\2[^\S\n]*$", re.DOTALL | re.MULTILINE)
_CONTINUED = re.compile(r"\\\r?\n")
_ASSIGNED = re.compile(r"\A\w+=")
_OPERATORS = frozenset({"&&", "||", ";", "|", "|&", "&", ";;", "(", ")", "{", "}", "\n"})
_SILENT = frozenset(
    ("cd", "pushd", "popd", "export", "set", "source", ".", "true", ":", "for", "case", "select", "sleep")
)
_ENDS = frozenset(("fi", "done", "esac"))
_REDIRECTS = re.compile(r"\A[<>&|]*[<>][<>&|]*\Z")
_LONGEST = 8_000  # characters of a command that are looked at
_SHELLS = frozenset({"bash", "sh", "zsh", "dash", "fish"})
# Words that stand before what is run; those with a number take that many words with them.
_BEFORE = {
    **dict.fromkeys(("sudo", "time", "env", "nohup", "exec", "command", "builtin", "then", "do", "else", "if", "!"), 0),
    **dict.fromkeys(("while", "until", "npx", "bunx", "pnpx", "uvx", "xvfb-run", "stdbuf", "winpty", "elif"), 0),
    **dict.fromkeys(("timeout", "gtimeout", "nice"), 1),
}
# Programs that run another one, after this word.
_RUNNERS = {
    "uv": ("run",),
    "poetry": ("run",),
    "pipenv": ("run",),
    "pdm": ("run",),
    "rye": ("run",),
    "hatch": ("run",),
    "conda": ("run",),
    "bundle": ("exec",),
    "mise": ("exec", "x"),
    "direnv": ("exec",),
    "pnpm": ("exec", "dlx"),
    "yarn": ("exec", "dlx"),
    "npm": ("exec",),
    "bun": ("x",),
    "dotenv": ("--",),
    "dotnet": ("exec",),
}
# Programs whose first word says what they do.
_WITH_VERBS = """
    git gh glab go cargo npm pnpm yarn bun deno docker podman kubectl helm make just task mise gradle gradlew mvn mvnw
    pip pip3 uv poetry pdm hatch conda brew apt apt-get dotnet terraform aws gcloud az rails rake bundle composer php
    artisan mix swift flutter dart bazel nx turbo ng cmake ctest stack cabal sbt lein zig systemctl node python python3
"""
_VERBS = frozenset(_WITH_VERBS.split())


@dataclass(frozen=True, slots=True)
class Run:
    """One simple command: its words, and how it hands on what came of it.

    `masked` says that its exit code is not that of the whole: a pipe, `;` or `||` follows.
    """

    words: tuple[str, ...]
    masked: bool = False

    @property
    def head(self) -> str:
        """What it is called: `git commit`, `go test`, `rg`."""
        program = self.words[0].rpartition("/")[2]
        if program not in _VERBS:
            return program
        words = self.words[3:] if program == "git" and self.words[1:2] in (("-C",), ("-c",)) else self.words[1:]
        verb = next((word for word in words if not word.startswith("-")), "")
        if program in ("npm", "pnpm", "yarn", "bun", "mise") and verb in ("run", "run-script"):
            after = self.words[self.words.index(verb) + 1 :]
            verb = " ".join(["run", next((word for word in after if not word.startswith("-")), "")]).strip()
        if program in ("python", "python3"):
            verb = f"-m {verb}" if "-m" in self.words[1:2] else ""
        named = re.fullmatch(r"[\w:@.\- ]{1,40}", verb) and not re.search(r"\.\w+\Z|/", verb)
        return f"{program} {verb}" if named else program


@lru_cache(4_096)
def runs(command: str) -> tuple[Run, ...]:
    """The simple commands of a command, in order, without what only surrounds them (`cd`, `env`, `sudo`, `npx`).

    What stands in quotes, in a here-document or in a comment is not run.
    """
    return tuple(_runs(command[:_LONGEST], 0))


@lru_cache(4_096)
def heads(command: str) -> tuple[str, ...]:
    """What the command runs, each once: `("go build", "go test")`."""
    return tuple(dict.fromkeys(run.head for run in runs(command)))


@lru_cache(4_096)
def head(command: str) -> str:
    """The first thing that the command runs; "" where that cannot be told."""
    return next(iter(heads(command)), "")


def _runs(command: str, depth: int) -> list[Run]:
    found: list[Run] = []
    words: list[str] = []
    between = ""
    masks = (";", "||", "&", "\n") if "pipefail" in command else (";", "||", "&", "\n", "|", "|&")
    for token in [*_tokens(command), "\n"]:
        if token not in _OPERATORS:
            words.append(token)
            continue
        if words and words[0] not in _ENDS:
            if found and between in masks:
                found[-1] = Run(found[-1].words, masked=True)
            new = _of_words(words, depth)
            found, between = found + new, token if new else ""
        words = []
    return found


def _of_words(words: list[str], depth: int) -> list[Run]:
    words = _bare(words)
    if not words or words[0] in _SILENT:
        return []
    if words[0].rpartition("/")[2] in _SHELLS and depth < 3:
        for flag, script in pairwise(words[1:]):
            if flag.startswith("-") and flag.endswith("c"):
                return _runs(script, depth + 1)
    return [Run(tuple(words))]


def _bare(words: list[str]) -> list[str]:
    """The words without redirections, assignments, and programs that only run another."""
    kept: list[str] = []
    skip = False
    for n, word in enumerate(words):
        if skip:
            skip = False
        elif _REDIRECTS.match(word):
            skip = True
        elif word.isdigit() and n + 1 < len(words) and _REDIRECTS.match(words[n + 1]):
            continue
        else:
            kept.append(word)
    while kept:
        program = kept[0].rpartition("/")[2]
        if _ASSIGNED.match(kept[0]):
            kept = kept[1:]
        elif program in _BEFORE:
            rest = kept[1:]
            while rest and rest[0].startswith("-"):
                rest = rest[1:]
            kept = rest[_BEFORE[program] :]
        elif program in _RUNNERS and len(kept) > 1 and (verb := _verb(kept)) in _RUNNERS[program]:
            rest = kept[kept.index(verb) + 1 :]
            while rest and rest[0].startswith("-"):
                rest = rest[1:]
            if not rest:
                return kept
            kept = rest
        else:
            return kept
    return kept


def _verb(words: list[str]) -> str:
    return next((word for word in words[1:] if word == "--" or not word.startswith("-")), "")


def _tokens(command: str) -> list[str]:
    text = _CONTINUED.sub(" ", _HEREDOC.sub(r"\3\n", command))
    lexer = shlex.shlex(text, posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace, lexer.whitespace_split = " \t\r", True
    lexer.commenters = "#"
    tokens: list[str] = []
    try:
        for token in lexer:
            tokens += _split(token)
    except ValueError:  # a quote that is not closed: what came before it counts
        pass
    return tokens


def _split(token: str) -> list[str]:
    """A run of punctuation may hold several operators: `);`."""
    if not token or token.strip("();<>|&\n"):
        return [token]
    if _REDIRECTS.match(token):
        return [token]
    return re.findall(r"&&|\|\||;;|\|&|[();|&\n]|[<>]+&?", token)
