"""What stands under the user's name: a prompt once, and the rest as notes."""

import pytest

from rollouts import TURN, event, item, line, message, said, steps_of, typed


def test_a_prompt_that_came_out_longer_for_the_model_is_still_one():
    text = "please look at the failing test in the parser and say why it fails"
    steps = steps_of(typed(text), message("user", f"{text}\n\n(attached: notes.md)"))
    assert said(steps) == [("prompt", text)]


@pytest.mark.parametrize(
    "injected",
    [
        "<environment_context>\n  <cwd>/work/app</cwd>\n</environment_context>",
        "# AGENTS.md instructions for /work/app\n\n<INSTRUCTIONS>\nRun the tests.\n</INSTRUCTIONS>",
        "<user_instructions>\nRun the tests.\n</user_instructions>",
        '<hook_prompt hook_run_id="h1">be brief</hook_prompt>',
        "<subagent_notification>one is done</subagent_notification>",
        "<skill>\n<name>review</name>\n</skill>",
    ],
)
def test_what_the_harness_puts_under_the_users_name_is_a_note(injected: str):
    steps = steps_of(message("user", injected), message("user", injected, "and now this"))
    assert [step.kind for step in steps] == ["note", "note", "prompt"]
    assert steps[-1].text == "and now this"


def test_elements_that_a_person_typed_stay_a_prompt():
    steps = steps_of(typed("<b>why is this bold?</b>"))
    assert said(steps) == [("prompt", "<b>why is this bold?</b>")]


def test_instructions_are_told_once_until_they_change():
    world = {"state": {"agents_md": {"text": "Run the tests."}}}
    changed = {"state": {"agents_md": {"text": "Run all tests."}}}
    steps = steps_of(line("world_state", world), line("world_state", world), line("world_state", changed))
    assert said(steps) == [("note", "Run the tests."), ("note", "Run all tests.")]
    assert [step.detail for step in steps] == [{"via": "instructions"}] * 2


def test_a_prompt_within_a_turn_was_queued():
    began, ended = ({"type": type, "turn_id": TURN} for type in ("task_started", "task_complete"))
    twice = typed("also b.py") + message("user", "also b.py")
    steps = steps_of(event(began), typed("fix it"), twice, event(ended), typed("go on"))
    assert [(step.text, step.detail) for step in steps] == [
        ("fix it", None),
        ("also b.py", {"via": "queued"}),
        ("go on", None),
    ]


def test_what_an_editor_adds_is_no_part_of_the_prompt():
    text = "# Context from my IDE setup:\n\n## Active file: a.py\n\n## My request for Codex:\nrename it"
    (step,) = steps_of(typed(text), message("user", text))
    assert step.text == "rename it"
    assert step.detail == {"editor": "## Active file: a.py"}


def test_a_command_that_a_person_ran_is_a_prompt_with_its_exit_code():
    text = (
        "<user_shell_command>\n<command>\nmake\n</command>\n<result>\n"
        "Exit code: 2\nDuration: 0.1\nOutput:\nno rule\n</result>\n</user_shell_command>"
    )
    (step,) = steps_of(message("user", text))
    assert (step.kind, step.text, step.status, step.exit_code) == ("prompt", "! make", "error", 2)


def test_pictures_alone_are_a_prompt():
    picture = item({"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "data:"}]})
    shown = event({"type": "user_message", "message": "", "images": ["data:"]})
    assert said(steps_of(picture, shown)) == said(steps_of(shown, picture)) == [("prompt", "[image]")]
    wrapped = message("user", "<image name=[Image #1]>", "</image>", "what is this?")
    assert said(steps_of(wrapped, typed("what is this?"))) == [("prompt", "what is this?")]
