"""Embeddings from a service that speaks OpenAI's `/v1/embeddings`: OpenAI, or a server of your own."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from carryover.core.errors import ProviderError, ProviderUnavailable
from carryover.core.text import clean
from carryover.providers.urls import check_url

if TYPE_CHECKING:
    import httpx

OPENAI_URL = "https://api.openai.com/v1"
DIMS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}
SHORTENED = "text-embedding-3-"  # these models give shorter vectors on demand
BATCH_TEXTS = 128


class HttpEmbedder:
    """Embeds texts to rows of unit length through HTTP. Connects at the first `embed`; threads may share it."""

    def __init__(self, model: str, *, dim: int, api_key: str | None, base_url: str, timeout_s: float) -> None:
        self.name = f"openai:{model}/{dim}"
        self.dim = dim
        self._model = model
        self._base_url = check_url(base_url).rstrip("/")
        self._headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._timeout_s = timeout_s
        self._connecting = threading.Lock()
        self._client: httpx.Client | None = None

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One row per text, in order.

        Raises ProviderUnavailable (`retry_after` in seconds where the service said so) when a later try may
        succeed, ProviderError when it refuses, or answers with something else than rows of the right length.
        """
        rows: list[list[float]] = []
        for start in range(0, len(texts), BATCH_TEXTS):
            rows += self._batch([clean(text) or " " for text in texts[start : start + BATCH_TEXTS]])
        return rows

    def close(self) -> None:
        """Connections are closed; a later call opens new ones."""
        with self._connecting:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _batch(self, texts: list[str]) -> list[list[float]]:
        body: dict[str, Any] = {"model": self._model, "input": texts, "encoding_format": "float"}
        if self._model.startswith(SHORTENED) and self.dim != DIMS.get(self._model):
            body["dimensions"] = self.dim
        answer = self._post(body)
        try:
            items = sorted(answer.json()["data"], key=lambda item: item["index"])
            rows = [_unit([float(number) for number in item["embedding"]]) for item in items]
        except (ValueError, KeyError, TypeError) as cause:
            raise ProviderError(f"{self.name!r} answered with no embeddings; check the base URL") from cause
        if len(rows) != len(texts) or any(len(row) != self.dim for row in rows):
            widths = sorted({len(row) for row in rows})
            raise ProviderError(
                f"{self.name!r} answered {len(rows)} rows of {widths} numbers for {len(texts)} texts; "
                "set the model's own dimension"
            )
        return rows

    def _post(self, body: dict[str, Any]) -> httpx.Response:
        import httpx

        with self._connecting:
            client = self._client = self._client or httpx.Client(timeout=self._timeout_s, headers=self._headers)
        try:
            answer = client.post(f"{self._base_url}/embeddings", json=body)
        except httpx.HTTPError as cause:
            raise ProviderUnavailable(f"{self.name!r} did not answer ({cause}); it will be tried again") from cause
        if answer.status_code in (408, 409, 429) or answer.status_code >= 500:
            raise ProviderUnavailable(
                f"{self.name!r} did not answer (status {answer.status_code}); it will be tried again",
                **_wait(answer.headers.get("retry-after")),
            )
        if answer.is_error:
            raise ProviderError(
                f"{self.name!r} refused (status {answer.status_code}: {answer.text[:200]}); check key and base URL"
            )
        return answer


def _wait(said: str | None) -> dict[str, float]:
    """Seconds only; a date is passed over."""
    return {"retry_after": float(said)} if said is not None and said.isdecimal() else {}


def _unit(row: list[float]) -> list[float]:
    length = math.hypot(*row)
    if not 0 < length < math.inf:
        raise ValueError("a row without direction")
    return [number / length for number in row]
