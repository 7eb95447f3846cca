"""Lines of the log: what stands in them, for people and for machines."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any

import pytest
from structlog.contextvars import bound_contextvars

from carryover.core.job import Job
from carryover.jobs.logger import JsonLines, TextLines, bound_to, logger_for

JOB = Job("acme", "index", "a/s", due=0, revision=1, attempt=2)
NAMED = {"kind": "index", "subject": "a/s", "attempt": 2}


@pytest.fixture(autouse=True)
def all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def as_json(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    line = JsonLines().format(caplog.records[-1])
    assert "\n" not in line
    return json.loads(line)


def test_a_line_of_ours_keeps_its_members(caplog: pytest.LogCaptureFixture) -> None:
    with bound_to(JOB):
        logger_for("carryover.x").warning("job dropped", reason="it's\ngone")
    got = as_json(caplog)
    assert got.pop("time").endswith("Z")
    assert got == {
        "level": "warning",
        "logger": "carryover.x",
        "event": "job dropped",
        "reason": "it's\ngone",
        "job": NAMED,
        "tenant": "acme",
    }
    text = TextLines().format(caplog.records[-1])
    assert """WARNING event='job dropped' reason="it's\\ngone" """ in text
    assert f" job={NAMED!r}" in text
    assert " tenant='acme'" in text


def test_a_line_of_a_library_says_what_it_was_made_for(caplog: pytest.LogCaptureFixture) -> None:
    with bound_contextvars(request_id="r-1"):
        logging.getLogger("elsewhere").error("no %s", "luck")
        got, text = as_json(caplog), TextLines().format(caplog.records[-1])
    assert (got["event"], got["request_id"], got["logger"]) == ("no luck", "r-1", "elsewhere")
    assert text.endswith("ERROR no luck request_id='r-1'")
    logging.getLogger("elsewhere").error("no luck")
    assert "request_id" not in as_json(caplog)
    assert TextLines().format(caplog.records[-1]).endswith("ERROR no luck")


def test_a_traceback_is_told_without_the_variables_of_its_frames(caplog: pytest.LogCaptureFixture) -> None:
    def fails() -> None:
        _secret = "-".join(("co", "secret"))
        raise ValueError("no")

    for log in (logger_for("carryover.x").exception, logging.getLogger("elsewhere").exception):
        try:
            fails()
        except ValueError:
            log("it failed")
        got = as_json(caplog)
        assert got["exception"].startswith("Traceback")
        assert "ValueError: no" in got["exception"]
        assert "co-secret" not in json.dumps(got) + TextLines().format(caplog.records[-1])


def test_whoever_embeds_carryover_sees_text(caplog: pytest.LogCaptureFixture) -> None:
    logger_for("carryover.x").info("100% done", kind="index")
    assert caplog.records[-1].getMessage() == "event='100% done' kind='index'"


@pytest.mark.parametrize(("form", "shown"), [("text", " WARNING event='told' n=1"), ("json", '"event": "told"')])
def test_the_log_goes_to_standard_error(form: str, shown: str) -> None:
    program = (
        "from carryover.jobs.logger import logger_for, to_stderr\n"
        f"to_stderr('warning', {form!r})\n"
        "logger_for('x').info('not told')\n"
        "logger_for('x').warning('told', n=1)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == ""
    assert shown in done.stderr
    assert len(done.stderr.splitlines()) == 1
