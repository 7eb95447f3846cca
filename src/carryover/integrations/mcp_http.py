"""The Model Context Protocol over HTTP: each request by itself, with the same keys as the HTTP API.

On loopback no key is needed as long as none exists and the settings name no issuer of tokens; tokens open nothing here.
A process that hands on to a server with a key of its own serves loopback only: whoever could reach it would act with
that key.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import anyio
import uvicorn

from carryover.core.errors import CarryoverError, Invalid, TooMany, Unauthorized
from carryover.core.scope import EVERY_TENANT, Caller
from carryover.integrations.mcp import Memory, server
from carryover.runtime import Carryover
from carryover.store import keys
from carryover.store.limits import Limits

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
    """The application behind the keys and rates: what passes has the memory that it may reach."""
    limits: Limits | None = None  # made by the first request, in the loop that it is used in

    async def passed(
        scope: Scoped, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        nonlocal limits
        if scope["type"] == "http":
            try:
                seen, rate = await anyio.to_thread.run_sync(_admitted, memory, _bearer(scope["headers"]))
                if isinstance(seen, Carryover):  # else the server behind counts
                    limits = limits or Limits(seen.engine.settings.rate_limit, seen.engine.redis)
                    await limits.admit(seen.scope.tenant, seen.scope.by.who, rate)
            except CarryoverError as refusal:
                await _refuse(refusal, send)
                return
            scope[_MEMORY] = seen
        await app(scope, receive, send)
        if scope["type"] == "lifespan" and limits is not None:
            await limits.close()

    return passed


def _admitted(memory: Memory, secret: str) -> tuple[Memory, str | None]:
    """The memory as the bearer of the key sees it, and the key's rate. Raises Unauthorized."""
    if not isinstance(memory, Carryover):
        return memory, None
    store = memory.engine.store
    if not secret:
        with store.read(EVERY_TENANT) as tx:
            if memory.engine.settings.oidc is not None or keys.exist(tx):
                raise Unauthorized("no API key was given; send `Authorization: Bearer <key>`")
        return memory, None
    key = keys.admitted(store, secret)
    keys.used(store, key, secret)
    return memory.seen_by(replace(key.scope, by=Caller(key.scope.by.who, "mcp"))), key.rate


def _bearer(headers: Iterable[tuple[bytes, bytes]]) -> str:
    given = next((value for name, value in headers if name == b"authorization"), b"").decode("latin-1")
    kind, _, secret = given.partition(" ")
    return secret.strip() if kind.lower() == "bearer" else ""


async def _refuse(refusal: CarryoverError, send: Callable[[Any], Awaitable[None]]) -> None:
    body = json.dumps({"error": refusal.message}).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    status = 503
    if isinstance(refusal, Unauthorized):
        status, head = 401, [*head, (b"www-authenticate", b"Bearer")]
    elif isinstance(refusal, TooMany):
        status, head = 429, [*head, (b"retry-after", str(refusal.facts["retry_after"]).encode())]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
