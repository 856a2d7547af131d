"""Documents keep up: the reference is what the code says, links lead somewhere, fragments make a changelog."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tidy.tree import Tree

HOUSE = Path(__file__).parents[2]
DECISIONS = HOUSE / "docs" / "decisions"
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(#[^)\s]*)?\)")


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"docs_{name}", HOUSE / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_what_the_code_says() -> None:
    command = [sys.executable, str(HOUSE / "docs" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"run `make docs`: {done.stdout}{done.stderr}"


def test_a_page_that_was_changed_by_hand_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate = _script("generate")
    monkeypatch.setattr(generate, "REFERENCE", tmp_path)
    assert generate.main(["--check"]) == 1
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    page = tmp_path / "errors.md"
    page.write_text(page.read_text().replace("404", "405"))
    assert generate.main(["--check"]) == 1


def test_the_pages_hold_every_code_kind_limit_and_message() -> None:
    from quorate.base import limits
    from quorate.base.errors import FAULTS
    from quorate.model import KINDS, MessageType

    reference = HOUSE / "docs" / "reference"
    assert all(f"| {code} |" in (reference / "errors.md").read_text() for code in FAULTS)
    assert all(f"`{kind}`" in (reference / "events.md").read_text() for kind in KINDS)
    assert all(f"`{number.name}`" in (reference / "messages.md").read_text() for number in MessageType)
    bounds = (reference / "limits.md").read_text()
    units = {"KIB", "MIB", "MS_NS", "SECOND_NS"}
    named = {name for name in vars(limits) if name.isupper() and not name.startswith("_")} - units
    assert [name for name in sorted(named) if f"`{name}`" not in bounds] == []


def test_the_pages_hold_every_operation_command_option_metric_and_job_key() -> None:
    import msgspec
    import typer

    from quorate.app.cli import app
    from quorate.services.coordinator import OPERATIONS, Observer
    from quorate.services.coordinator.operations.jobs import FileIn, JobIn, TaskIn

    page = {path.stem: path.read_text() for path in (HOUSE / "docs" / "reference").glob("*.md")}
    for operation in OPERATIONS:
        assert f"| `{operation.name}` |" in page["rest"]
        assert f"| `{operation.name}` |" in page["roles"]
    for family in Observer(lambda: 0, lambda *_, **__: None).registry.collect():
        assert f"`{family.name}" in page["metrics"]
    for kind in (JobIn, TaskIn, FileIn):
        assert all(f"| `{field.encode_name}` |" in page["jobs"] for field in msgspec.structs.fields(kind))
    waiting = [("quorate", typer.main.get_command(app))]
    while waiting:
        name, command = waiting.pop()
        children = getattr(command, "commands", {})
        waiting += [(f"{name} {word}", child) for word, child in children.items()]
        assert command.help, f"{name} says nothing of itself"
        if not children:
            section = page["cli"].split(f"\n## {name}\n")[1].split("\n## ")[0]
            for parameter in command.params:
                assert parameter.name == "help" or parameter.help, f"{name}: {parameter.name} says nothing of itself"
                assert parameter.name == "help" or f"`{parameter.opts[0]}`" in section


def test_an_environment_variable_of_this_machine_does_not_reach_the_pages() -> None:
    command = [sys.executable, str(HOUSE / "docs" / "generate.py"), "--check"]
    elsewhere = {**os.environ, "QUORATE_DATA": "elsewhere", "QUORATE_URL": "http://elsewhere.invalid"}
    done = subprocess.run(command, capture_output=True, text=True, env=elsewhere)
    assert done.returncode == 0, done.stdout


def test_every_link_between_documents_leads_somewhere() -> None:
    broken = []
    for path, text in Tree(HOUSE).texts.items():
        for target, _ in LINK.findall(text) if path.endswith(".md") else ():
            if "://" not in target and not target.startswith("mailto:"):
                there = (HOUSE / path).parent / target
                broken += [] if there.exists() else [f"{path}: {target}"]
    assert broken == []


def test_decisions_are_numbered_without_gaps_and_say_what_they_must() -> None:
    decisions = sorted(path for path in DECISIONS.glob("[0-9]*.md") if not path.name.startswith("0000"))
    assert [int(path.name[:4]) for path in decisions] == list(range(1, len(decisions) + 1))
    index = (HOUSE / "docs" / "README.md").read_text()
    for path in decisions:
        text = path.read_text()
        assert text.startswith(f"# {path.name[:4]} "), path.name
        assert all(f"\n## {part}\n" in text for part in ("Context", "Decision", "Consequences")), path.name
        assert len(text.splitlines()) <= 50, f"{path.name}: half a page"
        assert f"decisions/{path.name}" in index, f"{path.name} is not in docs/README.md"


def test_the_fragments_at_hand_make_a_section() -> None:
    changelog = _script("changelog")
    assert changelog.section(changelog.fragments(HOUSE / "changelog.d"))


def test_a_release_moves_fragments_into_the_changelog(tmp_path: Path) -> None:
    changelog = _script("changelog")
    folder = tmp_path / "changelog.d"
    folder.mkdir()
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{changelog.MARK}\n## 0.1.0\n\n### Added\n\n- Old.\n")
    (folder / "README.md").write_text("# Fragments\n")
    (folder / "b.fixed.md").write_text("B is\nfixed.\n")
    (folder / "a.added.md").write_text("A is new.\n")
    changelog.release(tmp_path, "0.2.0")
    assert (tmp_path / "CHANGELOG.md").read_text() == (
        f"# Changelog\n\n{changelog.MARK}\n## 0.2.0\n\n### Added\n\n- A is new.\n\n### Fixed\n\n- B is fixed.\n"
        "\n## 0.1.0\n\n### Added\n\n- Old.\n"
    )
    assert [path.name for path in folder.iterdir()] == ["README.md"]
    with pytest.raises(ValueError, match="nothing to do"):
        changelog.release(tmp_path, "0.3.0")


@pytest.mark.parametrize(("name", "text"), [("New.md", "x"), ("a.better.md", "x"), ("a.added.md", " \n")])
def test_a_fragment_that_is_none_is_refused(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=re.escape(name)):
        _script("changelog").fragments(tmp_path)


@pytest.mark.parametrize("version", ["", "1", "v1.0.0", "1.0.0-rc"])
def test_a_version_that_is_none_is_refused(version: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a version"):
        _script("changelog").release(tmp_path, version)


def _named(text: str) -> set[str]:
    """Whatever a document sets as code outside its fenced blocks."""
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)))


def test_what_the_architecture_names_is_in_the_code() -> None:
    named = _named((HOUSE / "ARCHITECTURE.md").read_text())
    files = {name for name in named if re.fullmatch(r"[\w./]+\.(py|ts|md)|[\w/]+/", name)}
    assert len(files) > 40
    roots = (HOUSE / "src" / "quorate", HOUSE)
    assert sorted(name for name in files if "/" in name and not any((root / name).exists() for root in roots)) == []
    source = "\n".join(path.read_text() for path in sorted((HOUSE / "src" / "quorate").rglob("*.py")))
    code, invariant = re.compile(r"_?[A-Za-z]\w*(\._?[a-z]\w*)?"), re.compile(r"[A-Z]\d")
    words = {
        name.rpartition(".")[2] for name in named - files if code.fullmatch(name) and not invariant.fullmatch(name)
    }
    assert len(words) > 60
    found = re.findall(r"^\s*(?:async def|def|class) (\w+)|^\s*(\w+)\s*(?::|=)|\"(\w+)\"", source, re.MULTILINE)
    rooms = {path.name for path in (HOUSE / "src" / "quorate").iterdir()} | {"protocols", "packs"}
    assert sorted(words - {one for names in found for one in names} - rooms) == []
