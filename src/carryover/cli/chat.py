"""The verb `chat`: a conversation with a model that remembers, line by line."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any, cast

import typer

from carryover.cli import show
from carryover.cli.memory import memory
from carryover.cli.options import AGENT, Agent, AsJson, Session, User, example
from carryover.core.chat import ChatAnswer, ChatRequest, Compaction, TextDelta, ToolCall
from carryover.core.chat_wire import show_answer
from carryover.core.errors import CarryoverError, Invalid
from carryover.guard.visible import printable
from carryover.settings import load

app = typer.Typer(rich_markup_mode=None)

_ARGUMENTS = 100  # characters of a call's arguments that are told

Message = Annotated[
    str | None, typer.Option("--message", "-m", metavar="TEXT", help="Say this, and end.", show_default=False)
]
Instructions = Annotated[str, typer.Option(metavar="TEXT", help="What the model is told first.", show_default=False)]
Fields = Annotated[
    str | None,
    typer.Option("--strategy", metavar="JSON", help="Fields of the strategy that count here.", show_default=False),
]
Told = Annotated[
    bool, typer.Option("--persona/--no-persona", help="Whether the model is told how the user likes to be served.")
]


@app.command(epilog=example("carryover chat s1", "carryover chat s1 -m 'Which database did we choose?' --json"))
def chat(
    session: Session,
    agent: Agent = AGENT,
    user: User = None,
    message: Message = None,
    instructions: Instructions = "",
    strategy: Fields = None,
    persona: Told = True,
    as_json: AsJson = False,
) -> None:
    """Talk with a model: each line is a turn, and all that is said is in the log. Ctrl-C stops an answer.

    The model is the one that the setting `llm` names. A line that is empty, or Ctrl-D, ends the conversation.
    """
    fields = _fields(strategy)
    with memory() as opened:
        made: Any = opened  # the client has the chat; over the embedded memory it stands by itself
        talk = made.chat if load().settings.url else importlib.import_module("carryover.chat.verbs").Chat(opened)
        alone = message is None and sys.stdin.isatty()
        for said in [message] if message is not None else _lines(asking=alone):
            asked = ChatRequest(session, said, agent, user, instructions, fields, persona=persona)
            try:
                _answer(talk, asked, as_json)
            except KeyboardInterrupt:
                show.note("\nstopped")
            except CarryoverError as failure:
                if not alone:
                    raise
                show.note(f"carryover: {failure.message}")


def _lines(*, asking: bool) -> Iterator[str]:
    """What is typed, line by line, until nothing is."""
    while True:
        if asking:
            typer.echo("> ", nl=False, err=True)
        line = sys.stdin.readline().strip()
        if not line:
            return
        yield line


def _answer(talk: Any, asked: ChatRequest, as_json: bool) -> None:
    for event in talk.stream(asked):
        if isinstance(event, ChatAnswer):
            show.out(json.dumps(show_answer(event), ensure_ascii=False) if as_json else "")
        elif isinstance(event, TextDelta) and not as_json:
            typer.echo(printable(event.text), nl=False)
        elif isinstance(event, ToolCall):
            show.note(f"[{event.name} {event.arguments[:_ARGUMENTS]}]")
        elif isinstance(event, Compaction):
            show.note(
                f"[the model sees {event.tokens_after} of {event.tokens_before} tokens from here on: "
                f"{event.outputs + event.inputs} replaced, {event.omitted} turns left out]"
            )


def _fields(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        given: Any = json.loads(text)
    except ValueError as cause:
        raise Invalid(f"--strategy is no JSON ({cause}); write an object of fields", field="strategy") from cause
    if not isinstance(given, dict):
        raise Invalid("--strategy is no JSON object; write an object of fields", field="strategy")
    return cast("dict[str, Any]", given)
