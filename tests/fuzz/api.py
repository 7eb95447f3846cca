"""The whole API as its document tells it: requests made from it, and sequences of them that use what came before.

Whatever routes there are, they are taken up: links lead from each answer that names a session to each operation that
takes one, and so for findings, patterns and digests.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks
from schemathesis.generation.case import Case
from schemathesis.schemas import BaseSchema

# Guarded by nothing, and so told in no right.
OPEN = ("/", "/health", "/health/live", "/health/ready")
STREAMS = ("/live", "/metrics")  # one never ends; the other is no JSON, and has tests of its own
# What a body is made from is looser than what a route takes (a strategy's fields exclude each other), and an id that
# nobody made is answered with 404: what these three would call a failure is not one.
NOT_CHECKED = ("positive_data_acceptance", "negative_data_rejection", "missing_required_header")
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "unsupported_method", "ignored_auth", "use_after_free", "allow_header_conformance",
)  # fmt: skip
_SESSION = ("$response.body#/session_id", "$response.body#/agent_id")


def guarded(document: dict[str, Any]) -> dict[str, Any]:
    """The document of a server that has keys: each operation but the open ones wants one."""
    document["security"] = [{"key": []}]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            if path in OPEN:
                operation["security"] = []
    return document


def linked(document: dict[str, Any]) -> dict[str, Any]:
    """The document with links from what makes a thing to what takes one."""
    takers = [
        (path, method, {parameter["name"]: parameter["in"] for parameter in operation.get("parameters", ())})
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    for path, method, makes in (
        ("/sessions/{id}/turns", "post", _session), ("/memory/{agent_id}/{session_id}/append", "post", _session),
        ("/sessions/{id}/consolidate", "post", _finding), ("/patterns", "get", _pattern),
    ):  # fmt: skip
        maker = document["paths"].get(path, {}).get(method)
        if maker is None:
            continue
        for status, answer in maker["responses"].items():
            if status.startswith("2"):
                answer["links"] = {
                    f"{to} {taker}": {"operationRef": f"#/paths/{_pointed(taker)}/{to}", "parameters": told}
                    for taker, to, named in takers
                    if (told := makes(taker, named))
                }  # fmt: skip
    return document


def _pointed(path: str) -> str:
    """As a JSON pointer takes it."""
    return path.replace("~", "~0").replace("/", "~1")


def _session(path: str, named: dict[str, str]) -> dict[str, str]:
    session, agent = _SESSION
    told = {"path.session_id": session} if "{session_id}" in path else {}
    if "/sessions/{id}" in path or "/conversations/{id}" in path:
        told["path.id"] = session
    if told and "agent_id" in named:
        told[f"{named['agent_id']}.agent_id"] = agent
    return told


def _finding(path: str, _named: dict[str, str]) -> dict[str, str]:
    return {"path.id": "$response.body#/decisions/0/id"} if path.startswith("/findings/") else {}


def _pattern(path: str, _named: dict[str, str]) -> dict[str, str]:
    return {"path.id": "$response.body#/patterns/0/id"} if path.startswith("/patterns/{id}") else {}


def schema_of(document: dict[str, Any]) -> BaseSchema:
    schema = schemathesis.openapi.from_dict(linked(guarded(document)))
    return schema.exclude(path_regex=f"({'|'.join(STREAMS)})$")


def checked() -> list[Any]:
    """The checks that are made of each answer."""
    known = {check.__name__: check for check in checks.CHECKS.get_all()}
    return [known[name] for name in CHECKS if name in known]


def run(examples: int, *, steps: int = 0) -> settings:
    """So many cases, or sequences of so many steps, without shrinking: what broke can be sent again as it was."""
    more = {"stateful_step_count": steps} if steps else {}
    return settings(
        max_examples=examples, deadline=None, phases=[Phase.generate], database=None,
        suppress_health_check=list(HealthCheck), **more,
    )  # fmt: skip


class Asked:
    """Sends cases with a key, and counts them by status."""

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url
        self.headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self.statuses: Counter[int] = Counter()

    def send(self, case: Case) -> Any:
        """The answer, once all checks held."""
        got = case.call(base_url=self.url, headers=self.headers)
        self.statuses[got.status_code] += 1
        case.validate_response(got, checks=checked(), headers=self.headers)
        return got

    def refused(self, case: Case) -> None:
        """The case is nobody's who is known here: it is refused, whatever it says."""
        got = case.call(base_url=self.url, headers=self.headers)
        self.statuses[got.status_code] += 1
        # An id with a slash makes a path of which there is no route: it is nowhere, whoever asks.
        assert got.status_code in (401, 404, 405, 307), (case.as_curl_command(), got.status_code)
