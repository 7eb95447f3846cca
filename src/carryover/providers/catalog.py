"""Which embedders there are, by the first word of their names."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from carryover.core.errors import Invalid, ProviderError
from carryover.core.ports import Embedder
from carryover.providers.http_embedder import DIMS, OPENAI_URL, HttpEmbedder
from carryover.providers.minilm import MiniLM


@dataclass(frozen=True, slots=True)
class Access:
    """What an embedder may need: a folder for its files; or its service's key and URL, and its vectors' width."""

    cache_dir: Path
    api_key: str | None = None
    base_url: str | None = None
    dim: int | None = None
    timeout_s: float = 30.0


def _minilm(_model: str, access: Access) -> Embedder:
    return MiniLM(access.cache_dir)


def _none(_model: str, _access: Access) -> None:
    return None


def _openai(model: str, access: Access) -> Embedder:
    dim = access.dim or DIMS.get(model)
    if dim is None:
        raise ProviderError(f"the dimension of embedder 'openai:{model}' is not known; set it")
    # A key from the environment goes where the environment says, and to no other host.
    api_key, base_url = access.api_key, access.base_url
    if base_url is None:
        base_url = os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
        api_key = api_key or os.environ.get("OPENAI_API_KEY")
    return HttpEmbedder(
        model,
        dim=dim,
        api_key=api_key,
        base_url=base_url,
        timeout_s=access.timeout_s,
    )


EMBEDDERS: dict[str, Callable[[str, Access], Embedder | None]] = {
    "minilm": _minilm,
    "openai": _openai,
    "none": _none,
}


def open_embedder(name: str, access: Access) -> Embedder | None:
    """The embedder called `minilm`, `openai:<model>` or `none`; nothing is loaded or connected yet.

    Raises Invalid for another name or a base URL that is none, ProviderError when the width of a model's vectors
    is not known.
    """
    kind, _, model = name.partition(":")
    if kind not in EMBEDDERS or bool(model) != (kind == "openai"):
        raise Invalid(f"embedder {name!r} is not known; use minilm, openai:<model> or none", field="embedder")
    return EMBEDDERS[kind](model, access)


def reopen_embedder(space: str, embedder: str, access: Access) -> Embedder | None:
    """The embedder whose vectors are those of the space, while `embedder` is the one that is wanted now.

    None where it cannot be had. A service is asked only if it is the one that is wanted now: whoever has turned to a
    model on this machine may have done so in order that no text leaves it.
    """
    if space == MiniLM.name:
        return MiniLM(access.cache_dir)
    model, _, dim = space.removeprefix("openai:").rpartition("/")
    if space.startswith("openai:") and embedder.startswith("openai:") and model and dim.isdecimal():
        return _openai(model, replace(access, dim=int(dim)))
    return None
