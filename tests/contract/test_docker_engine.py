"""What the Docker kind builds on, against a real engine: walls that stand, images, leftovers, an engine that fails."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from guided_evolution.errors import SandboxBroken, SettingsError
from guided_evolution.sandbox import container, images
from guided_evolution.sandbox.confinement import EVALUATOR_GROUP, check_walls
from guided_evolution.sandbox.container import Container
from guided_evolution.sandbox.engine import Engine, NoEngine
from guided_evolution.sandbox.gpus import choose_cards
from guided_evolution.sandbox.images import Image
from guided_evolution.sandbox.patience import Patience
from guided_evolution.seed import Environment, Limits, Seed, load_seed
from tests.docker_engine import base_image, real_engine, wheels
from tests.engine_proxy import EngineProxy

LIMITS = Limits(memory_mb=128, processes=8)


def bare_seed(**changes: object) -> Seed:
    """A seed that needs no package."""
    return replace(load_seed("mnist1d"), candidate=Environment(), evaluator=Environment(), **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = real_engine()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def image(engine: Engine) -> Image:
    return images.ensure(engine, images.recipe(bare_seed(), base_image(engine)), "test", print)


@pytest.fixture
def started(engine: Engine, image: Image) -> Iterator[list[Container]]:
    """Containers that a test started; removed after it."""
    every: list[Container] = []
    yield every
    for one in every:
        one.remove()


def python(code: str) -> list[str]:
    return ["/usr/bin/env", "python3", "-I", "-c", code]


def answer(engine: Engine, image: Image, started: list[Container], code: str) -> str:
    """What a program prints that runs as a container's first process."""
    closing = "\nprint('<end>', flush=True); import time; time.sleep(60)"
    one = container.start(engine, image, LIMITS, python(code + closing))
    started.append(one)
    said = b""
    while not said.endswith(b"<end>\n"):
        said += one.stream.read(4096, Patience(30)) or b"<end>\n"
    return said.decode().removesuffix("<end>\n").strip()


def test_root_in_the_container_can_neither_write_nor_read_what_others_own(
    engine: Engine, image: Image, started: list[Container]
) -> None:
    said = answer(
        engine,
        image,
        started,
        """
import os
def attempt(what):
    try: what(); print("yes")
    except OSError as error: print(type(error).__name__)
attempt(lambda: open("/etc/passwd", "a"))
attempt(lambda: open("/opt/guided-evolution/runner.py", "a"))
attempt(lambda: open("/tmp/trap", "w"))
attempt(lambda: os.mkdir("/work/mine"))
attempt(lambda: os.chown("/work/mine", 5, 5))
attempt(lambda: os.mknod("/work/disk", 0o060600, os.makedev(254, 0)))
""",
    )
    assert said.split() == ["OSError", "OSError", "OSError", "yes", "PermissionError", "PermissionError"]


def test_no_environment_no_network_no_engine_socket(
    engine: Engine, image: Image, started: list[Container]
) -> None:
    said = answer(
        engine,
        image,
        started,
        """
import os, socket
print(sorted(set(os.environ) - {"LC_CTYPE"}))
print(os.path.exists("/var/run/docker.sock"))
print(len(open("/proc/net/route").readlines()) - 1)
try: socket.create_connection(("172.17.0.1", 2375), timeout=2); print("connected")
except OSError as error: print(error.strerror)
""",
    )
    assert said.splitlines() == ["[]", "False", "0", "Network is unreachable"]


def test_what_the_host_allows_is_refused_with_every_gap_named() -> None:
    """The report of a process without walls: this one."""
    walls = Path(images.sandbox_folder(), "walls.py")
    printed = subprocess.run(
        [sys.executable, walls, "/bin/true"], capture_output=True, check=True, env={"TOKEN": "1"}
    ).stdout
    report = json.loads(printed[4 : 4 + struct.unpack("!I", printed[:4])[0]])
    with pytest.raises(SandboxBroken) as broken:
        check_walls(report, LIMITS)
    for gap in (
        "no-new-privileges isn't set",
        "the limit on memory isn't in force",
        "the limit on processors isn't in force",
        "these folders of the host are mounted in it",
        "System V shm, sem, msg can be had",
    ):
        assert gap in str(broken.value)


def test_containers_at_one_time_have_users_of_their_own(
    engine: Engine, image: Image, started: list[Container]
) -> None:
    started += [container.start(engine, image, LIMITS, ["/bin/cat"]) for _ in range(3)]
    ranges = [range(one.users.first, one.users.first + one.users.count) for one in started]
    assert len({user for numbers in ranges for user in numbers}) == sum(map(len, ranges))


def test_a_container_ends_when_its_client_is_killed_and_the_next_start_removes_it(
    engine: Engine, image: Image, started: list[Container]
) -> None:
    code = f"""
import time
from guided_evolution.sandbox import container
from guided_evolution.sandbox.engine import Engine
from guided_evolution.sandbox.images import Image
from guided_evolution.seed import Limits
one = container.start(Engine.connect(), Image({image.name!r}, {image.digest!r}), Limits(), ["/bin/cat"])
print(one.id, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        left = worker.stdout.readline().strip()
        mine = container.start(engine, image, LIMITS, ["/bin/cat"])
        started.append(mine)
        container.sweep(engine)
        assert {left, mine.id} <= {one["Id"] for one in engine.labelled({"role": "slot"})}
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    container.sweep(engine)
    names = {one["Id"] for one in engine.labelled({"role": "slot"})}
    assert left not in names
    assert mine.id in names


def test_graphics_cards_go_to_one_sandbox_at_a_time() -> None:
    assert choose_cards(["a", "b", "c"], 1, {"a"}) == ("b",)
    assert choose_cards(["a", "b", "c"], 2, {"b"}) == ("a", "c")
    with pytest.raises(SandboxBroken, match=r"needs 2 of the 3 .* other sandboxes have 2; .* --slots 1"):
        choose_cards(["a", "b", "c"], 2, {"a", "c", "elsewhere"})


def test_equal_needs_share_an_image_and_other_needs_do_not(engine: Engine, image: Image) -> None:
    base = base_image(engine)
    assert images.ensure(engine, images.recipe(bare_seed(task="other"), base), "other", print) == image
    wanted = replace(images.recipe(bare_seed(), base), candidate=("numpy",))
    assert images.recipe(bare_seed(), base) != wanted


def test_packages_installed_here_are_taken_in_the_version_installed_here() -> None:
    import numpy

    seed = bare_seed()
    seed = replace(
        seed,
        candidate=Environment(requirements=("numpy>=1.26", "surely-not-installed<3"), preload=("json",)),
        evaluator=Environment(requirements=("numpy==1.0",), preload=("numpy.linalg",)),
    )
    made = images.recipe(seed, "some/base")
    version = numpy.__version__
    assert set(made.candidate) == {f"numpy>=1.26,=={version}", "surely-not-installed<3"} or set(
        made.candidate
    ) == {f"numpy=={version},>=1.26", "surely-not-installed<3"}
    assert made.evaluator == ("numpy==1.0",)


def test_a_candidate_cannot_read_the_packages_of_the_evaluator(
    engine: Engine, started: list[Container]
) -> None:
    folder = wheels()
    needs = replace(
        bare_seed(), candidate=Environment(), evaluator=Environment(requirements=("numpy",), preload=())
    )
    image = images.ensure(engine, images.recipe(needs, base_image(engine), folder), "test", print)
    said = answer(
        engine,
        image,
        started,
        f"""
import os, sys
def listed(user, group):
    child = os.fork()
    if not child:
        os.setgroups([]); os.setgid(group); os.setuid(user)
        try: print("numpy" in os.listdir("/opt/evaluator"), flush=True)
        except OSError as error: print(type(error).__name__, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
listed(20000, 20000)
listed(20001, {EVALUATOR_GROUP})
print(os.listdir("/opt/candidate"))
""",
    )
    assert said.splitlines() == ["PermissionError", "True", "[]"]


def test_a_build_that_fails_says_in_pips_words_why(engine: Engine, tmp_path: Path) -> None:
    seed = replace(bare_seed(), candidate=Environment(requirements=("surely-no-such-package==7",)))
    with pytest.raises(SandboxBroken, match=r"can't be built: .*surely-no-such-package==7"):
        images.ensure(engine, images.recipe(seed, base_image(engine), tmp_path), "test", print)


def test_wheels_must_be_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is not a folder"):
        images.recipe(bare_seed(), "some/base", tmp_path / "none")


def test_without_an_engine_one_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(NoEngine, match=r"no container engine runs here \(unix://.*none.sock\)"):
        Engine.connect(1)


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EngineProxy:
    proxy = EngineProxy(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", proxy.url)
    return proxy


def test_an_engine_that_stops_answering_is_noticed_in_every_call(
    engine: Engine, image: Image, proxy: EngineProxy
) -> None:
    through = Engine.connect(30)
    mine = container.start(through, image, LIMITS, ["/bin/cat"])
    through.api.timeout = 0.5
    proxy.stalled.set()
    begun = time.monotonic()
    with pytest.raises(TimeoutError):
        mine.stream.read(1, Patience(0.5))
    for call in (
        lambda: container.start(through, image, LIMITS, ["/bin/cat"]),
        lambda: container.sweep(through),
        lambda: images.built(through),
        mine.remove,
    ):
        with pytest.raises(SandboxBroken, match="in time"):
            call()
    with pytest.raises(NoEngine):
        Engine.connect(0.5)
    assert time.monotonic() - begun < 30  # it would be for ever
    engine.remove(mine.id)


def test_an_engine_that_dies_is_noticed_and_not_waited_for(
    engine: Engine, image: Image, proxy: EngineProxy
) -> None:
    through = Engine.connect(30)
    mine = container.start(through, image, LIMITS, ["/bin/cat"])
    proxy.die()
    with contextlib.suppress(OSError):
        assert mine.stream.read(1, Patience(30)) == b""
    with pytest.raises(SandboxBroken):
        container.start(through, image, LIMITS, ["/bin/cat"])
    engine.remove(mine.id)
