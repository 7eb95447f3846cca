"""A real browser: the Chromium of this machine, and what a page in it asked for and complained about."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
# It runs as root in containers, and asks nobody else for anything.
ARGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of one file, which are skipped where there is none.

    It does not outlive the file: what drives it occupies the thread's event loop, which other tests need.
    """
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium here; install one with `make browser`, or by hand: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=ARGS)
        try:
            yield started
        finally:
            started.close()


@dataclass
class Visit:
    """A page in a window of its own, and all that it did: requests as (method, URL), and what went wrong."""

    page: Page
    asked: list[tuple[str, str]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def origins(self) -> set[str]:
        """Where the page asked for anything."""
        return {f"{url.scheme}://{url.netloc}" for url in (urlsplit(url) for _, url in self.asked)}


@contextmanager
def visiting(browser: Browser, url: str, **options: Any) -> Iterator[Visit]:
    """Inside the block the page at the URL is open. `options` are those of a browser context."""
    with browser.new_context(locale="en-GB", timezone_id="UTC", **options) as context:
        context.set_default_timeout(20_000)
        page = context.new_page()
        visit = Visit(page)
        page.on("request", lambda request: visit.asked.append((request.method, request.url)))
        page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        page.on("console", lambda message: _hear(visit, message))
        page.goto(url)
        yield visit


def _hear(visit: Visit, message: ConsoleMessage) -> None:
    # That an answer was a refusal is told too, which is no complaint: the page is to deal with it.
    if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
        visit.complaints.append(message.text)
