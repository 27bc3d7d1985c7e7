"""Pages in a real browser, headless: what it says to its console, and what it makes of the page."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")

# Every picture that was not drawn, and how far the page is wider than the window.
_ASKED = """<script>addEventListener("load", () => {
  const broken = [...document.images].filter(image => !image.complete || !image.naturalWidth).length;
  const wider = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  document.title = `broken ${broken} of ${document.images.length}, wider ${wider}`;
});</script>"""
_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')


def opened(path: Path, profile: Path, width: int = 1200) -> tuple[str, list[str]]:
    """The page as the browser has it in the end, and what its console says."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
            f"--user-data-dir={profile}", f"--window-size={width},900", "--dump-dom", path.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def measured(path: Path, profile: Path, width: int) -> tuple[int, int, int]:
    """Pictures that were not drawn, pictures in all, and by how many pixels the page is wider than the window."""
    asking = path.with_name(f"asking-{width}.html")
    # The page forbids scripts, so the question needs a copy that does not.
    asking.write_text(_POLICY.sub("", path.read_text("utf-8")).replace("</head>", f"{_ASKED}</head>"), "utf-8")
    page, _ = opened(asking, profile, width)
    found = re.search(r"<title>broken (\d+) of (\d+), wider (-?\d+)</title>", page)
    assert found, "The page has not loaded."
    return int(found[1]), int(found[2]), int(found[3])
