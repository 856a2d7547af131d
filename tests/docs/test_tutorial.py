"""The tutorial is run as a reader would: its blocks, in order, in an empty folder, against real processes.

A `sh` block is run by bash; `sh background` is started and left running, as in a terminal of its own; `sh again` is
repeated until it says what the page says; a `python` block is a program, a `yaml` block a job. A `text` block says what
the one before it prints, `…` standing for anything. Other blocks are to be read. The README and some how-to pages
are then run against the swarm that the tutorial leaves behind.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from processes import Processes, free_port, until

HOUSE = Path(__file__).parents[2]
TUTORIAL = HOUSE / "docs" / "tutorials" / "first-swarm.md"
BLOCK = re.compile(r"^```(\w+) ?(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SEEN = re.compile(r"^pid\s+\d+", re.MULTILINE)
QUORATE = Path(sys.executable).with_name("quorate")
STEP_S = 60.0

Block = tuple[str, str, str]

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="bwrap is not installed: nodes run no commands"),
]


def blocks_of(path: Path) -> list[Block]:
    """(language, word, text) of each fenced block."""
    return BLOCK.findall(path.read_text())


def fits(said: str, expected: str) -> bool:
    """Is this what the page says, line by line? `…` stands for anything, a line of its own for any lines."""
    lines = [re.escape(line.rstrip()).replace("…", ".*") for line in expected.rstrip("\n").split("\n")]
    pattern = "".join("(?:.*\n)*?" if line == ".*" else f"{line}[ \t]*\n" for line in lines)
    return re.fullmatch(pattern, said.rstrip("\n") + "\n") is not None


class Reader:
    """Someone who follows a page, in a folder of their own."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self.processes, self.folder = processes, folder
        self.port = str(free_port())
        path = f"{QUORATE.parent}{os.pathsep}{os.environ['PATH']}"
        self.env = {"PATH": path, "QUORATE_PORT": self.port, "QUORATE_URL": f"http://127.0.0.1:{self.port}"}
        self.env |= {"COLUMNS": "200", "NO_COLOR": "1"}
        self.nodes = 0
        self.token = ""

    def follow(self, blocks: list[Block]) -> int:
        """Run the blocks; how many were checked against what they should say."""
        checked = 0
        for at, (language, word, text) in enumerate(blocks):
            expected = blocks[at + 1][2] if at + 1 < len(blocks) and blocks[at + 1][0] == "text" else ""
            if language not in ("sh", "python", "yaml"):
                continue
            checked += bool(expected)
            if language == "yaml":
                (self.folder / "job.yaml").write_text(text)
                language, text = "sh", "quorate submit job.yaml --wait"
            if word == "background":
                self._start(self._mine(text))
            else:
                self._run(language, word, self._mine(text), expected)
        return checked

    def _mine(self, text: str) -> str:
        return text.replace("8080", self.port).replace("admin-…", self.token)  # the machine's own 8080 may be taken

    def _start(self, text: str) -> None:
        process = self.processes.start("bash", "-euc", text, name="terminal", env=self.env, cwd=self.folder)
        loop = re.search(r"for \w+ in ([\w ]+);", text)
        wanted = len(loop.group(1).split()) if loop else 1
        until(lambda: len(SEEN.findall(process.log())) >= wanted or not process.running, text, STEP_S)
        assert process.running, process.log()
        if "quorate node " in text:
            self.nodes += wanted
            until(lambda: self.online() == self.nodes, f"{self.nodes} nodes online", STEP_S)

    def online(self) -> int:
        token = (self.folder / "quorate-data" / "admin.token").read_bytes().hex()
        headers = {"authorization": f"Bearer admin-{token}"}
        asked = urllib.request.Request(f"{self.env['QUORATE_URL']}/api/v1/status", headers=headers)
        with urllib.request.urlopen(asked, timeout=STEP_S) as reply:
            return int(json.load(reply)["nodes"]["online"])

    def _say(self, language: str, text: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", "-euo", "pipefail", "-c", text] if language == "sh" else [sys.executable, "-c", text]
        both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.run(command, cwd=self.folder, env={**os.environ, **self.env}, timeout=STEP_S, **both)  # type: ignore[call-overload, no-any-return]

    def _run(self, language: str, word: str, text: str, expected: str) -> None:
        done = self._say(language, text)
        if word == "again":
            until(lambda: fits(self._say(language, text).stdout, expected), f"{text} says {expected}", STEP_S)
            return
        assert done.returncode == 0, f"{text}\n{done.stdout}"
        assert not expected or fits(done.stdout, expected), f"{text}\nsaid\n{done.stdout}\nnot\n{expected}"


@pytest.mark.timeout(240)  # some sixty processes, one after the other: half a minute on a machine of its own
def test_the_first_swarm_the_readme_and_how_to(processes: Processes, tmp_path: Path) -> None:
    reader = Reader(processes, tmp_path)
    assert reader.follow(blocks_of(TUTORIAL)) >= 8
    until(lambda: reader.online() == 4, "the nodes come back", STEP_S)
    reader.token = (tmp_path / "token.txt").read_text().strip()
    assert reader.follow(blocks_of(HOUSE / "README.md")) == 1
    for page in ("submit-jobs", "check-receipts-and-logs", "operate"):
        assert reader.follow(blocks_of(HOUSE / "docs" / "how-to" / f"{page}.md")) >= 1, page


def test_what_a_page_says_is_compared_line_by_line() -> None:
    assert fits("one\ntwo  \n", "one\ntwo")
    assert fits("id  4f\nstate  done\n", "…\nstate…done\n")
    assert fits("a\nb\nc\n", "a\n…\nc\n")
    assert fits("a\nc\n", "a\n…\nc\n")
    assert not fits("one\ntwo\nthree\n", "one\ntwo")
    assert not fits("state  failed\n", "state…completed")
    assert not fits("", "one")
