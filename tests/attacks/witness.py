"""Comes after an attack and says what it finds that a first program would not."""

import os
import socket


def answer(questions):
    found = []
    # The last of the container's users; see guided_evolution/sandbox/container.py.
    evaluator = (os.getuid() - 10_000) // 64 * 64 + 10_000 + 63
    for place in ("/work", "/dev/shm", "/tmp", "/var/tmp", os.environ["TMPDIR"], os.getcwd()):
        try:
            names = os.listdir(place)
        except OSError:
            continue
        for name in names:
            if not name.startswith(("evaluator-", "candidate-", "program.py", "__pycache__")):
                found.append(f"{place}/{name}")
    for kind in ("shm", "sem", "msg"):
        with open(f"/proc/sysvipc/{kind}") as table:
            found += [f"System V {kind}: {line.strip()}" for line in list(table)[1:]]
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as file:
                name, state = file.read().partition("(")[2].rpartition(")")[0::2]
            if os.stat(f"/proc/{pid}").st_uid not in (0, evaluator, os.getuid()):
                found.append(f"process {pid}: {name} {state.split()[0]} of {os.stat(f'/proc/{pid}').st_uid}")
        except OSError:
            pass
    with open("/proc/net/unix") as sockets:
        found += [line.split()[-1] for line in list(sockets)[1:] if "left-" in line]
    try:
        socket.create_connection(("127.0.0.1", 45_678), timeout=0.2).close()
        found.append("a listener on loopback")
    except OSError:
        pass
    if found:
        print("LEFT-BEHIND", found)
    return [1] * len(questions)
