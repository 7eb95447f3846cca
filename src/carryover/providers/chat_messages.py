"""A prompt as pydantic-ai has it: messages of Anthropic's Messages API become the library's, for any provider."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from carryover.core.chat import Prompt

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, ModelRequestPart, ModelResponsePart, UserContent
    from pydantic_ai.models import ModelRequestParameters

Block = Mapping[str, Any]


def messages_of(messages: Sequence[Mapping[str, Any]], *, thoughts: bool) -> list[ModelMessage]:
    """The messages as the library has them; thinking is only told to the provider whose it is (`thoughts`)."""
    from pydantic_ai.messages import ModelRequest, ModelResponse

    names = {
        block["id"]: block["name"]
        for message in messages
        for block in _blocks(message["content"])
        if block.get("type") == "tool_use"
    }
    made: list[ModelMessage] = []
    for message in messages:
        blocks = _blocks(message["content"])
        if message["role"] == "assistant":
            made.append(ModelResponse(parts=list(_said(blocks, thoughts=thoughts))))
        else:
            made.append(ModelRequest(parts=list(_asked(blocks, names))))
    return made


def parameters_of(prompt: Prompt, *, head: bool) -> ModelRequestParameters:
    """The tools, and with `head` the blocks of the head."""
    from pydantic_ai.messages import InstructionPart
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.tools import ToolDefinition

    tools = [
        ToolDefinition(name=tool.name, description=tool.description, parameters_json_schema=tool.parameters)
        for tool in prompt.tools
    ]
    blocks = [InstructionPart(content=block) for block in prompt.system] if head else None
    return ModelRequestParameters(function_tools=tools, instruction_parts=blocks)


def marked(blocks: Sequence[str], points: Sequence[int]) -> list[dict[str, Any]]:
    """The head as the Messages API has it, with breakpoints of the cache behind the blocks at these places."""
    made: list[dict[str, Any]] = [{"type": "text", "text": block} for block in blocks]
    for n in points:
        made[n]["cache_control"] = {"type": "ephemeral"}
    return made


def _blocks(content: Any) -> list[Block]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return cast("list[Block]", content)


def _said(blocks: Sequence[Block], *, thoughts: bool) -> Iterator[ModelResponsePart]:
    """The parts of an answer that the library knows."""
    from pydantic_ai.messages import TextPart, ThinkingPart, ToolCallPart

    for block in blocks:
        kind = block.get("type")
        if kind == "text":
            yield TextPart(block["text"])
        elif kind == "tool_use":
            yield ToolCallPart(block["name"], dict(block["input"]), block["id"])
        elif kind == "thinking" and thoughts:
            yield ThinkingPart(block["thinking"], signature=block["signature"], provider_name="anthropic")
        elif kind == "redacted_thinking" and thoughts:
            yield ThinkingPart("", id=kind, signature=block["data"], provider_name="anthropic")


def _asked(blocks: Sequence[Block], names: Mapping[str, str]) -> Iterator[ModelRequestPart]:
    """The parts of a request: results under the names of their tools, and what the user said."""
    from pydantic_ai.messages import ToolReturnPart, UserPromptPart

    said: list[UserContent] = []
    for block in blocks:
        if block.get("type") == "tool_result":
            id, outcome = block["tool_use_id"], "failed" if block.get("is_error") else "success"
            output = _plain(list(_contents(_blocks(block.get("content", "")))))
            yield ToolReturnPart(names.get(id, "tool"), output, id, outcome=outcome)
        else:
            said += _contents([block])
    if said:
        yield UserPromptPart(_plain(said))


def _contents(blocks: Sequence[Block]) -> Iterator[UserContent]:
    """Texts, images and documents."""
    from pydantic_ai.messages import BinaryContent, DocumentUrl, ImageUrl

    for block in blocks:
        kind, source = block.get("type"), block.get("source", {})
        if kind == "text":
            yield block["text"]
        elif kind in ("image", "document") and source.get("type") == "base64":
            yield BinaryContent(base64.b64decode(source["data"]), media_type=source["media_type"])
        elif kind in ("image", "document") and source.get("type") == "url":
            yield ImageUrl(source["url"]) if kind == "image" else DocumentUrl(source["url"])
        elif kind == "document" and source.get("type") == "text":
            yield source["data"]


def _plain(contents: list[UserContent]) -> Any:
    """One text as a string, so that it looks the same however it was logged."""
    return contents[0] if len(contents) == 1 and isinstance(contents[0], str) else contents
