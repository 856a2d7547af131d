"""Key files: made whole, read only when nobody else could have."""

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from quorate.adapters import keyfile
from quorate.adapters.keyfile import load_or_create_key, load_or_create_secret
from quorate.base.errors import DATABASE, UNAUTHENTICATED, QuorateError
from quorate.base.signing import Ed25519Signer, verify


def test_a_key_is_made_once_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "new" / "node.key"
    first = load_or_create_key(path)
    second = load_or_create_key(path)
    assert first.public == second.public
    assert verify(first.public, b"message", second.sign(b"message"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert Ed25519Signer(path.read_bytes()).public == first.public
    assert os.listdir(path.parent) == ["node.key"], "no draft stays behind"
    assert load_or_create_key(tmp_path / "other.key").public != first.public


def test_a_secret_has_the_size_asked_for(tmp_path: Path) -> None:
    secret = load_or_create_secret(tmp_path / "token", 20)
    assert len(secret) == 20
    assert load_or_create_secret(tmp_path / "token", 20) == secret


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o610])
def test_a_key_that_others_may_reach_is_refused_and_left_alone(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "node.key"
    load_or_create_key(path)
    path.chmod(mode)
    with pytest.raises(QuorateError) as caught:
        load_or_create_key(path)
    assert caught.value.code == UNAUTHENTICATED
    assert "chmod 600" in caught.value.hint
    assert stat.S_IMODE(path.stat().st_mode) == mode
    path.chmod(0o400)
    load_or_create_key(path)


@pytest.mark.parametrize("size", [0, 31, 33, 4096])
def test_a_key_of_the_wrong_size_is_refused_and_left_alone(tmp_path: Path, size: int) -> None:
    path = tmp_path / "node.key"
    path.write_bytes(bytes(size))
    path.chmod(0o600)
    with pytest.raises(QuorateError, match=f"{size} bytes") as caught:
        load_or_create_key(path)
    assert caught.value.code == UNAUTHENTICATED
    assert path.read_bytes() == bytes(size)


def _link_to_key(path: Path) -> None:
    load_or_create_key(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def _dangling_link(path: Path) -> None:
    path.symlink_to(path.with_name("target-that-would-be-made"))


@pytest.mark.parametrize("plant", [_link_to_key, _dangling_link, os.mkfifo, os.mkdir])
def test_what_is_no_plain_file_is_refused(tmp_path: Path, plant: Callable[[Path], None]) -> None:
    path = tmp_path / "node.key"
    plant(path)
    with pytest.raises(QuorateError) as caught:
        load_or_create_key(path)
    assert caught.value.code == UNAUTHENTICATED
    assert not path.with_name("target-that-would-be-made").exists()


def test_a_key_of_another_user_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "node.key"
    load_or_create_key(path)
    if os.geteuid() != 0:
        pytest.skip("only root can give a file away, so no test of a key that belongs to another user")
    os.chown(path, 12345, -1)
    with pytest.raises(QuorateError, match="another user") as caught:
        load_or_create_key(path)
    assert caught.value.code == UNAUTHENTICATED


def test_a_directory_that_any_user_may_change_is_no_place_for_a_key(tmp_path: Path) -> None:
    place = tmp_path / "open"
    place.mkdir()
    (place / "something").write_bytes(b"")
    place.chmod(0o777)
    with pytest.raises(QuorateError) as caught:
        load_or_create_key(place / "node.key")
    assert caught.value.code == UNAUTHENTICATED
    assert not (place / "node.key").exists()
    place.chmod(0o1777)  # with the sticky bit nobody can swap another's file
    load_or_create_key(place / "node.key")


def test_many_that_start_at_once_get_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: load_or_create_key(tmp_path / "node.key").public, range(32)))
    assert len(set(keys)) == 1
    assert os.listdir(tmp_path) == ["node.key"]


def test_who_comes_second_takes_the_first_ones_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "node.key"
    make = keyfile._create

    def another_was_faster(path: Path, data: bytes) -> None:
        make(path, b"f" * 32)
        make(path, data)

    monkeypatch.setattr(keyfile, "_create", another_was_faster)
    assert load_or_create_secret(path, 32) == b"f" * 32
    assert os.listdir(tmp_path) == ["node.key"]


def test_a_crash_while_a_key_is_made_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(keyfile.os, "fsync", crash)
    with pytest.raises(QuorateError) as caught:
        load_or_create_key(tmp_path / "node.key")
    assert caught.value.code == DATABASE
    assert os.listdir(tmp_path) == []
