"""The file of losses survives what may happen to it."""

import pytest

from kernelsight.stores.sqlite.losses import Loss, Losses

LOST = {"load": Loss(1, 2, 3)}


def left(database):
    return dict(Losses(database).take())


@pytest.fixture
def database(tmp_path):
    return tmp_path / "k.db"


def test_the_last_record_counts_and_an_empty_one_removes_the_file(database):
    losses = Losses(database)
    losses.write({"cpu": Loss(0, 0, 9)})
    losses.write(LOST)
    assert left(database) == LOST
    losses.write({})
    assert left(database) == {}
    losses.close()
    assert not losses.path.exists()


@pytest.mark.parametrize("at", [0, 4, 9, 20, 60])
def test_a_record_that_was_cut_off_or_damaged_leaves_the_one_before(database, at):
    losses = Losses(database)
    for dropped in (1, 2):
        losses.write({"load": Loss(0, 0, dropped)})
    with losses.path.open("r+b") as file:  # the second record is in the first slot
        file.seek(at)
        file.write(b"\xff")
    assert left(database) == {"load": Loss(0, 0, 1)}


@pytest.mark.parametrize("damage", [b"", b"\0" * 16384, b"garbage" * 3000, b'00000000 {"number":1}\n'])
def test_a_file_that_says_nothing_is_no_loss(database, damage):
    losses = Losses(database)
    losses.path.write_bytes(damage)
    assert left(database) == {}
    losses.take()
    losses.write(LOST)
    assert left(database) == LOST


def test_the_next_writer_goes_on_counting(database):
    first = Losses(database)
    for _ in range(3):
        first.write(LOST)
    first.close()
    second = Losses(database)
    assert second.take() == LOST
    second.write({})
    assert left(database) == {}
