"""Reads what a program of the host could: keys, passwords, the engine's socket, the test's own file."""

import glob
import os
import socket


def answer(questions):
    for place in [
        "/etc/shadow",
        "/proc/1/root/etc/shadow",
        *glob.glob("/host-canary*"),
        *glob.glob("/root/*"),
        *glob.glob("/home/*/*"),
        *glob.glob("/tmp/host-canary*"),
        *glob.glob("/run/secrets/*"),
    ]:
        try:
            with open(place) as file:
                print(place, file.read(2000))
        except (OSError, UnicodeDecodeError):
            pass
    for place in [
        "/var/run/docker.sock",
        "/run/docker.sock",
        "/run/podman/podman.sock",
        "/run/containerd/containerd.sock",
    ]:
        try:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(place)
                print("HOST" + "-CANARY: reached", place)
        except OSError:
            pass
    print(len(os.listdir("/")))
    return [1] * len(questions)
