"""The committed dashboard is what its source builds, fits under its limits, and asks nobody but its own server."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
STATIC = ROOT / "src" / "quorate" / "edges" / "http" / "static"
BUNDLE_MAX_BYTES = 150_000
INSTALL_S = 80
BUILD_S = 60

Files = dict[str, bytes]


def files_below(folder: Path) -> Files:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def differences(built: Files, committed: Files) -> list[str]:
    """Names of files that are missing, extra or unequal."""
    return sorted(name for name in built.keys() | committed.keys() if built.get(name) != committed.get(name))


def locked_versions(lock: Path) -> dict[str, str]:
    packages = json.loads(lock.read_text())["packages"]
    return {path: entry["version"] for path, entry in packages.items() if path and not entry.get("optional")}


def installed(web: Path) -> bool:
    """Whether `node_modules` holds exactly what the lock file names for every platform."""
    record = web / "node_modules" / ".package-lock.json"
    return record.is_file() and locked_versions(record) == locked_versions(web / "package-lock.json")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of `web/` that can be built, in a checkout-like place; skips where the tools are missing."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    place = tmp_path_factory.mktemp("checkout")
    shutil.copytree(WEB, place / "web", ignore=shutil.ignore_patterns("node_modules", "dist"))
    if installed(WEB):
        (place / "web" / "node_modules").symlink_to(WEB / "node_modules", target_is_directory=True)
        return place
    command = ["npm", "ci", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(command, cwd=place / "web", capture_output=True, text=True, timeout=INSTALL_S)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm could not install web/'s packages within {INSTALL_S} s")
    if done.returncode:
        pytest.skip(f"npm could not install web/'s packages: {done.stderr.strip()[-200:]}")
    return place


def build(place: Path) -> Files:
    done = subprocess.run(["npm", "run", "build"], cwd=place / "web", capture_output=True, text=True, timeout=BUILD_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return files_below(place / "src" / "quorate" / "edges" / "http" / "static")


@pytest.fixture(scope="module")
def built(workshop: Path) -> Files:
    return build(workshop)


def test_the_committed_bundle_is_what_the_source_builds(built: Files) -> None:
    assert differences(built, files_below(STATIC)) == [], "run `npm run build` in web/ and commit the result"


def test_a_changed_source_is_found(workshop: Path, built: Files) -> None:
    page = workshop / "web" / "index.html"
    before = page.read_text()
    page.write_text(before.replace("Skip to content", "Skip to the content"))
    try:
        assert differences(build(workshop), built) == ["index.html"]
    finally:
        page.write_text(before)


def test_building_twice_gives_the_same_bytes(workshop: Path, built: Files) -> None:
    assert differences(build(workshop), built) == []


def test_the_bundle_has_stable_names_and_is_small() -> None:
    files = files_below(STATIC)
    assert set(files) == {"index.html", "assets/app.css", "assets/app.js", "assets/icon.svg", "assets/licenses.txt"}
    assert sum(map(len, files.values())) < BUNDLE_MAX_BYTES


def test_the_page_needs_nothing_that_a_strict_policy_forbids() -> None:
    page = (STATIC / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\ssrc=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:", page) == []
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert addresses
    assert [a for a in addresses if not a.startswith(("./assets/", "#"))] == []


@pytest.mark.parametrize("name", ["assets/app.js", "assets/app.css"])
def test_no_other_host_is_named(name: str) -> None:
    text = (STATIC / name).read_text()
    assert re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", text) == []


def test_text_from_the_swarm_can_only_enter_as_text() -> None:
    """No way to turn a string into markup or code exists in the page's own source."""
    ways = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment"
        r"|\beval\(|new Function"
    )
    found = [
        f"{path.name}: {way}" for path in sorted(WEB.glob("src/**/*.ts")) for way in ways.findall(path.read_text())
    ]
    assert found == []


def test_the_lock_file_names_no_registry() -> None:
    packages = json.loads((WEB / "package-lock.json").read_text())["packages"]
    assert packages
    assert [path for path, entry in packages.items() if "resolved" in entry] == []
    assert [path for path, entry in packages.items() if path and not entry.get("integrity")] == []
