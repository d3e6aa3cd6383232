"""What a container is asked to be, and the proof, from inside, that it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guided_evolution.errors import SandboxBroken
from guided_evolution.seed import Limits

WORK = "/work"
"""The one folder, in memory, where jobs may write; /dev/shm is the other place."""

EVALUATOR_GROUP = 64999
"""Group that alone may read the evaluator's packages; the Dockerfile names it too."""

PRELOAD_MB = 8192
"""What importing a seed's packages may take; then the limit is lowered to what they did take."""
PODMAN_PRELOAD_MB = 1024

_OWN_PROCESSES = 64
_MOST_FILES = 20_000
_CPU_PERIOD = 50_000
# Left to itself, Podman asks for more than a container without capabilities may be given, and fails.
_PODMAN_PROCESSES = 8192
_GPU = ["gpu", "compute", "utility"]
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


def host_config(api: Any, limits: Limits, cards: tuple[str, ...] = (), *, podman: bool = False) -> Any:
    """What the engine is asked for, by its low-level client `api`; `cards` are the ids of graphics cards.

    Podman can't bound the number of files, which then count by the memory that they take.
    """
    from docker.types import DeviceRequest, LogConfig, Ulimit

    ulimits = {"core": 0, "nofile": _OPEN_FILES, "memlock": 1 << 20}
    if podman:
        ulimits["nproc"] = _PODMAN_PROCESSES
    size = f"size={limits.memory_mb}m" + ("" if podman else f",nr_inodes={_MOST_FILES}")
    # Executable, because compilers of candidates load what they have just built.
    tmpfs = {WORK: f"rw,exec,nosuid,nodev,mode=1777,{size}"}
    if podman:
        # It lays writable folders over these, of which nothing would be wiped.
        tmpfs.update(dict.fromkeys(("/tmp", "/run", "/var/tmp"), "ro,noexec,nosuid,nodev,mode=0555,size=4k"))
    return api.create_host_config(
        network_mode="none",
        read_only=True,
        tmpfs=tmpfs,
        shm_size=limits.memory_mb << 20,
        ipc_mode="private",
        sysctls=_NO_SYSTEM_V,
        cap_drop=["ALL"],
        cap_add=["SETUID", "SETGID", "KILL"],
        security_opt=["no-new-privileges"],
        pids_limit=most_processes(limits),
        mem_limit=start_memory(limits, podman=podman),
        memswap_limit=start_memory(limits, podman=podman),
        cpu_period=_CPU_PERIOD,
        cpu_quota=_CPU_PERIOD * limits.cpus,
        ulimits=[Ulimit(name=name, soft=most, hard=most) for name, most in ulimits.items()],
        # All data goes over the attached stream; a log would copy every byte of it to the host's disk.
        log_config=LogConfig(type="none"),
        device_requests=[DeviceRequest(device_ids=list(cards), capabilities=[_GPU])] if cards else None,
    )


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
    foreign = [place for place in _foreign(report) if not (limits.gpus and _of_gpu(place))]
    return {
        "it has more capabilities than asked for": not any(
            int(status[name], 16) & ~_CAPABILITIES
            for name in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb")
        ),
        "no-new-privileges isn't set": status["NoNewPrivs"] == "1",
        "no seccomp filter is set": status["Seccomp"] == "2",
        "its root folder can be written": not report["root_writable"],
        f"these can be written: {', '.join(_writable(report))}": not _writable(report),
        f"these folders of the host are mounted in it: {', '.join(foreign)}": not foreign,
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


def _writable(report: Mapping[str, Any]) -> list[str]:
    fine = (WORK, "/dev/shm", *_ENGINE_MOUNTS)
    return [place for place, _, writable, _ in report["mounts"] if writable and place not in fine]


def _foreign(report: Mapping[str, Any]) -> list[str]:
    """Mounts of a disk other than the image itself and the small files that every engine lays into /etc."""
    ours = {"/", *_ENGINE_FILES}
    virtual = {"proc", "tmpfs", "devpts", "sysfs", "cgroup", "cgroup2", "mqueue", "devtmpfs", "securityfs"}
    return [place for place, kind, _, _ in report["mounts"] if kind not in virtual and place not in ours]


def _of_gpu(place: str) -> bool:
    """NVIDIA's hook mounts the driver's files, read-only, and its devices."""
    name = place.rpartition("/")[2]
    return "nvidia" in place or name.startswith(("libcuda", "libnv", "libEGL", "libGLES", "libGLX"))


def start_memory(limits: Limits, *, podman: bool = False) -> int:
    """Bytes that a container may use until its runner is ready; with Podman, which can't lower a limit, for good."""
    return (2 * limits.memory_mb + (PODMAN_PRELOAD_MB if podman else PRELOAD_MB)) << 20


def most_processes(limits: Limits) -> int:
    """Processes and threads that a container may have: the candidate's, and those of runner and evaluator."""
    return limits.processes + _OWN_PROCESSES
