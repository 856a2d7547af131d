"""Takes the pictures in docs/images/: a real swarm at work, its liar caught. Usage: screenshot.py FOLDER [URL].

Without a URL it runs `quorate demo` for the occasion; with one (its `#token=…` included) it looks at what runs
there. Uses the chromium that is installed; downloads nothing.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PICTURES = {  # name: width, height, colour scheme, what is open
    "dashboard": (1280, 860, "light", ""),
    "dashboard-dark": (1280, 860, "dark", ""),
    "dashboard-narrow": (390, 844, "light", ""),
    "dashboard-narrow-dark": (390, 844, "dark", ""),
    "task": (1280, 860, "light", "task"),
    "task-narrow": (390, 844, "dark", "task"),
    "reference": (1280, 860, "light", "reference"),
}
LIAR = ".node[data-differed]"
OUTVOTED = "#tasks-list tr:has(.differed:not([hidden])) a.name"
CAUGHT_MS = 90_000
SETTLE_MS = 2_500  # charts fill in after the first answers


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
        for name, (width, height, scheme, shown) in PICTURES.items():
            page = browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme=scheme,  # type: ignore[arg-type]
                reduced_motion="reduce",
            )
            _show(page, url, shown)
            path = folder / f"{name}.png"
            page.screenshot(path=path)
            page.close()
            taken.append(path)
        browser.close()
    return taken


def _show(page: Page, url: str, shown: str) -> None:
    if shown == "reference":
        page.goto(url.partition("#")[0].rstrip("/") + "/docs", wait_until="load")
        return
    page.goto(url, wait_until="load")
    page.locator(LIAR).first.wait_for(timeout=CAUGHT_MS)
    page.wait_for_timeout(SETTLE_MS)
    if shown == "task":
        page.locator(OUTVOTED).first.click(timeout=CAUGHT_MS)
        page.get_by_role("button", name="Compare outputs").first.click()
        page.get_by_role("button", name="Download receipt").wait_for()
        page.locator("#sheet-body").evaluate("body => { body.scrollTop = 0 }")
        page.wait_for_timeout(SETTLE_MS)


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
