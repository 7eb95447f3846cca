"""What goes to the model and comes from it: every shape of a call and of its output."""

from typing import Any

import pytest

from rollouts import call, event, item, output, said, steps_of

PATCH = """*** Begin Patch
*** Update File: a.py
@@ def f():
-    return 1
+    return 2
*** Add File: b.py
+x = 1
*** Update File: old.py
*** Move to: new.py
@@
-a
+b
*** Delete File: c.py
*** End Patch"""


@pytest.mark.parametrize(
    ("told", "text", "status", "code"),
    [
        ("Chunk ID: 1\nWall time: 0.1 seconds\nProcess exited with code 3\nOutput:\nboom", "boom", "error", 3),
        ("Wall time: 0.1 seconds\nProcess exited with code 0\nOutput:\nExit code: 9", "Exit code: 9", "ok", 0),
        ("Exit code: 1\nWall time: 0 seconds\nTotal output lines: 1\nOutput:\nno match", "no match", "error", 1),
        ("Chunk ID: 1\nWall time: 1 seconds\nProcess running with session ID 7\nOutput:\n...", "...", "unknown", None),
        ('{"output":"a\\n","metadata":{"exit_code":0,"duration_seconds":0.1}}', "a\n", "ok", 0),
        ('{"output":"b","metadata":{"exit_code":127}}', "b", "error", 127),
        ("exec command rejected by user", "exec command rejected by user", "rejected", None),
        ("patch rejected by user", "patch rejected by user", "rejected", None),
        ("aborted by user after 3.1s", "aborted by user after 3.1s", "cancelled", None),
        ("failed to parse function arguments: x", "failed to parse function arguments: x", "error", None),
        ("unsupported call: foo", "unsupported call: foo", "error", None),
        ("a.txt\nb.txt", "a.txt\nb.txt", "ok", None),
        ({"content": "no such tool", "success": False}, "no such tool", "error", None),
        ({"content": "fine", "success": True}, "fine", "ok", None),
        ([{"type": "input_text", "text": "one"}, {"type": "input_text", "text": "two"}], "one\ntwo", "ok", None),
        ({"type": "input_text", "text": "a.txt"}, "a.txt", "ok", None),
        ({"stdout": "x", "stderr": "y", "exitCode": 1}, "xy", "error", None),
    ],
)
def test_every_shape_of_an_output(told: Any, text: str, status: str, code: int | None):
    result = steps_of(call("c1", "exec_command", {"cmd": "x"}), output("c1", told))[-1]
    assert (result.text, result.status, result.exit_code) == (text, status, code)
    assert (result.call_id, result.name, result.tool) == ("c1", "exec_command", "shell")


@pytest.mark.parametrize(
    "made",
    [
        item({"type": "custom_tool_call", "name": "apply_patch", "input": PATCH, "call_id": "c1"}),
        call("c1", "apply_patch", {"input": PATCH}),
        call("c1", "shell", {"command": ["bash", "-lc", f"apply_patch <<'EOF'\n{PATCH}\nEOF"]}),
        call("c1", "shell", {"command": ["apply_patch", PATCH]}),
        call("c1", "exec_command", {"cmd": f"apply_patch <<'EOF'\n{PATCH}\nEOF"}),
    ],
)
def test_a_patch_is_an_edit_of_its_files_however_it_was_made(made: bytes):
    (step,) = steps_of(made)
    assert step.tool == "edit"
    assert step.input is not None
    assert step.input["files"] == ["a.py", "b.py", "old.py", "new.py", "c.py"]
    assert step.input["edits"][0] == {
        "file_path": "a.py",
        "kind": "update",
        "old_string": "    return 1",
        "new_string": "    return 2",
    }
    assert [edit["kind"] for edit in step.input["edits"]] == ["update", "add", "update", "delete"]


def test_a_search_of_the_provider_is_a_call_with_its_result_once():
    action = {"type": "search", "query": "zstd frames"}
    steps = steps_of(
        item({"type": "web_search_call", "id": "ws1", "status": "completed", "action": action}),
        event({"type": "web_search_end", "call_id": "ws1", "query": "zstd frames", "action": action}),
    )
    assert [(step.kind, step.tool, step.call_id) for step in steps] == [
        ("call", "web", "ws1"),
        ("result", "web", "ws1"),
    ]


def test_calls_of_other_sorts():
    steps = steps_of(
        item(
            {"type": "function_call", "name": "get", "namespace": "mcp__tracker__", "arguments": "{}", "call_id": "c1"}
        ),
        item({"type": "tool_search_call", "call_id": "c2", "arguments": {"query": "issue"}}),
        item({"type": "tool_search_output", "call_id": "c2", "tools": [{"name": "get"}, {"name": "put"}]}),
        item({"type": "image_generation_call", "id": "ig1", "status": "failed", "revised_prompt": "a cat"}),
        item(
            {"type": "local_shell_call", "call_id": "c3", "action": {"type": "exec", "command": ["bash", "-lc", "ls"]}}
        ),
        item({"type": "custom_tool_call", "name": "shell", "input": '{"command": ["ls"]}', "call_id": "c4"}),
        call("c5", "strange", "no json"),
    )
    told = [(step.kind, step.name, step.text) for step in steps]
    assert told == [
        ("call", "mcp__tracker__get", "mcp__tracker__get"),
        ("call", "tool_search", steps[1].text),
        ("result", "tool_search", "get, put"),
        ("call", "image_generation", steps[3].text),
        ("result", "image_generation", ""),
        ("call", "local_shell", "local_shell: ls"),
        ("call", "shell", "shell: ls"),
        ("call", "strange", "strange"),
    ]
    assert steps[4].status == "error"
    assert steps[-1].input == {"input": "no json"}


def test_thoughts_within_a_message_and_raw_ones():
    content = [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "done"}]
    steps = steps_of(
        item({"type": "message", "role": "assistant", "content": content}),
        item({"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "so"}]}),
        event({"type": "agent_reasoning_raw_content", "text": "so"}),
    )
    assert said(steps) == [("thinking", "hm"), ("text", "done"), ("thinking", "so")]
