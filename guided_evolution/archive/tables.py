"""The archive's tables: one row a fact, and what is finished never changes.

States
    Run         running -> paused -> running -> finished | stopped | failed   (finished and stopped can be resumed)
    Proposal    pending -> running -> accepted | rejected | known
    Evaluation  pending -> running -> scored | failed | lost                  (a lost one has a successor: attempt + 1)
    Completion  open -> answered | failed | lost -> answered                  (a lost one may have a successor)

Times are seconds since 1970 by the database's clock. `table=True` models validate nothing: what comes from
outside is parsed before it gets here.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field
from sqlmodel import SQLModel as SQLModel

from guided_evolution.archive.text import Text


class StoredSeed(SQLModel, table=True):
    """A seed's whole content, so that any machine that reaches the archive can go on with the run."""

    __tablename__ = "seed"
    hash: str = Field(primary_key=True)
    name: str
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Run(SQLModel, table=True):
    """One search: a seed, a budget and what became of it."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(unique=True)
    seed_hash: str = Field(foreign_key="seed.hash")
    seed_name: str
    scoring_version: str
    settings: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    rng_seed: int = Field(sa_column=Column(BigInteger, nullable=False))
    evaluation_seed: int = Field(sa_column=Column(BigInteger, nullable=False))
    sandbox: str
    state: str
    reason: str | None = Field(default=None, sa_column=Column(Text))
    seed_program_id: int | None = None
    active_seconds: float = 0.0
    created_at: float
    ended_at: float | None = None


class Proposal(SQLModel, table=True):
    """The controller's wish for one child: operator and parents; its number seeds every random choice.

    `material` names by id what a prompt shows besides the parents, so that the same row always makes the same prompt.
    """

    __table_args__ = (
        UniqueConstraint("run_id", "number"),
        Index(
            "proposal_open",
            "run_id",
            "state",
            sqlite_where=text("state IN ('pending', 'running')"),
            postgresql_where=text("state IN ('pending', 'running')"),
        ),
    )
    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id")
    number: int
    operator: str
    parents: list[int] = Field(sa_column=Column(JSON, nullable=False))
    material: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    state: str
    attempt: int = 1
    worker_id: int | None = None
    claim: str | None = None
    program_id: int | None = None
    kind: str | None = None
    error: str | None = Field(default=None, sa_column=Column(Text))
    summary: str | None = Field(default=None, sa_column=Column(Text))
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None


class Gene(SQLModel, table=True):
    """A piece of source, stored once however many programs hold it."""

    id: int | None = Field(default=None, primary_key=True)
    hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False, unique=True))
    source: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Program(SQLModel, table=True):
    """An immutable program: for each file its genes by id, in order. A fingerprint stands once in a run."""

    __table_args__ = (UniqueConstraint("run_id", "fingerprint"),)
    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id")
    proposal_id: int | None = Field(default=None, index=True)
    fingerprint: str
    generation: int
    genome: dict[str, list[int]] = Field(sa_column=Column(JSON, nullable=False))
    size: int


class Parentage(SQLModel, table=True):
    """Who came from whom; `role` is ``base`` (the edit applies to it) or ``donor``."""

    child_id: int = Field(primary_key=True, foreign_key="program.id")
    parent_id: int = Field(primary_key=True, foreign_key="program.id", index=True)
    role: str


class Evaluation(SQLModel, table=True):
    """One attempt to score a program. `purpose` is ``seed``, ``search``, ``check`` or ``confirm``."""

    __table_args__ = (
        Index("evaluation_run", "run_id", "purpose", "state"),
        Index(
            "evaluation_open",
            "run_id",
            "state",
            sqlite_where=text("state IN ('pending', 'running')"),
            postgresql_where=text("state IN ('pending', 'running')"),
        ),
    )
    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id")
    program_id: int = Field(foreign_key="program.id", index=True)
    proposal_id: int | None = Field(default=None, index=True)
    purpose: str
    seed: int = Field(sa_column=Column(BigInteger, nullable=False))
    attempt: int = 1
    state: str
    worker_id: int | None = None
    claim: str | None = None
    kind: str | None = None
    error: str | None = Field(default=None, sa_column=Column(Text))
    metrics: dict[str, float] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    feedback: str | None = Field(default=None, sa_column=Column(Text))
    measures: dict[str, float] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    artifacts: dict[str, str] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    private: dict[str, float] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    rungs: list[dict[str, Any]] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    output: str | None = Field(default=None, sa_column=Column(Text))
    seconds: float | None = None
    memory_mb: float | None = None
    sandbox: str | None = None
    scoring_version: str
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None


class Completion(SQLModel, table=True):
    """One attempt at a call of a model: `open` is committed before it is sent, its end before anything reads the reply.

    Attributes:
        state: ``open``, ``answered`` (an answer came, of use or not), ``failed`` (none came) or ``lost`` (its sender
            died: it counts at its reservation, and a reply that comes after all is kept).
        parameters: what was really sent besides the messages.
        requests: HTTP requests sent, retries too.
        reserved_cost, reserved_tokens: what the ledger set aside, at most, while the call was open.
        cost: US dollars; of a failed call what its provider may have charged.
    """

    __table_args__ = (UniqueConstraint("run_id", "proposal_id", "purpose", "turn", "attempt"),)
    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id")
    proposal_id: int | None = Field(default=None, foreign_key="proposal.id", index=True)
    purpose: str
    turn: int
    attempt: int = 1
    state: str
    model: str
    parameters: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    messages: list[dict[str, Any]] = Field(sa_column=Column(JSON, nullable=False))
    reply: str | None = Field(default=None, sa_column=Column(Text))
    reasoning: str | None = Field(default=None, sa_column=Column(Text))
    requests: int = 1
    reserved_cost: float = 0.0
    reserved_tokens: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None
    seconds: float | None = None
    finish_reason: str | None = None
    error: str | None = Field(default=None, sa_column=Column(Text))
    created_at: float
    finished_at: float | None = None


class Spending(SQLModel, table=True):
    """What a run's calls cost so far, and what is set aside for open ones: the sum of its completions."""

    run_id: int = Field(primary_key=True, foreign_key="run.id")
    cost: float = 0.0
    tokens: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    calls: int = 0
    reserved_cost: float = 0.0
    reserved_tokens: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))


class Lesson(SQLModel, table=True):
    """What was learned within a run, with the evaluations it rests on."""

    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id", index=True)
    text: str = Field(sa_column=Column(Text, nullable=False))
    evidence: list[int] = Field(sa_column=Column(JSON, nullable=False))
    state: str
    created_at: float


class Worker(SQLModel, table=True):
    """A process that claims proposals or evaluations; alive while its heartbeat is fresh.

    `done`, `failed` (of those done) and `per_minute` are its own counts, written with the heartbeat; `note` is what it
    wants people to know, such as why it refuses work. `ended_at` is set by one that ended in order.
    """

    id: int | None = Field(default=None, primary_key=True)
    host: str
    boot: str
    pid: int
    started: int = Field(sa_column=Column(BigInteger, nullable=False))
    queue: str
    slots: int
    version: str
    created_at: float
    heartbeat_at: float
    ended_at: float | None = None
    done: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    failed: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    per_minute: float = Field(default=0.0, sa_column_kwargs={"server_default": "0"})
    note: str | None = Field(default=None, sa_column=Column(Text))


class Command(SQLModel, table=True):
    """What a user asks of a run; the controller obeys at its next step."""

    id: int | None = Field(default=None, primary_key=True)
    run_id: int = Field(foreign_key="run.id", index=True)
    kind: str
    argument: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    created_at: float
    done_at: float | None = None


class Lease(SQLModel, table=True):
    """Who may decide for a run. `fence` grows with every holder and guards all of the controller's writes.

    `version` is the code that drives the run; workers with another refuse its rows.
    """

    run_id: int = Field(primary_key=True, foreign_key="run.id")
    fence: int
    host: str | None = None
    boot: str | None = None
    pid: int | None = None
    started: int | None = Field(default=None, sa_column=Column(BigInteger))
    command: str | None = None
    renewed_at: float
    version: str | None = None
