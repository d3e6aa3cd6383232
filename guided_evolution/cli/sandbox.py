"""`sandbox build|ls|prune|shell`: the images and containers of the Docker kind."""

from __future__ import annotations

import datetime
from pathlib import Path

from guided_evolution.cli.options import Place
from guided_evolution.cli.output import console, print_json, table
from guided_evolution.cli.shell import run_shell
from guided_evolution.sandbox import container, images
from guided_evolution.sandbox.engine import Engine
from guided_evolution.seed import Seed, load_seed
from guided_evolution.settings import load_settings


def build(place: Place, seed_name: str) -> None:
    """Build a seed's image, if the engine hasn't got it, and print its name and digest."""
    seed = load_seed(seed_name)
    engine = Engine.connect()
    image = _image(engine, place, seed)
    console().print(f"{image.name}  {image.digest}")
    engine.close()


def ls(*, as_json: bool) -> None:
    """Print the images and containers of this engine that are ours."""
    engine = Engine.connect()
    found, slots = images.built(engine), container.slots(engine)
    engine.close()
    if as_json:
        print_json(
            {
                "images": [
                    {
                        "digest": one.digest,
                        "names": list(one.names),
                        "seed": one.seed,
                        "megabytes": one.megabytes,
                    }
                    for one in found
                ],
                "containers": [
                    {"id": one.id, "image": one.image, "state": one.state, "owner": one.owner}
                    for one in slots
                ],
            }
        )
        return
    out = console()
    if not found and not slots:
        out.print("no image and no container: `guided-evolution sandbox build SEED` builds one")
        return
    rows = table("IMAGE", "FIRST SEED", "BUILT", "MB", "DIGEST", right=("MB",))
    for one in found:
        made = datetime.datetime.fromtimestamp(one.created).strftime("%Y-%m-%d %H:%M")
        name = ", ".join(one.names) or "(no name)"
        rows.add_row(name, one.seed, made, f"{one.megabytes:.0f}", one.digest.removeprefix("sha256:")[:12])
    out.print(rows)
    if slots:
        rows = table("CONTAINER", "STATE", "OF PROCESS")
        for slot in slots:
            rows.add_row(slot.id[:12], slot.state, slot.owner)
        out.print(rows)


def prune() -> None:
    """Remove what dead workers left, and every image of ours that no container uses."""
    engine = Engine.connect()
    swept = container.sweep(engine)
    used = {one.image for one in container.slots(engine)}
    removed = [one for one in images.built(engine) if one.digest not in used]
    for one in removed:
        images.remove(engine, one)
    engine.close()
    freed = sum(one.megabytes for one in removed)
    console().print(
        f"removed {swept} container{'' if swept == 1 else 's'} and "
        f"{len(removed)} image{'' if len(removed) == 1 else 's'} ({freed:.0f} MB with shared layers)"
    )


def shell(place: Place, seed_name: str) -> int:
    """A shell as a candidate's user inside a seed's container; returns the shell's exit code."""
    seed = load_seed(seed_name)
    engine = Engine.connect()
    image = _image(engine, place, seed)
    try:
        return run_shell(engine, image, seed.limits)
    finally:
        engine.close()


def _image(engine: Engine, place: Place, seed: Seed) -> images.Image:
    settings = load_settings({}, file=place.settings)
    err = console(stderr=True)
    recipe = images.recipe(seed, settings.base_image, Path(settings.wheels) if settings.wheels else None)
    return images.ensure(engine, recipe, seed.name, lambda said: err.print(said, style="dim"))
