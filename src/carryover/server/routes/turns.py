"""The hot routes of the log: append in both forms, and the window. They do nothing twice and wait for no thread."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from carryover.core.errors import Invalid
from carryover.core.session import Appended
from carryover.core.wire import encode
from carryover.log.append import Prepared, prepare
from carryover.runtime import Carryover
from carryover.server import answers, bodies
from carryover.server.deps import enter

FEW = 20  # turns of a window that is read without a thread
INLINE = 64 << 10  # larger bodies are decoded in a thread, so that others need not wait


async def append(request: Request) -> Response:
    """`POST /sessions/{id}/turns`"""
    memory = await enter(request, "write")
    done = await _append(request, memory, request.path_params["id"], request.query_params.get("agent_id"))
    return answers.appended(done, 201 if done.saved else 200)


async def append_message(request: Request) -> Response:
    """`POST /memory/{agent_id}/{session_id}/append`"""
    memory = await enter(request, "write")
    agent_id, session_id = request.path_params["agent_id"], request.path_params["session_id"]
    done = await _append(request, memory, session_id, agent_id)
    session = memory.session(session_id, agent=agent_id)
    return answers.of_session(session, 201 if done.saved else 200, turn=encode(done.turns[0]))


async def window(request: Request) -> Response:
    """`GET /memory/{agent_id}/{session_id}/window`"""
    memory = await enter(request, "read")
    agent_id, session_id = request.path_params["agent_id"], request.path_params["session_id"]
    asked = request.query_params.get("last_n", "10")
    if not (asked.isascii() and asked.isdigit() and len(asked) < 10):
        raise Invalid(f"last_n {asked[:40]!r} is no number; use 1 to 1000", field="last_n")
    last_n = int(asked)
    if last_n > FEW:
        return await run_in_threadpool(_window, request, memory, (agent_id, session_id, last_n))
    # A point read of 0.1 ms: handing it to a thread and back costs as much again.
    return _window(request, memory, (agent_id, session_id, last_n))


def _window(request: Request, memory: Carryover, asked: tuple[str, str, int]) -> Response:
    agent_id, session_id, last_n = asked
    session, turns = memory.window(session_id, agent=agent_id, last_n=last_n)
    return answers.with_turns(session, turns)


ROUTES = [
    Route("/sessions/{id}/turns", append, methods=["POST"]),
    Route("/memory/{agent_id}/{session_id}/append", append_message, methods=["POST"]),
    Route("/memory/{agent_id}/{session_id}/window", window, methods=["GET"]),
]


async def _append(request: Request, memory: Carryover, session_id: str, agent_id: str | None) -> Appended:
    raw = await bodies.read(request)
    expected = answers.expected_version(request)
    if len(raw) <= INLINE:
        prepared = _prepare(memory, raw, session_id, agent_id, expected)
    else:
        prepared = await run_in_threadpool(_prepare, memory, raw, session_id, agent_id, expected)
    return await request.app.state.commits.append(memory.scope, prepared)


def _prepare(memory: Carryover, raw: bytes, session_id: str, agent_id: str | None, expected: int | None) -> Prepared:
    request = bodies.appends(raw, session_id, agent_id, expected)
    return prepare(memory.scope, request, memory.engine.limits)
