"""What every test shares: seeded Hypothesis, golden files, real processes, and an honest last line.

The run says by name what this machine lacks and what was therefore not tested, and ends with plain
counts, so that a reader (or a script) need not parse anything else.
"""

import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from live import Live
from processes import Processes

settings.register_profile("quorate", derandomize=True, deadline=None, database=None, print_blob=True)
settings.register_profile("soak", settings.get_profile("quorate"), max_examples=2_000)
settings.load_profile("quorate")

SERVICES = {  # program: what is not tested without it
    "bwrap": "the sandbox",
    "chromium": "the dashboard in a browser",
    "node": "that the dashboard's bundle is built from its source",
}
DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite", action="store_true", help="write golden files anew; read the difference before committing"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs longer, unless `-m` asks for something."""
    if config.getoption("markexpr"):
        return
    longer = [item for item in items if item.get_closest_marker("soak")]
    config.hook.pytest_deselected(items=longer)
    items[:] = [item for item in items if item not in longer]


def missing() -> list[str]:
    """One line for each thing that tests would use and that is not here."""
    lines = [
        f"{program} is not installed: no test of {what}"
        for program, what in SERVICES.items()
        if not shutil.which(program)
    ]
    if not DATA.is_dir():
        lines.append("../shared/data is not here: no test on real data sets")
    return lines


def pytest_report_header(config: pytest.Config) -> list[str]:
    return missing()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    skipped = sorted({(report.nodeid, _reason(report)) for report in terminalreporter.stats.get("skipped", [])})
    if skipped or missing():
        terminalreporter.section("not tested here")
    for line in missing():
        terminalreporter.write_line(line)
    for nodeid, reason in skipped:
        terminalreporter.write_line(f"skipped {nodeid}: {reason}")


def _reason(report: Any) -> str:
    where = report.longrepr
    return str(where[2] if isinstance(where, tuple) else where).removeprefix("Skipped: ")


def pytest_unconfigure(config: pytest.Config) -> None:
    """The last line, in counts alone. Errors in set-up count as failures."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput") or config.option.collectonly:
        return
    count = {name: len(reporter.stats.get(name, [])) for name in ("passed", "failed", "error", "skipped")}
    failed = count["failed"] + count["error"]
    reporter.write_line(f"{count['passed']} passed, {failed} failed, {count['skipped']} skipped")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the processes of a failed test printed."""
    report = yield
    running = getattr(item, "funcargs", {}).get("processes")
    if report.failed and running is not None:
        report.sections.extend((f"log of {one.name}", one.log()[-20_000:]) for one in running.started)
    return report


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Starts real processes; whatever still runs at the end of the test is ended, and shown if the test failed."""
    with Processes(tmp_path / "logs") as running:
        yield running


@pytest.fixture(scope="session")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One coordinator and two nodes as processes, shared by the tests of a worker: what a test makes is its own."""
    place = tmp_path_factory.mktemp("swarm")
    with Processes(place / "logs") as running:
        live = Live(running, place / "data", "--cors", "https://elsewhere.example")
        for name in ("ada", "bob"):
            live.node(name, "--slots", "4")
        yield live


@pytest.fixture
def rewrite(request: pytest.FixtureRequest) -> bool:
    """True under `--rewrite`: golden files are to be written, not only compared."""
    return bool(request.config.getoption("--rewrite"))
