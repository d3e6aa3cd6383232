"""One container for candidates: how it is walled in, the proof that the walls stand, and how leftovers are found."""

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
from guided_evolution.sandbox.engine import LABEL, AttachedStream, Engine
from guided_evolution.sandbox.images import Image
from guided_evolution.sandbox.patience import Patience
from guided_evolution.seed import Limits

WORK = "/work"
"""The one folder, in memory, where jobs may write; /dev/shm is the other place."""

EVALUATOR_GROUP = 64999
"""Group that alone may read the evaluator's packages; the Dockerfile names it too."""

START_SECONDS = 60.0
PRELOAD_MB = 8192
"""What importing a seed's packages may take; then the limit is lowered to what they did take."""

_FIRST_USER, _USERS, _BLOCKS = 10_000, 64, 850
_OWN_PROCESSES = 64
_MOST_FILES = 20_000
_SLACK_MB = 32
_STALE_SECONDS = 600.0
# Linux numbers capabilities: KILL 5, SETGID 6, SETUID 7.
_CAPABILITIES = (1 << 5) | (1 << 6) | (1 << 7)
_NO_SYSTEM_V = {
    "kernel.shmmni": "0",
    "kernel.msgmni": "0",
    "kernel.sem": "0 0 0 0",
    "fs.mqueue.queues_max": "0",
}
# Places that the engine mounts writable and that only root, without capabilities here, could write to; and devices.
_ENGINE_MOUNTS = (
    "/proc",
    "/dev",
    "/dev/pts",
    "/dev/mqueue",
    "/sys/fs/cgroup",
    "/proc/keys",
    "/proc/timer_list",
)
_ENGINE_FILES = ("/etc/resolv.conf", "/etc/hostname", "/etc/hosts", "/run/.containerenv", "/run/secrets")


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


def start(
    engine: Engine, image: Image, limits: Limits, command: Sequence[str] = (), gpus: tuple[str, ...] = ()
) -> Container:
    """A new container whose first process becomes the runner once its walls are checked.

    Args:
        command: what its first process becomes instead: absolute path and arguments.
        gpus: device ids of the graphics cards that it gets.

    Raises SandboxBroken: the engine doesn't do it, or a limit isn't in force.
    """
    created, users = _create(engine, image, limits, command, gpus)
    stream: AttachedStream | None = None
    try:
        stream = engine.attach(created)
        with engine.answering("start a container"):
            engine.api.start(created)
        report = _report(stream)
        check_walls(report, limits)
        return Container(engine, created, users, stream, report["kills_at"])
    except BaseException:
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


def check_walls(report: Mapping[str, Any], limits: Limits) -> None:
    """Compare what a container sees of its walls (sandbox/walls.py) with what was asked for.

    Raises SandboxBroken, which names the gaps.
    """
    gaps = [said for said, stands in _walls(report, limits).items() if not stands]
    if gaps:
        raise SandboxBroken(f"this container engine leaves a candidate too much room: {'; '.join(gaps)}")


def _walls(report: Mapping[str, Any], limits: Limits) -> dict[str, bool]:
    status = report["status"]
    memory, most = report["memory"], start_memory(limits)
    processes = report["processes"]
    return {
        "it has more capabilities than asked for": not any(
            int(status[name], 16) & ~_CAPABILITIES
            for name in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb")
        ),
        "no-new-privileges isn't set": status["NoNewPrivs"] == "1",
        "no seccomp filter is set": status["Seccomp"] == "2",
        "its root folder can be written": not report["root_writable"],
        f"these can be written: {', '.join(_writable(report))}": not _writable(report),
        "these folders of the host are mounted in it: " + ", ".join(_foreign(report)): not _foreign(report),
        "the limit on memory isn't in force": memory is not None and memory <= most,
        "swap is open to it": report["swap"] is not None and report["swap"] < 1 << 20,
        "memory kills can't be counted": "oom_kill " in str(report["kills"]),
        "the limit on processes isn't in force": processes is not None
        and processes <= most_processes(limits),
        "the limit on processors isn't in force": report["cpus"] is not None
        and report["cpus"] <= limits.cpus + 0.01,
        f"it has a network: {', '.join(report['interfaces'])}": set(report["interfaces"])
        <= _QUIET_INTERFACES,
        f"System V {', '.join(report['system_v'])} can be had": not report["system_v"],
        "core dumps are on": report["core"] == 0,
        "the limit on open files isn't in force": report["files"] <= _OPEN_FILES,
    }


_OPEN_FILES = 1024
# Tunnels that the kernel shows in every new network namespace, down and without address.
_QUIET_INTERFACES = {
    "lo",
    "tunl0",
    "sit0",
    "ip6tnl0",
    "gre0",
    "gretap0",
    "erspan0",
    "ip_vti0",
    "ip6_vti0",
    "ip6gre0",
}


def _writable(report: Mapping[str, Any]) -> list[str]:
    fine = (WORK, "/dev/shm", *_ENGINE_MOUNTS)
    return [place for place, _, writable, _ in report["mounts"] if writable and place not in fine]


def _foreign(report: Mapping[str, Any]) -> list[str]:
    """Mounts of a disk other than the image itself and the small files that every engine lays into /etc."""
    ours = {"/", *_ENGINE_FILES}
    virtual = {"proc", "tmpfs", "devpts", "sysfs", "cgroup", "cgroup2", "mqueue", "devtmpfs", "securityfs"}
    return [
        place
        for place, kind, _, _ in report["mounts"]
        if kind not in virtual and place not in ours and not _of_gpu(place)
    ]


def _of_gpu(place: str) -> bool:
    """NVIDIA's hook mounts the driver's files, read-only, and its devices."""
    name = place.rpartition("/")[2]
    return "nvidia" in place or name.startswith(("libcuda", "libnv", "libEGL", "libGLES", "libGLX"))


def start_memory(limits: Limits) -> int:
    """Bytes that a container may use until its runner is ready."""
    return (2 * limits.memory_mb + PRELOAD_MB) << 20


def in_use(stats: Mapping[str, Any]) -> int:
    """Bytes that a container really needs: its page cache can be had back at any time."""
    details = stats.get("stats", {})
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    return max(0, int(stats["usage"]) - int(cache))


def most_processes(limits: Limits) -> int:
    """Processes and threads that a container may have: the candidate's, and those of runner and evaluator."""
    return limits.processes + _OWN_PROCESSES


def create_shell(engine: Engine, image: Image, limits: Limits) -> str:
    """A container, not started, for a shell on a terminal: behind the same walls, as the first of its users."""
    more = {"entrypoint": ["/bin/sh"], "tty": True, "working_dir": WORK}
    return _create(
        engine, image, limits, (), (), lambda users: {**more, "user": f"{users.first}:{users.first}"}
    )[0]


def _create(
    engine: Engine,
    image: Image,
    limits: Limits,
    command: Sequence[str],
    gpus: tuple[str, ...],
    more: Callable[[Users], Mapping[str, Any]] = lambda _users: {},
) -> tuple[str, Users]:
    labels = {
        f"{LABEL}role": "slot",
        f"{LABEL}owner": json.dumps(asdict(this_process())),
    }
    for _ in range(20):
        users = _free_users(engine)
        with engine.answering("create a container"):
            created: str = engine.api.create_container(
                image.digest,
                command=list(command),
                labels={**labels, f"{LABEL}users": str(users.block)},
                # Its input ends when we hang up, and with that its runner.
                stdin_open=True,
                hostname="sandbox",
                host_config=_host_config(engine, limits, gpus),
                **more(users),
            )["Id"]
        # Two workers may have chosen the same range at the same moment: the container with the lower number keeps it.
        same = [one["Id"] for one in engine.labelled({"role": "slot", "users": str(users.block)})]
        if created == min(same, default=created):
            return created, users
        engine.remove(created)
    raise SandboxBroken("no range of user numbers is free; remove containers that other runs left")


def _free_users(engine: Engine) -> Users:
    taken = {one["Labels"].get(f"{LABEL}users") for one in engine.labelled({"role": "slot"})}
    free = [block for block in range(_BLOCKS) if str(block) not in taken]
    if not free:
        raise SandboxBroken(f"{_BLOCKS} sandboxes run on this engine already, which is the most")
    return Users(random.SystemRandom().choice(free))


def _host_config(engine: Engine, limits: Limits, gpus: tuple[str, ...]) -> Any:
    from docker.types import DeviceRequest, LogConfig, Ulimit

    size = f"size={limits.memory_mb}m,nr_inodes={_MOST_FILES}"
    return engine.api.create_host_config(
        network_mode="none",
        read_only=True,
        # Executable, because compilers of candidates load what they have just built.
        tmpfs={WORK: f"rw,exec,nosuid,nodev,mode=1777,{size}"},
        shm_size=limits.memory_mb << 20,
        ipc_mode="private",
        sysctls=_NO_SYSTEM_V,
        cap_drop=["ALL"],
        cap_add=["SETUID", "SETGID", "KILL"],
        security_opt=["no-new-privileges"],
        pids_limit=most_processes(limits),
        mem_limit=start_memory(limits),
        memswap_limit=start_memory(limits),
        cpu_period=_CPU_PERIOD,
        cpu_quota=_CPU_PERIOD * limits.cpus,
        ulimits=[
            Ulimit(name="core", soft=0, hard=0),
            Ulimit(name="nofile", soft=_OPEN_FILES, hard=_OPEN_FILES),
            Ulimit(name="memlock", soft=1 << 20, hard=1 << 20),
        ],
        # All data goes over the attached stream; a log would copy every byte of it to the host's disk.
        log_config=LogConfig(type="none"),
        device_requests=[DeviceRequest(device_ids=list(gpus), capabilities=[["gpu"]])] if gpus else None,
    )


_CPU_PERIOD = 50_000


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
