"""The demo on a small directory: the liar is caught, the killed node comes back, the receipt holds."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from quorate.app.demo.analyse import analyse


@pytest.mark.services
@pytest.mark.timeout(150)
def test_the_demo_accepts_nothing_wrong_and_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(40):
        (folder / f"f{number}.py").write_text(f"# file {number}\nx = {number}\n" * (number + 1))
    argv = [
        sys.executable,
        "-m",
        "quorate",
        "demo",
        "--dir",
        str(folder),
        "--work-dir",
        str(tmp_path / "demo"),
        "--json",
    ]
    told = subprocess.run(argv, capture_output=True, text=True, timeout=140, check=False)
    assert told.returncode == 0, told.stdout[-3000:] + told.stderr[-3000:]
    outcome = json.loads(next(line for line in told.stdout.splitlines() if line.startswith('{"ok"')))
    assert outcome["ok"] and outcome["completed"] == outcome["tasks"] == 41
    assert outcome["wrongAccepted"] == 0 and outcome["missing"] == 0
    assert outcome["wrongCaught"] >= 1 and outcome["liarReputation"] < outcome["honestReputation"]
    assert outcome["receiptVerified"] and outcome["logVerified"]
    receipt = Path(outcome["receipt"])
    receipt.write_text(receipt.read_text().replace('"position":', '"position":1', 1))
    verify = [sys.executable, "-m", "quorate", "receipt", "verify", str(receipt)]
    assert subprocess.run(verify, capture_output=True, timeout=30, check=False).returncode == 1


def test_the_demo_leaves_a_directory_that_is_not_its_own_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("x")
    argv = [sys.executable, "-m", "quorate", "demo", "--dir", str(tmp_path), "--work-dir", str(tmp_path / "mine")]
    told = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert told.returncode == 1 and "1006" in told.stderr
    assert (tmp_path / "mine" / "precious").exists()


def test_what_the_demo_computes() -> None:
    found = json.loads(analyse(b"import os\nimport os\n", python=True))
    assert found["bytes"] == 20 and found["lines"] == 2 and found["words"] == {"import": 2} and found["nodes"] == 5
    assert json.loads(analyse(b"def (", python=True))["nodes"] is None
