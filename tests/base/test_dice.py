"""Dice: the same seed gives the same throws, on every machine and in every version of Python."""

from quorate.base.dice import Dice

PINNED = [17485029721327973432, 9557943642318721493, 7536648398476389563]


def _throws(dice: Dice) -> list[object]:
    return [dice.random(), dice.randint(1, 6), dice.randbytes(4), dice.chance(0.5), dice.choice("abc")]


def test_the_same_seed_gives_the_same_throws_and_another_does_not() -> None:
    assert _throws(Dice(7)) == _throws(Dice(7))
    assert _throws(Dice("name")) == _throws(Dice("name"))
    assert _throws(Dice(7)) != _throws(Dice(8))


def test_the_throws_are_pinned() -> None:
    # A trace that is replayed next year needs these very throws.
    assert [Dice(7).getrandbits(64), Dice("7/net").getrandbits(64), Dice(7).fork("net").getrandbits(64)] == PINNED


def test_a_fork_depends_on_seed_and_name_only() -> None:
    assert _throws(Dice(7).fork("net")) == _throws(Dice(7).fork("net"))
    assert _throws(Dice(7).fork("net")) != _throws(Dice(7).fork("disk"))
    assert _throws(Dice(7).fork("net")) != _throws(Dice(8).fork("net"))


def test_throwing_a_fork_does_not_disturb_its_parent_or_its_siblings() -> None:
    quiet, busy = Dice(7), Dice(7)
    first, second = quiet.fork("a"), busy.fork("a")
    _throws(second)
    assert _throws(quiet.fork("b")) == _throws(busy.fork("b"))
    assert _throws(quiet) == _throws(busy)
    assert first.getrandbits(64) != quiet.getrandbits(64)


def test_chances_are_what_they_say() -> None:
    dice = Dice(7)
    assert not any(dice.chance(0.0) for _ in range(1000))
    assert all(dice.chance(1.0) for _ in range(1000))
    assert 250 < sum(dice.chance(0.3) for _ in range(1000)) < 350
