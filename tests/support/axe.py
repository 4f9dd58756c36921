"""axe-core, the checker of accessibility, installed by npm once and shared by all test processes."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from typing import Any, Literal

import pytest
from playwright.sync_api import Page

from tests.support.samples import ROOT

THEMES: list[Literal["light", "dark"]] = ["light", "dark"]

_PINNED = ROOT / "tests" / "browser"
# Beside the environments of other tools, where `make clean` removes it.
_FOLDER = ROOT / "build" / "axe"
_LOCK_FILE = "package-lock.json"


def install() -> str:
    """Return the script of the pinned axe-core, after `npm ci` where it isn't installed yet.

    Without npm the test is skipped, or fails where CI is set.
    """
    npm = shutil.which("npm")
    if npm is None:
        text = "found no npm, expected it: apt-get install npm"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    _FOLDER.mkdir(parents=True, exist_ok=True)
    script = _FOLDER / "node_modules" / "axe-core" / "axe.min.js"
    with (_FOLDER / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test process may be installing it
        installed = _FOLDER / _LOCK_FILE
        is_current = installed.exists() and installed.read_bytes() == (_PINNED / _LOCK_FILE).read_bytes()
        if not (is_current and script.exists()):
            for name in ("package.json", _LOCK_FILE):
                shutil.copy(_PINNED / name, _FOLDER)
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=_FOLDER, capture_output=True, text=True, timeout=60)
            if done.returncode:
                installed.unlink()  # the next run installs it again
                pytest.fail(f"npm ci in {_FOLDER}: found exit code {done.returncode}, expected 0:\n{done.stderr}")
    return script.read_text("utf-8")


def violations(page: Page, script: str) -> list[str]:
    """Return what axe-core finds on a page in either theme: the theme, the rule, what it says, and the elements."""
    # The protocol of the browser runs the script; the Content-Security-Policy of the page stays as it is.
    page.evaluate(script)
    found = []
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        results: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        found += [
            f"{theme}: {each['id']}: {each['help']}: {[node['html'] for node in each['nodes']]}"
            for each in results["violations"]
        ]
    return found
