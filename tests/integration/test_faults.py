"""What may happen to a run from outside: killed, out of disk, locked out, met by another. Through the real command."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import faults
from bench.startup import command
from guided_evolution.archive import open_archive
from guided_evolution.doctor import examine

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="faults are struck through /proc"
)


@pytest.fixture
def seed(tmp_path: Path) -> Path:
    return faults.write_seed(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True
    )
    if made.returncode:
        if os.environ.get("CI"):
            pytest.fail(f"CI must be able to mount a small disk: {made.stderr.decode()}")
        pytest.skip("needs the right to mount a small disk (root)")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def run(*words: str | Path, timeout: float = 90) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [command(), *map(str, words)],
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )


def start(*words: str | Path) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    return subprocess.Popen([command(), *map(str, words)], stdout=quiet, stderr=quiet, start_new_session=True)


def one_sentence(done: subprocess.CompletedProcess[str]) -> str:
    """What the command said on its way out, which must be short and no traceback."""
    said = done.stderr.strip()
    assert "Traceback" not in said
    assert said
    assert len(said.splitlines()) <= 3, said
    return said


def counted_by_run(archive: Path) -> list[int]:
    connection = sqlite3.connect(archive)
    try:
        counted = "FROM evaluation WHERE purpose IN ('seed', 'search') AND state IN ('scored', 'failed')"
        return [row[0] for row in connection.execute(f"SELECT count(*) {counted} GROUP BY run_id")]
    finally:
        connection.close()


def counted(archive: Path) -> int:
    return sum(counted_by_run(archive))


def healthy(archive: Path) -> None:
    opened = open_archive(str(archive))
    assert [f"{where}: {problem}" for where, problem in examine(opened)] == []
    opened.close()


def wait_for(archive: Path, evaluations: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if archive.exists() and counted(archive) >= evaluations:
                return
        except sqlite3.OperationalError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"never had {evaluations} evaluations")


def test_a_schedule_of_kills_loses_nothing(tmp_path: Path) -> None:
    """One of `make faults`; it runs in a process of its own because it adopts orphans."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.faults", "--schedules", "1", "--first", "2", "--sleep", "1"],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 schedules without a problem" in done.stdout


def test_the_second_command_on_a_run_is_refused_and_told_who_is_in(tmp_path: Path, seed: Path) -> None:
    archive = tmp_path / "runs.db"
    first = start("evolve", seed, "--evaluations", "400", "--archive", archive)
    wait_for(archive, 3)
    second = run("resume", "--archive", archive)
    assert second.returncode == 2
    assert f"process {first.pid}" in one_sentence(second)
    first.send_signal(signal.SIGINT)
    assert first.wait(30) == 0
    healthy(archive)


def test_two_runs_on_one_archive_at_once(tmp_path: Path, seed: Path) -> None:
    archive = tmp_path / "runs.db"
    both = [start("evolve", seed, "--evaluations", "40", "--archive", archive) for _ in range(2)]
    assert [one.wait(90) for one in both] == [0, 0]
    assert counted_by_run(archive) == [40, 40]
    healthy(archive)


def test_a_full_disk_ends_the_run_and_it_goes_on_when_there_is_room(small_disk: Path, seed: Path) -> None:
    archive, ballast = small_disk / "runs.db", small_disk / "ballast"
    first = start("evolve", seed, "--evaluations", "600", "--archive", archive)
    wait_for(archive, 10)
    with pytest.raises(OSError, match="No space left"), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)
    assert first.wait(60) == 3
    before = counted(archive)
    assert before >= 10
    ballast.unlink()
    resumed = run("resume", "--archive", archive, "--slots", "2", timeout=120)
    assert resumed.returncode == 0, resumed.stderr
    assert counted(archive) == 600
    healthy(archive)


def test_an_archive_on_a_disk_that_turned_read_only(small_disk: Path, seed: Path) -> None:
    archive = small_disk / "runs.db"
    assert run("evolve", seed, "--evaluations", "5", "--archive", archive).returncode == 0
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    said = run("resume", "--add", "5", "--archive", archive)
    assert said.returncode in (2, 3)
    assert "can't be written" in one_sentence(said)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert run("resume", "--add", "5", "--archive", archive).returncode == 0
    assert counted(archive) == 10


def test_an_archive_locked_by_another_program_is_waited_for(tmp_path: Path, seed: Path) -> None:
    archive = tmp_path / "runs.db"
    assert run("evolve", seed, "--evaluations", "5", "--archive", archive).returncode == 0
    other = sqlite3.connect(archive, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    waiting = start("resume", "--add", "5", "--archive", archive)
    time.sleep(3)
    assert waiting.poll() is None
    other.execute("ROLLBACK")
    other.close()
    assert waiting.wait(60) == 0
    assert counted(archive) == 10


def test_a_truncated_archive_is_refused_in_a_sentence(tmp_path: Path, seed: Path) -> None:
    archive = tmp_path / "runs.db"
    assert run("evolve", seed, "--evaluations", "20", "--archive", archive).returncode == 0
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    said = run("resume", "--add", "5", "--archive", archive)
    assert said.returncode in (2, 3)
    one_sentence(said)
    archive.write_bytes(whole)
    assert run("resume", "--add", "5", "--archive", archive).returncode == 0


def test_an_archive_of_a_newer_version_is_refused(tmp_path: Path, seed: Path) -> None:
    archive = tmp_path / "runs.db"
    assert run("evolve", seed, "--evaluations", "5", "--archive", archive).returncode == 0
    connection = sqlite3.connect(archive)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    said = run("runs", "--archive", archive)
    assert said.returncode == 2
    assert "newer version" in one_sentence(said)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_polite_signal_keeps_everything_and_says_how_to_go_on(
    tmp_path: Path, seed: Path, number: signal.Signals
) -> None:
    archive = tmp_path / "runs.db"
    first = start("evolve", seed, "--evaluations", "400", "--archive", archive)
    wait_for(archive, 10)
    first.send_signal(number)
    first.wait(30)
    before = counted(archive)
    assert 10 <= before < 400
    healthy(archive)
    assert run("resume", "--archive", archive, timeout=120).returncode == 0
    assert counted(archive) == 400
