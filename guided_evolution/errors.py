"""Every error that this package raises on purpose.

GuidedEvolutionError
├── BadInput              the user's input: one sentence, exit code 2
│   ├── SeedError         a seed folder
│   ├── SettingsError     a flag, an environment variable or a settings file
│   └── ArchiveError      an archive that can't be used, or a run that isn't in it
├── WorldFailed           the world: the run can be resumed, exit code 3
│   ├── SandboxBroken     a runner or an engine that doesn't work
│   ├── WorkerRefuses     a worker whose code or seed isn't the run's
│   ├── ArchiveUnavailable  the archive stopped answering (disk full, locked, gone)
│   ├── ModelUnavailable  no model answers (dead address, provider down)
│   ├── ModelRefused      the provider refuses the key, the account or the model's name
│   └── ReplayDiffers     a replayed run asks something that the archived one didn't
├── BudgetExhausted       the ledger can't afford the next model call: the run ends cleanly
└── EditRejected          an edit that can't become a program; costs no evaluation
"""

from __future__ import annotations


class GuidedEvolutionError(Exception):
    """Base of all errors raised on purpose; its text is one sentence for the user."""

    exit_code = 1


class BadInput(GuidedEvolutionError):
    """What the user gave can't be used."""

    exit_code = 2


class SeedError(BadInput):
    """A seed folder can't be used; names the file and the key."""


class SettingsError(BadInput):
    """A flag, an environment variable or a settings file can't be used."""


class ArchiveError(BadInput):
    """The archive can't be used, or holds no such run or program."""


class WorldFailed(GuidedEvolutionError):
    """Something outside the user's input broke; what is finished is kept."""

    exit_code = 3


class SandboxBroken(WorldFailed):
    """A runner or a container engine doesn't work. Never a candidate's doing."""


class WorkerRefuses(WorldFailed):
    """A worker's version, or the seed it reads, isn't the run's: it takes none of its work. Says what differs."""


class ArchiveUnavailable(WorldFailed):
    """The archive stopped answering in mid-run."""


class ModelUnavailable(WorldFailed):
    """No model answers: a dead address, a provider that is down, a deadline passed again and again."""


class ModelRefused(WorldFailed):
    """The provider refuses the key, the account or the model's name; no retry would help."""


class ReplayDiffers(WorldFailed):
    """A replayed run asks something else than the archived one did; the text shows the difference."""


class BudgetExhausted(GuidedEvolutionError):
    """The ledger can't afford the next model call; what is paid for is finished and the run ends cleanly."""

    exit_code = 0


class EditRejected(GuidedEvolutionError):
    """An edit that can't become a program.

    `kind` is a short slug by which rejections are counted: ``frozen``, ``protected``, ``signature``, ``syntax``,
    ``no-op``, ``size``, ``no-site``, and those of `replies.read_reply`. `summary` is what a model said that it did.
    """

    def __init__(self, kind: str, message: str, summary: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.summary = summary
