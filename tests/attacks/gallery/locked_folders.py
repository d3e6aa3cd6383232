"""Leaves locked folders, deep trees, links and odd names, so that cleaning up fails."""

import os


def answer(questions):
    here = os.getcwd()
    os.makedirs(f"{here}/locked/inner", exist_ok=True)
    with open(f"{here}/locked/inner/file", "w") as file:
        file.write("CANARY" + "-LEFT")
    os.symlink("/", f"{here}/locked/root")
    os.symlink("loop", f"{here}/loop")
    os.mkfifo(f"{here}/fifo")
    open(f"{here}/{'n' * 255}", "w").close()
    os.open(os.fsencode(here) + b"/\xff\xfe\n", os.O_CREAT)
    deep = os.open(here, os.O_RDONLY)
    for _ in range(600):
        os.mkdir("d" * 200, dir_fd=deep)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = inner
    os.chmod(f"{here}/locked/inner", 0)
    os.chmod(f"{here}/locked", 0)
    os.chmod(here, 0)
    return [1] * len(questions)
