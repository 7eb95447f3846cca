"""The Model Context Protocol over HTTP: each request by itself, with the same keys as the HTTP API.

On loopback no key is needed as long as none exists. A process that hands on to a server with a key of its own serves
loopback only: whoever could reach it would act with that key.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from ipaddress import ip_address
from typing import Any

import anyio
import uvicorn

from carryover.core.errors import CarryoverError, Invalid, Unauthorized
from carryover.core.scope import EVERY_TENANT, Scope
from carryover.integrations.mcp import Memory, server
from carryover.runtime import Carryover
from carryover.store import keys

PATH = "/mcp"
Scoped = MutableMapping[str, Any]
Application = Callable[[Scoped, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]
_MEMORY = "carryover.memory"


def address(text: str) -> tuple[str, int]:
    """`127.0.0.1:8421` or `[::1]:8421` as host and port. Raises Invalid for what is none."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise Invalid(f"{text!r} is no address; write HOST:PORT, as in 127.0.0.1:8421", field="http")
    return host, int(port)


def serve_http(memory: Memory, host: str, port: int, say: Callable[[str], None], *, most_bytes: int) -> None:
    """Serves the memory at `/mcp` until it is told to stop (SIGINT, SIGTERM); a port 0 picks one.

    Raises Invalid before anything is served where the address may not be used without a key, or not at all.
    """
    check_address(memory, host)
    made = server(lambda request: request.scope[_MEMORY])
    app = made.streamable_http_app(
        streamable_http_path=PATH, stateless_http=True, json_response=True, max_request_body_size=most_bytes, host=host
    )
    config = uvicorn.Config(guarded(app, memory), log_level="warning", lifespan="on")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family)
    except OSError as cause:
        raise Invalid(f"{host}:{port} cannot be served ({cause.strerror}); name another", field="http") from cause
    with bound:
        say(f"MCP at http://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}{PATH}")
        uvicorn.Server(config).run(sockets=[bound])


def check_address(memory: Memory, host: str) -> None:
    """Raises Invalid for an address on which strangers could use the memory."""
    if _is_loopback(host):
        return
    if not isinstance(memory, Carryover):
        raise Invalid(
            f"{host} is no loopback address, and whoever reaches it would act with your key for {memory.url}; serve "
            "127.0.0.1, or run `carryover mcp --http` where that server's database is",
            field="http",
        )
    with memory.engine.store.read(EVERY_TENANT) as tx:
        if not keys.exist(tx):
            raise Invalid(
                f"{host} is no loopback address, and nobody needs a key yet; make one with `carryover keys create`",
                field="http",
            )


def guarded(app: Any, memory: Memory) -> Application:
    """The application behind the keys: what passes has the memory that it may reach."""

    async def passed(
        scope: Scoped, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        if scope["type"] == "http":
            try:
                scope[_MEMORY] = await anyio.to_thread.run_sync(_admitted, memory, _bearer(scope["headers"]))
            except CarryoverError as refusal:
                await _refuse(refusal, send)
                return
        await app(scope, receive, send)

    return passed


def _admitted(memory: Memory, secret: str) -> Memory:
    """The memory as the bearer of the key sees it. Raises Unauthorized."""
    if not isinstance(memory, Carryover):
        return memory
    store = memory.engine.store
    with store.read(EVERY_TENANT) as tx:
        key = keys.find(tx, secret) if secret else None
        if key is None and (secret or keys.exist(tx)):
            raise Unauthorized("this API key is missing, unknown or revoked; send `Authorization: Bearer <key>`")
    if key is None:
        return memory
    with store.write(Scope(key.tenant)) as tx:
        keys.touch(tx, key)
    return memory.seen_by(key.scope)


def _bearer(headers: Iterable[tuple[bytes, bytes]]) -> str:
    given = next((value for name, value in headers if name == b"authorization"), b"").decode("latin-1")
    kind, _, secret = given.partition(" ")
    return secret.strip() if kind.lower() == "bearer" else ""


async def _refuse(refusal: CarryoverError, send: Callable[[Any], Awaitable[None]]) -> None:
    unauthorized = isinstance(refusal, Unauthorized)
    body = json.dumps({"error": refusal.message}).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    head += [(b"www-authenticate", b"Bearer")] if unauthorized else []
    await send({"type": "http.response.start", "status": 401 if unauthorized else 503, "headers": head})
    await send({"type": "http.response.body", "body": body})


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
