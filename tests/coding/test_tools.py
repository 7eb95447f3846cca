"""Native names of tools in words of all flavors, and what a call is about."""

from __future__ import annotations

from typing import Any

import pytest

from carryover.coding.tools import LONGEST, call_text, canonical, command_of, main_argument, patched
from carryover.core.step import Tool

PATCH = "*** Begin Patch\n*** Update File: src/a.py\n@@\n-a\n+b\n*** Add File: b c.txt\n+x\n*** End Patch"


@pytest.mark.parametrize(
    ("tool", "names"),
    [
        ("shell", "Bash bash shell local_shell exec_command run_terminal_command run_shell_command run_terminal_cmd"),
        ("read", "Read read read_file ReadFile view NotebookRead"),
        ("edit", "Edit MultiEdit apply_patch search_replace str_replace edit_file replace NotebookEdit"),
        ("write", "Write write_file create_file"),
        ("search", "Grep Glob grep_search file_search list_directory LS codebase_search"),
        ("web", "WebFetch WebSearch web_search_call google_web_search web_fetch"),
        ("agent", "Task Agent spawn_agent wait_agent delegate_to_agent"),
        ("plan", "TodoWrite TaskCreate TaskUpdate ExitPlanMode update_plan todo_write write_todos"),
        ("mcp", "mcp__linear-server__get_issue mcp__ide__getDiagnostics"),
        ("other", "Skill AskUserQuestion something_new"),
    ],
)
def test_names_of_all_flavors(tool: Tool, names: str) -> None:
    assert {name: canonical(name) for name in names.split()} == dict.fromkeys(names.split(), tool)


@pytest.mark.parametrize(
    ("tool", "given", "about"),
    [
        ("shell", {"command": "go test ./..."}, "go test ./..."),
        ("shell", {"cmd": "ls\n  -l"}, "ls -l"),
        ("shell", {"command": ["bash", "-lc", "go test ./..."]}, "go test ./..."),
        ("shell", {"command": ["git", "commit", "-m", "two words"]}, "git commit -m 'two words'"),
        ("shell", {"command": ["ls", 3]}, ""),
        ("read", {"file_path": "/a/b.py", "limit": 10}, "/a/b.py"),
        ("read", {"paths": ["a.py", "b.py"]}, "a.py"),
        ("edit", {"input": PATCH}, "src/a.py b c.txt"),
        ("edit", {"path": "a.py", "patch": PATCH}, "a.py"),
        ("search", {"pattern": "x+", "path": "/src"}, "x+"),
        ("web", {"url": "https://example.com"}, "https://example.com"),
        ("agent", {"description": "Find it", "prompt": "Find all of it"}, "Find it"),
        ("other", {"questions": []}, ""),
        ("plan", None, ""),
        ("other", {"title": "x" * 500}, "x" * (LONGEST - 1) + "…"),
    ],
)
def test_what_a_call_is_about(tool: Tool, given: dict[str, Any] | None, about: str) -> None:
    assert main_argument(tool, given) == about


def test_a_call_is_told_on_one_line() -> None:
    assert call_text("Bash", "shell", {"command": "make\ntest"}) == "Bash: make test"
    assert call_text("TodoWrite", "plan", {"todos": []}) == "TodoWrite"


def test_files_of_a_patch() -> None:
    assert patched(PATCH) == ["src/a.py", "b c.txt"]
    assert patched("--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n--- /dev/null\n+++ b/new.py\n") == ["x.py", "new.py"]
    assert patched("no patch") == []


@pytest.mark.parametrize("command", [None, 5, {}, [], [1]])
def test_what_is_no_command_is_nothing(command: Any) -> None:
    assert command_of(command) == ""
