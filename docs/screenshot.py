"""Takes pictures of a running dashboard: wide and narrow, light and dark. Usage: screenshot.py URL FOLDER.

Uses the chromium that is installed; downloads nothing.
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import sync_playwright

SIZES = {"wide": (1280, 800), "narrow": (390, 844)}
SCHEMES = ("light", "dark")
SETTLE_MS = 1_500  # charts fill in after the first events


def take(url: str, folder: Path) -> list[Path]:
    """One picture a size and scheme; their paths. Raises `FileNotFoundError` without a chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise FileNotFoundError("no chromium found: see deploy/services.sh")
    folder.mkdir(parents=True, exist_ok=True)
    taken = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, (width, height) in SIZES.items():
            for scheme in SCHEMES:
                page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                page.goto(url, wait_until="load")
                page.wait_for_timeout(SETTLE_MS)
                path = folder / f"dashboard-{name}-{scheme}.png"
                page.screenshot(path=path)
                page.close()
                taken.append(path)
        browser.close()
    return taken


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 2:
        sys.stderr.write("usage: screenshot.py URL FOLDER\n")
        return 2
    for path in take(arguments[0], Path(arguments[1])):
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
