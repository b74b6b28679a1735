"""The page for a browser: who sees it, what it shows, and how it looks in a real browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from .harness import Engine

SCREENSHOT = os.environ.get("UNDERSTUDY_SCREENSHOT", "")  # where to keep the picture, to look at it


def visit(engine: Engine) -> httpx.Client:
    """A browser that was let in."""
    url = engine.http.post("/v1/key").json()["url"]
    browser = httpx.Client(base_url=str(engine.http.base_url), follow_redirects=True)
    assert browser.get(url).status_code == 200
    return browser


def test_a_key_lets_one_browser_in_once_and_to_the_page_only(shared_engine: Engine) -> None:
    url = shared_engine.http.post("/v1/key").json()["url"]
    first = httpx.get(url)
    assert first.status_code == 303 and first.headers["location"] == "/"
    cookie = first.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    again = httpx.get(url)
    assert again.status_code == 401 and "used before" in again.json()["error"]
    browser = visit(shared_engine)
    for path in ("/v1/jobs", "/v1/engine", "/openapi.json"):
        assert browser.get(path).status_code == 401
    assert browser.post("/v1/shutdown").status_code == 401
    assert browser.get("/", headers={"Host": "evil.example"}).status_code == 403
    assert browser.get("/", headers={"Origin": "http://evil.example"}).status_code == 403
    stranger = httpx.Client(base_url=str(shared_engine.http.base_url), cookies={"understudy": "x" * 64})
    for path in ("/", "/?key=", "/?key=" + "0" * 32, "/page/preview/a"):
        assert stranger.get(path).status_code == 401
    assert "default-src 'none'" in browser.get("/").headers["content-security-policy"]


def test_the_page_shows_jobs_curves_and_previews_and_escapes(shared_engine: Engine) -> None:
    shared_engine.submit("notable", steps=30, seconds=0.02, preview=True)
    shared_engine.wait_for("notable", "done")
    spec = {"clip": {"path": "/x"}, "output": str(shared_engine.home / "<script>alert(1)</script>")}
    shared_engine.http.post("/v1/jobs", json={"id": "hostile", "kind": "scan", "spec": spec})
    shared_engine.wait_for("hostile", "failed")
    browser = visit(shared_engine)
    page = browser.get("/").text
    assert "notable" in page and "<polyline" in page and "done 100%" in page
    assert "<script>" not in page
    picture = browser.get("/page/preview/notable")
    assert picture.headers["content-type"] == "image/jpeg" and picture.content[:2] == b"\xff\xd8"
    assert browser.get("/page/preview/hostile").status_code == 404
    assert browser.get("/page/preview/none").status_code == 404


def test_the_page_in_a_real_browser(shared_engine: Engine, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed")
    shared_engine.submit("shown", steps=60, seconds=0.02, preview=True)
    shared_engine.wait_for("shown", "done")
    shared_engine.submit("held", steps=10, hold=[4], seconds=0.02)
    shared_engine.wait_for_step("held", 3)
    time.sleep(0.5)
    url = shared_engine.http.post("/v1/key").json()["url"]
    shot = Path(SCREENSHOT or tmp_path / "page.png")
    common = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    subprocess.run(
        [*common, f"--screenshot={shot}", "--window-size=1100,900", "--virtual-time-budget=2000", url],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    url = shared_engine.http.post("/v1/key").json()["url"]
    dom = subprocess.run([*common, "--dump-dom", url], check=True, capture_output=True, text=True, timeout=120).stdout
    assert "shown" in dom and "<polyline" in dom and 'class="state running"' in dom
    import cv2

    picture = cv2.imread(str(shot))
    assert picture.shape[0] >= 600 and picture.std() > 5  # something is drawn
    shared_engine.tell("held", "cancel")
