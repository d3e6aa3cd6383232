"""Dies by a signal, as after a kill for memory."""

import os
import signal


def answer(questions):
    os.kill(os.getpid(), signal.SIGKILL)
