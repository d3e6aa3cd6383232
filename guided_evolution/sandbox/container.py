"""One container for candidates: its users, its start, and how leftovers are found."""

from __future__ import annotations

import contextlib
import json
import random
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from guided_evolution.errors import SandboxBroken
from guided_evolution.identity import Identity, is_dead, this_process
from guided_evolution.sandbox.confinement import WORK, check_walls, host_config, start_memory
from guided_evolution.sandbox.engine import LABEL, AttachedStream, Engine
from guided_evolution.sandbox.gpus import free_cards
from guided_evolution.sandbox.images import Image
from guided_evolution.sandbox.patience import Patience
from guided_evolution.seed import Limits

START_SECONDS = 60.0
_FIRST_USER, _USERS, _BLOCKS = 10_000, 64, 850
_SLACK_MB = 32
_TRIES = 10
_STALE_SECONDS = 600.0


@dataclass(frozen=True)
class Users:
    """A range of user numbers, used by one container of this engine at a time: a limit on a user's processes counts
    across containers."""

    block: int

    @property
    def first(self) -> int:
        """The first of them."""
        return _FIRST_USER + self.block * _USERS

    @property
    def count(self) -> int:
        """How many."""
        return _USERS


@dataclass(frozen=True)
class Container:
    """A running container whose walls were seen to stand, and the stream to the runner in it.

    `kills` is the file in it that counts memory kills.
    """

    engine: Engine
    id: str
    users: Users
    stream: AttachedStream
    kills: str

    def killed_for_memory(self) -> bool:
        """Whether the engine saw a memory kill in it: the runner itself may have been the victim."""
        with self.engine.answering("inspect a container"):
            return bool(self.engine.api.inspect_container(self.id)["State"].get("OOMKilled"))

    def bound_memory(self, limits: Limits) -> None:
        """Lower its limit to what it uses now and what a job adds: the program's share, and as much again for the
        evaluator and for values on their way. The supervisor watches the program's own share.
        """
        if self.engine.is_podman:
            return
        with self.engine.answering("tell a container's memory"):
            used = in_use(self.engine.api.stats(self.id, stream=False, one_shot=True)["memory_stats"])
        most = min(start_memory(limits), used + 2 * (limits.memory_mb << 20) + (_SLACK_MB << 20))
        with self.engine.answering("lower a container's limit on memory"):
            self.engine.api.update_container(self.id, mem_limit=most, memswap_limit=most)
            told = self.engine.api.inspect_container(self.id)["HostConfig"]["Memory"]
        if told > most:
            raise SandboxBroken("this container engine doesn't lower a container's limit on memory")

    def remove(self) -> None:
        """End every process of it and remove it."""
        self.stream.close()
        self.engine.remove(self.id)


def start(engine: Engine, image: Image, limits: Limits, command: Sequence[str] = ()) -> Container:
    """A new container whose first process becomes the runner once its walls are checked.

    Args:
        command: what its first process becomes instead: absolute path and arguments.

    Raises SandboxBroken: the engine doesn't do it, or a limit isn't in force.
    """
    created, users = _create(engine, image, limits, command)
    stream: AttachedStream | None = None
    try:
        stream = engine.attach(created)
        with engine.answering("start a container"):
            engine.api.start(created)
        report = _report(stream)
        check_walls(report, limits)
        return Container(engine, created, users, stream, report["kills_at"])
    except BaseException:  # Ctrl-C too must leave no container behind; it goes on to the caller
        if stream is not None:
            stream.close()
        # The first error is the one to tell of; what can't be removed now is swept at the next start.
        with contextlib.suppress(SandboxBroken):
            engine.remove(created)
        raise


def sweep(engine: Engine) -> int:
    """Remove the containers of workers that are dead, and those that ended; returns how many."""
    swept = 0
    for one in engine.labelled({"role": "slot"}):
        owner = _owner(one["Labels"])
        ended = one["State"] in ("exited", "dead")
        # A container that another worker made a moment ago isn't started yet; one that stays so was abandoned.
        abandoned = one["State"] == "created" and time.time() - one["Created"] > _STALE_SECONDS
        mine = owner == this_process()
        if owner is None or is_dead(owner) or ((ended or abandoned) and not mine):
            engine.remove(one["Id"])
            swept += 1
    return swept


def create_shell(engine: Engine, image: Image, limits: Limits) -> str:
    """A container, not started, for a shell on a terminal: behind the same walls, as the first of its users."""

    def on_terminal(users: Users) -> Mapping[str, Any]:
        user = f"{users.first}:{users.first}"
        return {"entrypoint": ["/bin/sh"], "tty": True, "working_dir": WORK, "user": user}

    return _create(engine, image, limits, (), on_terminal)[0]


def _create(
    engine: Engine,
    image: Image,
    limits: Limits,
    command: Sequence[str],
    more: Callable[[Users], Mapping[str, Any]] = lambda _users: {},
) -> tuple[str, Users]:
    """A container with users, and graphics cards, that no other one has at this time."""
    for _ in range(_TRIES):
        there = engine.labelled({"role": "slot"})
        users = _free_users(_taken(there, "users"))
        cards = free_cards(limits.gpus, _taken(there, "gpus")) if limits.gpus else ()
        labels = {"role": "slot", "owner": json.dumps(asdict(this_process()))}
        labels |= {"users": str(users.block), "gpus": ",".join(cards)}
        with engine.answering("create a container"):
            created: str = engine.api.create_container(
                image.digest,
                command=list(command),
                labels={f"{LABEL}{name}": value for name, value in labels.items()},
                # Its input ends when we hang up, and with that its runner.
                stdin_open=True,
                hostname="sandbox",
                host_config=host_config(engine.api, limits, cards, podman=engine.is_podman),
                **more(users),
            )["Id"]
        # Another worker may have taken the same at the same moment. Then both see it, and both choose again.
        others = [one for one in engine.labelled({"role": "slot"}) if one["Id"] != created]
        if str(users.block) not in _taken(others, "users") and not {*cards} & _taken(others, "gpus"):
            return created, users
        engine.remove(created)
        time.sleep(random.SystemRandom().random())
    raise SandboxBroken("other workers always take the users and graphics cards that were free a moment ago")


def _taken(containers: Sequence[Mapping[str, Any]], label: str) -> set[str]:
    values = (one["Labels"].get(LABEL + label, "") for one in containers)
    return {value for text in values for value in text.split(",") if value}


def _free_users(taken: set[str]) -> Users:
    free = [block for block in range(_BLOCKS) if str(block) not in taken]
    if not free:
        raise SandboxBroken(f"{_BLOCKS} sandboxes run on this engine already, which is the most")
    return Users(random.SystemRandom().choice(free))


def in_use(stats: Mapping[str, Any]) -> int:
    """Bytes that a container really needs: its page cache can be had back at any time."""
    details = stats.get("stats", {})
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    return max(0, int(stats["usage"]) - int(cache))


def _report(stream: AttachedStream) -> dict[str, Any]:
    patience = Patience(START_SECONDS)
    try:
        (length,) = struct.unpack("!I", _exactly(stream, 4, patience))
        if length > 1 << 20:
            raise ValueError("they are too long")
        report: dict[str, Any] = json.loads(_exactly(stream, length, patience))
        return report
    except TimeoutError as problem:
        raise SandboxBroken("the container didn't say its first words in time") from problem
    except OSError as problem:
        raise SandboxBroken(f"the container's stream broke: {problem}") from problem
    except (EOFError, ValueError) as problem:
        said = stream.complaint.decode(errors="replace").strip() or str(problem)
        raise SandboxBroken(f"the container's first words aren't those of a sandbox: {said}") from problem


def _exactly(stream: AttachedStream, count: int, patience: Patience) -> bytes:
    parts = []
    while count:
        part = stream.read(count, patience)
        if not part:
            raise EOFError("its stream ended")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _owner(labels: Mapping[str, str]) -> Identity | None:
    """Who made a container; None where the label can't be read, which only an older version can have written."""
    try:
        return Identity(**json.loads(labels[f"{LABEL}owner"]))
    except (KeyError, TypeError, ValueError):
        return None


@dataclass(frozen=True)
class Slot:
    """A container of ours as it stands on this engine; `owner` says which process made it."""

    id: str
    image: str
    state: str
    owner: str


def slots(engine: Engine) -> list[Slot]:
    """Every container of ours on this engine, those of other workers too."""
    found = []
    for one in engine.labelled({"role": "slot"}):
        owner = _owner(one["Labels"])
        said = f"{owner.pid} on {owner.host}" if owner else "unknown"
        found.append(Slot(one["Id"], one["ImageID"], one["State"], said))
    return found
