"""The files of the page at `/profile`: who gets them, under which policy, and that they need nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from carryover.core.persona import LONGEST_PHRASE, MOST_TEXTS, MOST_TOKENS, MOST_WEIGHT
from carryover.server import profile_page
from serving import Running, open_memory, serving

FOLDER = Path(profile_page.__file__).parent / "profile"
HTML = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
FILES = sorted(FOLDER.iterdir())


def test_a_browser_gets_the_page_and_programs_the_profile(http: httpx.Client) -> None:
    page = http.get("/profile", headers=HTML)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text.startswith("<!doctype html>")
    for accept in ("*/*", "application/json", "application/json, text/html;q=0.5"):
        got = http.get("/profile", params={"user_id": "ada"}, headers={"Accept": accept})
        assert got.status_code == 200
        assert got.json()["user_id"] == "ada"


def test_the_page_holds_nothing_of_anybody_so_it_needs_no_key(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory, serving(memory, open_door=False) as closed, closed.http() as http:
        page = http.get("/profile", headers=HTML)
        assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
        assert page.text == http.get("/profile?user_id=ada", headers=HTML).text
        assert [http.get(f"/profile/{name}").status_code for name in profile_page.ASSETS] == [200] * 5
        assert http.get("/profile?user_id=ada").status_code == 401


def test_its_policy_lets_in_our_own_files_and_nothing_else(http: httpx.Client) -> None:
    page = http.get("/profile", headers=HTML)
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    for got in (page, *(http.get(f"/profile/{name}") for name in profile_page.ASSETS)):
        assert got.headers["x-content-type-options"] == "nosniff"
        assert got.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("name", profile_page.ASSETS)
def test_a_file_that_the_browser_has_is_not_sent_again(http: httpx.Client, name: str) -> None:
    got = http.get(f"/profile/{name}")
    assert got.text == (FOLDER / name).read_text("utf-8")
    assert got.headers["cache-control"] == "no-cache"
    assert got.headers["content-type"].startswith("text/css" if name.endswith("css") else "text/javascript")
    again = http.get(f"/profile/{name}", headers={"If-None-Match": f'W/"other", {got.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == got.headers["etag"]


def test_no_other_file_is_served(http: httpx.Client) -> None:
    for path in ("/profile/page.html", "/profile/../app.py", "/profile/%2e%2e/app.py", "/profile/", "/profile/x.js"):
        assert http.get(path).status_code == 404, path


def test_all_that_the_files_name_is_among_them() -> None:
    named = set(re.findall(r"(?:src|href)=\"profile/([\w.]+)\"", (FOLDER / "page.html").read_text("utf-8")))
    for path in FILES:
        if path.suffix == ".js":
            named |= set(re.findall(r"from \"\./([\w.]+)\"", path.read_text("utf-8")))
    assert named == set(profile_page.ASSETS) == {path.name for path in FILES} - {"page.html"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_comes_from_elsewhere_and_no_string_becomes_markup(path: Path) -> None:
    text = path.read_text("utf-8")
    assert re.findall(r"https?:|[\"'(]//|@import|url\(|\beval\b|\bFunction\(", text) == []
    assert re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|DOMParser", text) == []
    assert re.findall(r"<script>|<style|\son\w+=\"|\sstyle=\"", text) == []


def test_the_page_knows_the_limits_of_the_core(http: httpx.Client) -> None:
    body = re.search(r"<body ([^>]+)>", http.get("/profile", headers=HTML).text)
    assert body is not None
    told = {name: float(value) for name, value in re.findall(r"data-(\w+)=\"([\d.]+)\"", body[1])}
    limits = {"tokens": MOST_TOKENS, "texts": MOST_TEXTS, "characters": LONGEST_PHRASE, "weight": MOST_WEIGHT}
    assert told == limits


def test_a_page_of_another_site_gets_nothing_by_the_open_door(running: Running) -> None:
    with running.http() as http:
        for method in ("PATCH", "DELETE"):
            got = http.request(method, "/profile?user_id=ada", headers={"Origin": "https://evil.example"}, json={})
            assert got.status_code == 403
