"""Makes a copy of this seed with its own training.toml, and fetches CIFAR-10 if asked.

    python prepare.py FOLDER --download                                    170 MB, into FOLDER/..
    python prepare.py FOLDER --archive cifar-10-python.tar.gz --epochs 5 --image-size 64 --device cpu
    guided-evolution evolve FOLDER

No run imports this file.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from pathlib import Path

SEED = Path(__file__).resolve().parent
FILES = ("seed.toml", "task.md", "program.py", "evaluate.py", "cifar10.py", "training.toml")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--archive", type=Path)
    where.add_argument("--download", action="store_true")
    for name in ("epochs", "block", "image-size", "images"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--device")
    parser.add_argument("--precision", choices=("auto", "float32", "mixed"))
    given = vars(parser.parse_args())
    folder, fetch = given.pop("folder"), given.pop("download")
    if folder.exists():
        print(f"{folder} exists already; name a new folder", file=sys.stderr)
        return 2
    if fetch:
        given["archive"] = fetched(folder.resolve().parent / "cifar-10-python.tar.gz")
        if given["archive"] is None:
            return 3
    if given["archive"] is not None:
        given["archive"] = str(given["archive"].resolve())
    folder.mkdir(parents=True)
    for name in FILES:
        shutil.copy(SEED / name, folder / name)
    write_settings(
        folder / "training.toml", {key: value for key, value in given.items() if value is not None}
    )
    print(f"{folder}: ready; try `guided-evolution check {folder}`")
    return 0


def fetched(place: Path) -> Path | None:
    sys.path.insert(0, str(SEED))
    import cifar10

    try:
        if not place.exists():
            cifar10.download(place)
    except cifar10.ArchiveError as problem:
        print(problem, file=sys.stderr)
        return None
    return place


def write_settings(place: Path, values: dict[str, object]) -> None:
    text = place.read_text(encoding="utf-8")
    for key, value in values.items():
        line = f"{key} = {json.dumps(value)}"
        text = re.sub(rf"^{key} = .*$", lambda _, line=line: line, text, flags=re.MULTILINE)
    place.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
