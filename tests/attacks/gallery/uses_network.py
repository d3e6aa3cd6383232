"""Looks for a way out: a route, the host's loopback, the engine's bridge, a name server, raw sockets."""

import os
import socket


def answer(questions):
    reached = []
    with open("/proc/net/route") as routes:
        reached += [line.split()[0] for line in list(routes)[1:]]
    reached += [name for _, name in socket.if_nameindex() if name != "lo" and "tun" not in name]
    # Ports that the test listens on, on the machine outside
    for address in (("127.0.0.1", 45_679), ("172.17.0.1", 45_679), ("172.17.0.1", 2375)):
        try:
            socket.create_connection(address, timeout=0.2).close()
            reached.append(address)
        except OSError:
            pass
    try:
        reached.append(socket.gethostbyname("localhost.localdomain.invalid"))
    except OSError:
        pass
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP):
            reached.append("raw")
    except OSError:
        pass
    if reached:
        print("NETWORK" + "-CANARY", reached, os.getuid())
    return [1] * len(questions)
