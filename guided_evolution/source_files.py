"""Reading the files of a task folder: only from inside it, only as large as allowed, only if they parse."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from guided_evolution.checked_table import one_line
from guided_evolution.errors import SeedError

DATA_MB = 64


def checked_path(folder: Path, path: str, said: str) -> Path:
    """The place of a relative path inside the folder; `said` says where the user wrote it, for complaints."""
    pure = PurePosixPath(path)
    plain = str(pure) == path and path != "." and not pure.is_absolute() and ".." not in pure.parts
    if not plain or "\\" in path or "\0" in path:
        raise SeedError(
            one_line(f'{said} is "{path}"; it must be a plain path inside {folder}, like "net/a.py"')
        )
    place = folder / path
    if not place.exists():
        raise SeedError(one_line(f'{said} names "{path}", but {folder} holds no such file'))
    if not place.resolve().is_relative_to(folder.resolve()):
        raise SeedError(f'{said} names "{path}", which leads out of {folder}; copy the file into it')
    return place


def read_file(place: Path) -> bytes:
    if not place.is_file():
        raise SeedError(f"{place}: must be a regular file")
    try:
        return place.read_bytes()
    except OSError as problem:
        raise SeedError(f"{place}: can't be read: {problem.strerror or problem}") from problem


def read_text(place: Path) -> str:
    """The file as text with its line ends kept; it must be UTF-8."""
    content = read_file(place)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise SeedError(f"{place}:{line}: isn't UTF-8 text; save it as UTF-8") from problem


def read_data(folder: Path, named: Iterable[tuple[str, str]]) -> dict[str, bytes]:
    """The bytes of data files by relative path; a folder stands for every file under it.

    `named` pairs each path with where the user wrote it. All together may be 64 MB.
    """
    places: dict[str, Path] = {}
    for path, said in named:
        place = checked_path(folder, path, said)
        inside = [place] if place.is_file() else files_under(place)
        if not inside:
            raise SeedError(f'{said} names "{path}", a folder without files')
        for file in inside:
            relative = file.relative_to(folder).as_posix()
            places[relative] = checked_path(folder, relative, said)
    total = sum(place.stat().st_size for place in places.values())
    if total > DATA_MB * 1024 * 1024:
        largest = max(places, key=lambda path: places[path].stat().st_size)
        raise SeedError(
            f"{folder}: its data files are {total / 1048576:.1f} MB together, more than {DATA_MB} MB "
            f"(the largest is {largest}); make them smaller"
        )
    return {path: read_file(place) for path, place in sorted(places.items())}


def parse(place: Path, text: str) -> ast.Module:
    """The syntax tree of a Python file; SeedError with file, line and the line where it doesn't parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as problem:
        number = problem.lineno or 1
        lines = text.splitlines()
        shown = lines[number - 1].strip()[:100] if 0 < number <= len(lines) else ""
        quoted = f": {shown}" if shown else ""
        raise SeedError(f"{place}:{number}: isn't valid Python ({problem.msg}){quoted}") from problem
    except (ValueError, RecursionError, MemoryError) as problem:
        raise SeedError(f"{place}: isn't valid Python ({problem or 'nested too deeply'})") from problem


def check_markers(place: Path, text: str) -> None:
    """Refuse EVOLVE-BLOCK markers that don't come in pairs."""
    opened = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if "EVOLVE-BLOCK-START" in line:
            if opened:
                raise SeedError(f"{place}:{number}: EVOLVE-BLOCK-START inside the block of line {opened}")
            opened = number
        elif "EVOLVE-BLOCK-END" in line:
            if not opened:
                raise SeedError(f"{place}:{number}: EVOLVE-BLOCK-END without a START before it")
            opened = 0
    if opened:
        raise SeedError(f"{place}:{opened}: EVOLVE-BLOCK-START without an END after it")


def files_under(folder: Path) -> list[Path]:
    """Every file under the folder, sorted, without hidden ones and Python's caches."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.is_file()
        and not any(part.startswith(".") or part == "__pycache__" for part in file.relative_to(folder).parts)
    )
