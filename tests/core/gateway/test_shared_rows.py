"""The block that workers share: rows that do not touch, seen by every process that has the descriptor."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from beyond_ai.gateway.shared_rows import SharedRows

SECTIONS = {"counts": 5, "sums": 3, "none": 0}


@pytest.fixture
def block() -> Iterator[SharedRows]:
    rows = SharedRows.create(3, SECTIONS)
    yield rows
    rows.close()


def test_it_begins_with_zeros(block: SharedRows) -> None:
    assert [list(row) for row in block.words("counts")] == [[0] * 5] * 3
    assert [list(row) for row in block.doubles("sums")] == [[0.0] * 3] * 3
    assert [list(row) for row in block.words("none")] == [[]] * 3


def test_cells_do_not_touch(block: SharedRows) -> None:
    values = {}
    for row in range(3):
        for cell in range(5):
            values[row, cell] = block.words("counts")[row][cell] = 2**64 - 1 - 10 * row - cell
        for cell in range(3):
            block.doubles("sums")[row][cell] = row + cell / 8
    assert {(row, cell): block.words("counts")[row][cell] for row, cell in values} == values
    assert [list(row) for row in block.doubles("sums")] == [[row, row + 0.125, row + 0.25] for row in range(3)]


def test_another_worker_sees_it(block: SharedRows) -> None:
    other = block.of(2)
    other.words("counts")[other.own][4] = 7
    assert [row[4] for row in block.words("counts")] == [0, 0, 7]
    assert (other.own, other.secret) == (2, block.secret)


def test_a_spawned_process_sees_it(block: SharedRows) -> None:
    program = (
        "import sys; from beyond_ai.gateway.shared_rows import SharedRows\n"
        f"rows = SharedRows(int(sys.argv[1]), 3, {SECTIONS}, 1)\n"
        "rows.words('counts')[1][0] = rows.words('counts')[0][0] + 1\n"
        "rows.doubles('sums')[1][2] = 0.5; print(rows.secret.hex())"
    )
    block.words("counts")[0][0] = 41
    line = [sys.executable, "-c", program, str(block.fd)]
    told = subprocess.run(line, pass_fds=[block.fd], capture_output=True, text=True, check=True, timeout=30)
    assert block.words("counts")[1][0] == 42
    assert block.doubles("sums")[1][2] == 0.5
    assert told.stdout.strip() == block.secret.hex()


def test_what_a_dead_process_wrote_stays(block: SharedRows) -> None:
    program = (
        "import os, signal, sys; from beyond_ai.gateway.shared_rows import SharedRows\n"
        f"rows = SharedRows(int(sys.argv[1]), 3, {SECTIONS}, 1); rows.try_lock(5)\n"
        "rows.words('counts')[1][0] = 3; os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, str(block.fd)], pass_fds=[block.fd], check=False, timeout=30)
    assert block.words("counts")[1][0] == 3
    assert block.try_lock(5), "the kernel has released the dead process's lock"
    block.unlock(5)


def test_a_lock_is_for_one_process_at_a_time(block: SharedRows) -> None:
    program = (
        "import sys; from beyond_ai.gateway.shared_rows import SharedRows\n"
        f"rows = SharedRows(int(sys.argv[1]), 3, {SECTIONS}, 1); print(rows.try_lock(5), rows.try_lock(6))"
    )
    line = [sys.executable, "-c", program, str(block.fd)]

    def tried() -> str:
        return subprocess.run(
            line, pass_fds=[block.fd], capture_output=True, text=True, check=True, timeout=30
        ).stdout.strip()

    assert block.try_lock(5)
    assert tried() == "False True"
    block.unlock(5)
    assert tried() == "True True"


def test_a_row_is_cleared_alone(block: SharedRows) -> None:
    for row in block.words("counts"):
        row[0] = row[4] = 9
    block.words("sums")[1][0] = 9
    block.clear("counts", 1)
    assert [row[0] + row[4] for row in block.words("counts")] == [18, 0, 18]
    assert block.words("sums")[1][0] == 9


@pytest.mark.parametrize("sections", [{"counts": 5}, {"counts": 500, "sums": 3}])
def test_other_sections_are_refused(block: SharedRows, sections: dict[str, int]) -> None:
    rows = 3 if len(sections) > 1 else 2
    with pytest.raises(ValueError, match="the shared block has"):
        SharedRows(block.fd, rows, sections, 0)


def test_something_else_is_refused(block: SharedRows) -> None:
    os.pwrite(block.fd, b"12345678", 0)
    with pytest.raises(ValueError, match="another version"):
        block.of(1)


@pytest.mark.parametrize("row", [-1, 3])
def test_a_row_that_is_not_there(block: SharedRows, row: int) -> None:
    with pytest.raises(ValueError, match="3 rows, so there is no row"):
        block.of(row)


def test_the_memory_outlives_the_descriptor() -> None:
    rows = SharedRows.create(1, SECTIONS)
    rows.close()
    rows.words("counts")[0][0] = 1
    assert rows.words("counts")[0][0] == 1


def test_without_files_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.memfd_create", raising=False)
    rows = SharedRows.create(2, SECTIONS)
    rows.of(1).words("counts")[1][2] = 5
    assert [row[2] for row in rows.words("counts")] == [0, 5]
    rows.close()
