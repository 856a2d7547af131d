"""Benchmarks: a result has the form that readers of it rely on; the ids are those that there are; a quick one runs."""

import asyncio
import json
import re
from pathlib import Path

import msgspec
import pytest
from websockets.frames import Frame
from websockets.streams import StreamReader

from quorate.app import bench
from quorate.app.bench.figures import figure, quantile, ratio
from quorate.app.bench.load import Connection, Outcome
from quorate.app.bench.ws_clients import text_frame
from quorate.base.errors import NOT_FOUND, InvariantBroken, QuorateError

HOUSE = Path(__file__).parents[2]
RESULTS = sorted((HOUSE / "benchmarks" / "results").glob("*.json"))


def _check(path: Path) -> bench.Report:
    report = msgspec.json.decode(path.read_bytes(), type=bench.Report)
    assert report.bench == path.stem
    assert report.bench in bench.BENCHMARKS
    assert report.machine["cores"]
    assert re.fullmatch(r"([0-9a-f]{40}\+?)?", report.commit)
    assert report.figures
    for one in report.figures:
        assert bench.TARGETS[one.id].unit == one.unit
        assert one.min <= one.value <= one.max
        assert one.runs >= 1
        assert one.note
        for peer in one.peers:
            assert f" x {peer}" in one.note
    return report


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_a_result_that_is_kept_has_the_form_of_a_result(path: Path) -> None:
    report = _check(path)
    assert not report.machine["quick"], "a quick look is no figure"


def test_every_benchmark_is_explained() -> None:
    text = (HOUSE / "benchmarks" / "README.md").read_text()
    assert [name for name in bench.BENCHMARKS if f"| `{name}` |" not in text] == []


@pytest.mark.services
def test_footprint_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main("footprint", True, tmp_path, True) == 0
    report = _check(tmp_path / "footprint.json")
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "footprint.json").read_text())
    assert {one.id for one in report.figures} == {id for id in bench.TARGETS if id.startswith("footprint.")}
    assert report.machine["quick"]


def test_a_name_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(QuorateError) as caught:
        bench.main("weather", True, tmp_path, True)
    assert caught.value.code == NOT_FOUND
    assert "dispatch" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_figure_is_a_median_with_its_peers_and_their_ratio() -> None:
    one = figure("dispatch.tasks_s", [300.0, 100.0, 200.0], "as said", {"peer": [100.0, 100.0, 50.0]}, 1234.567)
    assert (one.value, one.min, one.max, one.runs) == (200.0, 100.0, 300.0, 3)
    assert (one.limit, one.peers) == (1235.0, {"peer": 100.0})
    assert one.note == "as said; 2.00 (1.00 to 4.00) x peer"


def test_an_id_that_nobody_knows_is_no_figure() -> None:
    with pytest.raises(InvariantBroken):
        figure("dispatch.vibes", [1.0], "no")


def test_neighbours_in_time_are_compared() -> None:
    assert ratio([2.0, 4.0, 6.0], [1.0, 4.0, 2.0]) == "2.00 (1.00 to 3.00) x"


def test_quantiles_are_values_that_were_measured() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert (quantile(values, 0.95), quantile(values, 0.5), quantile(values, 1.0)) == (95.0, 50.0, 100.0)
    assert quantile([7.0], 0.95) == 7.0


class Wire:
    """A transport that remembers what was written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.closed = True


async def _drive(pieces: list[bytes]) -> tuple[Wire, Outcome]:
    wire, outcome = Wire(), Outcome(0.0, {}, [])
    connection = Connection(iter([b"one", b"two"]), outcome, asyncio.get_running_loop().create_future())
    connection._transport = wire  # type: ignore[assignment]
    connection.go()
    for piece in pieces:
        connection.data_received(piece)
    return wire, outcome


def test_the_generator_sends_the_next_request_only_when_an_answer_is_whole() -> None:
    answer = b"HTTP/1.1 201 Created\r\ncontent-length: 5\r\n\r\nhello"
    wire, outcome = asyncio.run(_drive([answer[:20], answer[20:-1]]))
    assert (wire.written, outcome.statuses) == ([b"one"], {})
    wire, outcome = asyncio.run(_drive([answer[:-1], answer[-1:], b"HTTP/1.1 404 Not Found\r\n\r\n"]))
    assert (wire.written, wire.closed) == ([b"one", b"two"], True)
    assert outcome.statuses == {201: 1, 404: 1}
    assert len(outcome.latencies_ms) == 2


def test_a_frame_is_one_that_a_server_reads() -> None:

    for data in (b"x" * 5, b"y" * 125, b"z" * 126, b"w" * 60_000):
        stream = StreamReader()
        stream.feed_data(text_frame(data))
        reading = Frame.parse(stream.read_exact, mask=True)
        with pytest.raises(StopIteration) as done:
            next(reading)
        assert done.value.value.data == data
