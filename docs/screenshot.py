"""Takes the pictures in docs/images/: a real swarm at work, its liar caught. Usage: screenshot.py FOLDER [URL].

Without a URL it runs `quorate demo` for the occasion; with one (its `#token=…` included) it looks at what runs
there. Uses the chromium that is installed; downloads nothing.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PICTURES = (  # name, width, height, colour scheme
    ("dashboard", 1280, 860, "light"),
    ("dashboard-dark", 1280, 860, "dark"),
    ("dashboard-narrow", 390, 844, "light"),
)
LIAR = ".node[data-differed]"
CAUGHT_MS = 90_000
CHARTS_MS = 20_000  # so that there is something on the charts
SETTLE_MS = 1_000


@contextlib.contextmanager
def demo() -> Iterator[str]:
    """A demo over this checkout, left running as long as pictures are taken: its address with the token."""
    quorate = Path(sys.executable).with_name("quorate")
    with tempfile.TemporaryDirectory(prefix="quorate-pictures-") as folder:
        command = [str(quorate), "demo", "--keep", "--work-dir", str(Path(folder) / "demo")]
        running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)  # noqa: S603
        try:
            assert running.stdout is not None
            for line in running.stdout:
                if found := re.match(r"dashboard\s+(\S+)", line):
                    yield found.group(1)
                    break
            else:
                raise RuntimeError("the demo ended before it said where its dashboard is")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGTERM)
            running.communicate()


def take(url: str, folder: Path) -> list[Path]:
    """The pictures of the swarm at `url`; their paths. Raises `FileNotFoundError` without a chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise FileNotFoundError("no chromium found: see deploy/services.sh")
    folder.mkdir(parents=True, exist_ok=True)
    taken = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 860}, reduced_motion="reduce")
        page.goto(url, wait_until="load")
        page.locator(LIAR).first.wait_for(timeout=CAUGHT_MS)
        page.wait_for_timeout(CHARTS_MS)
        for name, width, height, scheme in PICTURES:
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            taken.append(_shoot(page, folder / f"{name}.png"))
        page.set_viewport_size({"width": 1280, "height": 860})
        page.emulate_media(color_scheme="light")
        page.evaluate("id => { location.hash = `#/task/${id}` }", outvoted(url))
        page.get_by_role("button", name="Compare outputs").first.click()
        page.get_by_role("button", name="Download receipt").wait_for()
        page.locator("#sheet-body").evaluate("body => { body.scrollTop = 0 }")
        taken.append(_shoot(page, folder / "task.png"))
        browser.close()
    return taken


def _shoot(page: Page, path: Path) -> Path:
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=path)
    return path


def address(url: str) -> str:
    """The address without its token."""
    return url.partition("#")[0].rstrip("/")


def outvoted(url: str) -> str:
    """The id of the newest completed task in which somebody differed."""
    headers = {"authorization": f"Bearer {url.partition('#token=')[2]}"}
    request = urllib.request.Request(f"{address(url)}/api/v1/tasks?state=completed&limit=500", headers=headers)  # noqa: S310
    with urllib.request.urlopen(request) as reply:  # noqa: S310
        tasks = json.load(reply)["items"]
    return next(str(task["id"]) for task in tasks if task["dissent"])


def main(arguments: Sequence[str]) -> int:
    if len(arguments) not in (1, 2):
        sys.stderr.write("usage: screenshot.py FOLDER [URL#token=...]\n")
        return 2
    with contextlib.ExitStack() as stack:
        url = arguments[1] if len(arguments) == 2 else stack.enter_context(demo())
        for path in take(url, Path(arguments[0])):
            sys.stdout.write(f"{path} {path.stat().st_size // 1024} kB\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
