"""The dashboard in a real browser, over a real coordinator and real nodes, one of which lies.

One swarm serves the tests that only look; those that take it apart start their own. A page that says anything
on its console, or throws, fails its test.
"""

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from processes import Process, Processes, until

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUORATE = str(Path(sys.executable).with_name("quorate"))
HONEST, LIAR = ("ada", "bea", "cyd"), "mallory"
WIDE, NARROW = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
PATIENCE_MS = 20_000
Open = Callable[..., Any]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.services,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


class Swarm:
    """A coordinator, its nodes, and the jobs that the tests look at."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self.processes, self.folder = processes, folder
        self.coordinator = self.up(0)

    def up(self, port: int) -> Process:
        data = str(self.folder / "coordinator")
        asked = ("up", "--json", "--data", data, "--port", str(port), "--name", "test", "--log-level", "warning")
        process = self.processes.start(QUORATE, *asked, name="coordinator")
        said = json.loads(process.line(r"^\{.*\}$").group(0))
        assert "url" in said, said
        self.url, self.token = said["url"], said["token"]
        return process

    def node(self, name: str, *options: str) -> Process:
        token = self.call("POST", "/nodes/register", {"label": name})["token"]
        data = str(self.folder / name)
        asked = ("node", self.url, "--json", "--token", token, "--data", data, "--name", name, "--slots", "4")
        process = self.processes.start(QUORATE, *asked, "--log-level", "warning", *options, name=name)
        process.line(r"^\{.*\}$")
        return process

    def call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/v1{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)

    def submit(self, name: str, *tasks: dict[str, Any], wait: bool = True, **defaults: Any) -> dict[str, Any]:
        submitted: dict[str, Any] = self.call(
            "POST", "/jobs", {"name": name, "tasks": list(tasks), "defaults": {"executor": "noop", **defaults}}
        )
        if wait:
            job = self.call("GET", f"/jobs/{submitted['jobId']}/wait?timeoutMs=30000")
            assert job["state"] == "completed", job
        return submitted


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    """Three honest nodes, a liar, a job that the liar took part in, and a task that nobody can run."""
    folder = tmp_path_factory.mktemp("swarm")
    with Processes(folder / "logs") as processes:
        swarm = Swarm(processes, folder)
        for name in HONEST[:2]:
            swarm.node(name)
        swarm.node(LIAR, "--drill", "lie=1000")
        swarm.node(HONEST[2])
        until(lambda: swarm.call("GET", "/status")["nodes"]["online"] == 4, "four nodes are online")
        sums = [{"name": f"sum {n}", "input": {"numbers": [n, n + 1]}} for n in range(6)]
        swarm.tasks = swarm.submit("sums", *sums, replicas=4, quorum=2)["tasks"]  # type: ignore[attr-defined]
        swarm.submit("waiting", {"name": "nobody can", "needs": ["a quantum computer"]}, wait=False)
        yield swarm


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Open]:
    """Opens a page; afterwards it must have said nothing wrong. `allowed`: a pattern of what it may say."""
    pages: list[tuple[Any, list[str], str]] = []

    def visit(url: str, *, viewport: dict[str, int] = WIDE, scheme: str = "light", allowed: str = "$^") -> Any:
        context = browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce")
        page, said = context.new_page(), []
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda m: said.append(f"{m.type}: {m.text}") if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(f"thrown: {error}"))
        pages.append((context, said, allowed))
        page.goto(url, wait_until="load")
        return page

    yield visit
    for context, said, allowed in pages:
        context.close()
        assert [line for line in said if not re.search(allowed, line)] == []


def home(swarm: Swarm) -> str:
    return f"{swarm.url}/#token={swarm.token}"


def connected(page: Any) -> Any:
    page.locator("#health[data-state=connected]").wait_for()
    return page


def expect(locator: Any) -> Any:
    return playwright.expect(locator)


def row(page: Any, name: str) -> Any:
    return page.locator("#tasks-list tr").filter(has_text=name)


def overflows(page: Any) -> list[str]:
    """Elements that reach beyond the right edge of the page, where nothing around them scrolls or cuts."""
    found: list[str] = page.evaluate(
        """() => {
          const scrolls = (one) => {
            for (let up = one.parentElement; up; up = up.parentElement)
              if (getComputedStyle(up).overflowX !== 'visible') return true;
            return false;
          };
          const wide = document.documentElement.clientWidth;
          const beyond = (one) => one.getBoundingClientRect().right > wide + 1;
          const out = [...document.querySelectorAll('body *')].filter(
            (one) => beyond(one) && !scrolls(one) && !one.closest('.hidden'));
          const names = out.map((one) => `${one.tagName}.${one.className}#${one.id}`);
          const full = document.documentElement.scrollWidth;
          return full > wide ? [...names, `the page: ${full} > ${wide}`] : names;
        }"""
    )
    return found


def test_the_address_opens_the_page_and_forgets_the_token(swarm: Swarm, visit: Open) -> None:
    page = connected(visit(home(swarm)))
    assert swarm.token not in page.url
    expect(page.locator("#realm")).to_contain_text("test")
    expect(page.locator("#head-cosigned")).to_have_text("4 of 4 cosigned")
    page.reload()
    connected(page)


def test_the_tiles_count_what_happened(swarm: Swarm, visit: Open) -> None:
    page = connected(visit(home(swarm)))
    tile = page.locator("#tiles .tile")
    expect(tile.filter(has_text="Tasks done").locator(".value")).to_have_text("6")
    expect(tile.filter(has_text="Tasks done").locator(".note")).to_have_text(re.compile(r"of \d+"))
    caught = swarm.call("GET", "/status")["rejected"]
    assert caught > 0
    expect(tile.filter(has_text="Wrong results caught").locator(".value")).to_have_text(str(caught))
    expect(tile.filter(has_text="Wrong results caught")).to_have_attribute("data-alert", "")
    assert tile.count() == 6


def test_the_liar_is_marked_in_words_and_nobody_else(swarm: Swarm, visit: Open) -> None:
    page = connected(visit(home(swarm)))
    page.locator(".node[data-differed]").wait_for()
    assert page.locator(".node[data-differed] .name").all_inner_texts() == [LIAR]
    expect(page.locator(".node[data-differed] .differed")).to_have_text(re.compile(r"differed (once|\d+ times)"))
    expect(page.locator(".node .name")).to_have_text(sorted((*HONEST, LIAR)))
    page.locator(".node[data-differed] .name").click()
    sheet = page.locator("#sheet[open]")
    expect(sheet.locator(".differed")).to_be_visible()
    expect(sheet).to_contain_text("0 agreed")


def contested(swarm: Swarm) -> tuple[str, str]:
    """(name, id) of a task in which the liar was outvoted."""
    for name, id in sorted(swarm.tasks.items()):  # type: ignore[attr-defined]
        if swarm.call("GET", f"/tasks/{id}")["dissent"]:
            return name, id
    raise AssertionError("the liar took part in no task")


def test_a_task_shows_who_agreed_and_how_the_liar_differed(swarm: Swarm, visit: Open) -> None:
    name, id = contested(swarm)
    page = connected(visit(home(swarm)))
    row(page, name).locator("a.name").click()
    sheet = page.locator("#sheet[open]")
    expect(page.locator("#sheet-title")).to_have_text(name)
    expect(sheet.locator(".answer[data-verdict=agreed] li").first).to_contain_text(re.compile("|".join(HONEST)))
    expect(sheet.locator(".answer[data-verdict=differed] li")).to_contain_text([LIAR])
    attempts = swarm.call("GET", f"/tasks/{id}")["attempts"]
    expect(sheet.locator(".attempts > li")).to_have_count(len(attempts))
    sheet.get_by_role("button", name="Compare outputs").click()
    mark = sheet.locator(".output mark")
    expect(mark).to_have_count(2)
    assert mark.nth(0).inner_text() != mark.nth(1).inner_text()


def test_the_receipt_that_the_page_gives_verifies(swarm: Swarm, visit: Open, tmp_path: Path) -> None:
    name, id = contested(swarm)
    page = connected(visit(home(swarm)))
    row(page, name).locator("a.name").click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download receipt").click()
    path = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(path)
    done = subprocess.run([QUORATE, "receipt", "verify", str(path), "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["task"] == id
    altered = path.with_name("altered.json")
    altered.write_text(path.read_text().replace('"position":', '"position":1', 1))
    assert subprocess.run([QUORATE, "receipt", "verify", str(altered)], capture_output=True).returncode == 1


def test_tasks_are_found_by_state_job_and_text(swarm: Swarm, visit: Open) -> None:
    page = connected(visit(home(swarm)))
    rows, job = page.locator("#tasks-list tr"), page.locator("#tasks-job")
    expect(page.locator(".job .name").filter(has_text="sums")).to_be_visible()
    job.select_option(label="waiting (1)")
    expect(rows.locator(".name")).to_have_text(["nobody can"])
    page.locator("#tasks-state").select_option("completed")
    expect(page.locator("#tasks-empty")).to_have_text("No task matches.")
    job.select_option(label="sums (6)")
    expect(rows).to_have_count(6)
    page.locator("#tasks-state").select_option("queued")
    expect(rows).to_have_count(0)
    page.locator("#tasks-state").select_option("")
    page.locator("#tasks-text").fill("sum 3")
    expect(rows.locator(".name")).to_have_text(["sum 3"])


def test_events_arrive_while_one_looks_and_hold_still_when_asked(swarm: Swarm, visit: Open) -> None:
    page = connected(visit(home(swarm)))
    events = page.locator("#events-list .event")
    events.first.wait_for()
    page.locator("#events-kind").select_option("task.settled")
    expect(events).to_have_count(6)
    page.locator("#events-kind").select_option("")
    swarm.call("POST", "/events", {"type": "first", "data": 1})
    expect(events.first).to_contain_text("note")
    page.locator("#events-pause").click()
    before = events.first.inner_text()
    swarm.call("POST", "/events", {"type": "second", "data": 2})
    expect(page.locator("#events-meta")).to_contain_text("Paused · 1 new event")
    assert events.first.inner_text() == before
    page.locator("#events-pause").click()
    expect(events.first).not_to_have_text(before)


def test_names_with_markup_stay_text(swarm: Swarm, visit: Open) -> None:
    name = "<img src=x onerror=alert(1)> & <b>bold</b>"
    job = swarm.submit("<i>slanted</i>", {"name": name, "needs": ["nobody has this"]}, wait=False)
    try:
        page = connected(visit(home(swarm)))
        page.on("dialog", lambda dialog: pytest.fail(f"the page ran what it was sent: {dialog.message}"))
        row(page, "onerror").locator("a.name").click()
        expect(page.locator("#sheet-title")).to_have_text(name)
        assert page.locator("main img, dialog img, .name i, #sheet-title b").count() == 0
    finally:
        swarm.call("DELETE", f"/jobs/{job['jobId']}")


def test_a_task_is_cancelled_after_asking_twice(swarm: Swarm, visit: Open) -> None:
    swarm.submit("doomed", {"name": "to be cancelled", "needs": ["nothing has this"]}, wait=False)
    page = connected(visit(home(swarm)))
    row(page, "to be cancelled").locator("a.name").click()
    button = page.locator("#sheet .danger")
    button.click()
    expect(button).to_have_text("Press again to cancel it")
    expect(page.locator("#sheet .standing .chip")).to_have_text("queued")
    button.click()
    expect(page.locator("#sheet .standing .chip")).to_have_text("cancelled")
    expect(page.locator("#sheet")).to_contain_text("cancelled by first admin")
    expect(button).to_be_hidden()
    expect(row(page, "to be cancelled").locator(".chip")).to_have_text("cancelled")


def test_a_refused_token_is_asked_for_again(swarm: Swarm, visit: Open) -> None:
    page = visit(f"{swarm.url}/#token=admin-{'0' * 48}", allowed="401")
    dialog = page.locator("#ask[open]")
    dialog.wait_for()
    expect(page.locator("#health")).to_have_attribute("data-state", "refused")
    page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    page.locator("#ask-token").fill("wrong again")
    page.locator("#ask-open").click()
    expect(page.locator("#ask-fault")).not_to_be_empty()
    page.locator("#ask-token").fill(swarm.token)
    page.keyboard.press("Enter")
    connected(page)
    expect(dialog).to_be_hidden()


def test_without_a_token_the_page_asks_for_one_and_shows_nothing(swarm: Swarm, visit: Open) -> None:
    page = visit(swarm.url)
    page.locator("#ask[open]").wait_for()
    assert page.locator("#nodes-list li, #tasks-list tr, #events-list li").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_nothing_leaves_the_page_sideways(swarm: Swarm, visit: Open, viewport: dict[str, int], scheme: str) -> None:
    name, _ = contested(swarm)
    page = connected(visit(home(swarm), viewport=viewport, scheme=scheme))
    page.locator(".node[data-differed]").wait_for()
    row(page, name).wait_for()
    assert overflows(page) == []
    row(page, name).locator("a.name").click()
    page.get_by_role("button", name="Download receipt").wait_for()
    page.get_by_role("button", name="Compare outputs").click()
    page.locator(".output mark").first.wait_for()
    assert overflows(page) == []
    red, green, blue = map(
        int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))[:3]
    )
    assert (red + green + blue < 3 * 80) == (scheme == "dark")


def test_the_theme_is_chosen_and_kept(swarm: Swarm, visit: Open) -> None:
    page = connected(visit(home(swarm)))
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(ground)
    for _ in range(2):
        page.locator("#theme").click()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert page.evaluate(ground) != light
    page.reload()
    connected(page)
    assert page.locator("html").get_attribute("data-theme") == "dark"


def test_everything_is_reached_by_keyboard(swarm: Swarm, visit: Open) -> None:
    name, _ = contested(swarm)
    page = connected(visit(home(swarm)))
    focused = "document.activeElement.id || document.activeElement.className || document.activeElement.textContent"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate(focused) == "main"
    link = row(page, name).locator("a.name")
    link.focus()
    page.keyboard.press("Enter")
    page.locator("#sheet[open]").wait_for()
    page.get_by_role("button", name="Download receipt").wait_for()
    for _ in range(40):  # focus goes round inside the sheet, or to the browser's own controls: never behind it
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('#sheet')")
    page.keyboard.press("Escape")
    expect(page.locator("#sheet")).to_be_hidden()
    assert page.evaluate("document.activeElement.textContent") == name


def test_the_reference_page_shows_every_operation(swarm: Swarm, visit: Open) -> None:
    page = visit(f"{swarm.url}/docs", viewport=NARROW)
    with urllib.request.urlopen(f"{swarm.url}/docs/openapi.json") as reply:
        paths = json.load(reply)["paths"]
    assert page.locator("details").count() == sum(len(methods) for methods in paths.values())
    page.locator("details").filter(has_text="/api/v1/jobs").first.locator("summary").click()
    assert overflows(page) == []


def test_a_restart_is_waited_for(processes: Processes, tmp_path: Path, visit: Open) -> None:
    swarm = Swarm(processes, tmp_path)
    page = connected(visit(home(swarm), allowed="ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY|Failed to load resource"))
    assert swarm.coordinator.stop() == 0
    page.locator("#health[data-state=reconnecting]").wait_for()
    swarm.coordinator = swarm.up(int(swarm.url.rpartition(":")[2]))
    connected(page)
    swarm.call("POST", "/events", {"type": "after", "data": "the restart"})
    expect(page.locator("#events-list .event").first).to_contain_text("note")
