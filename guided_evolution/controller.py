"""The population manager: reads what is finished, keeps the standings, proposes children until the budget ends.

It alone decides. Its work per result depends on the population, never on the archive, and its writes carry its lease.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from sqlalchemy import Connection

from guided_evolution.archive import (
    Archive,
    completions,
    evaluations,
    history,
    leases,
    proposals,
    runs,
    workers,
)
from guided_evolution.archive.leases import Held
from guided_evolution.budget import Budget, Spent, ending
from guided_evolution.errors import GuidedEvolutionError, SeedError, WorldFailed
from guided_evolution.evaluation import EVALUATOR_FAULT, why_failed
from guided_evolution.front import Member, ordered_objectives
from guided_evolution.gains import AGAIN, Gains
from guided_evolution.pace import Pace
from guided_evolution.population import Standings
from guided_evolution.progress import Progress, Watcher
from guided_evolution.proposal import BUDGET, SEED
from guided_evolution.script import Script
from guided_evolution.seed import Seed
from guided_evolution.trials import REMEMBERED, Material, Trials

_HOUSEKEEPING_SECONDS = 1.0
_LONGEST_WAIT = 0.25
_FULL_LOOK_SECONDS = 1.0
_OUTAGE_SECONDS = 10.0


class Dispatch(Protocol):
    """How ids reach workers; `worker_ids` are those that live and die with this process.

    Attributes:
        elsewhere: whether the workers are other processes, which go on when this one ends.
        trouble: the first error that makes going on pointless.
    """

    worker_ids: list[int]
    elsewhere: bool
    trouble: GuidedEvolutionError | None

    def send_proposals(self, ids: list[int]) -> None: ...
    def send_evaluations(self, ids: list[int]) -> None: ...
    def drain(self, seconds: float | None = None) -> bool: ...
    def reopen(self) -> None: ...

    def tend(self) -> None:
        """Once a second: see that nothing that waits was forgotten."""

    def at_once(self, planned: int) -> int:
        """Proposals that may be open at once, where the plan says `planned`."""
        ...

    def arrived(self) -> set[int] | None:
        """Proposals that came to their end since the last call; None where nobody says."""
        ...


@dataclass(frozen=True)
class Search:
    """How a run searches.

    Attributes:
        operators: parents needed and share of proposals, by operator name.
        at_once: proposals whose outcome may be open at the same time. With 1, the same seed gives the same run.
        bases: what the operators that ask a model begin from: a ``scored`` program, the ``seed`` or a ``failed`` one.
        calls: proposals that may be at work at a model at once; 0 for a run without one.
        slots: evaluations at once.
        inspirations: other programs that a prompt shows.
        adapts: whether the shares of syntactic operators follow their gains, and gains are made again.
    """

    operators: Mapping[str, tuple[int, float]]
    at_once: int
    bases: Mapping[str, str] = field(default_factory=dict)
    calls: int = 0
    slots: int = 1
    inspirations: int = 2
    adapts: bool = False


@dataclass(frozen=True)
class Chosen:
    """A child to be made: by which operator, from which parents, with what in the prompt."""

    operator: str
    parents: tuple[int, ...]
    material: Material | None = None


@dataclass(frozen=True)
class Ending:
    """How a session of a run ended: ``finished`` (its budget), ``stopped`` (somebody's wish) or ``failed``."""

    state: str
    reason: str


class Controller:
    """Drives one run while it holds the run's lease."""

    def __init__(
        self,
        archive: Archive,
        run: runs.StoredRun,
        seed: Seed,
        held: Held,
        *,
        budget: Budget,
        search: Search,
        standings: Standings,
        dispatch: Dispatch,
        wake: threading.Event,
        watch: Watcher,
        script: Script | None = None,
        closing: Callable[[], None] = lambda: None,
    ) -> None:
        self._archive = archive
        self._run = run
        self._seed = seed
        self._held = held
        self._budget = budget
        self._search = search
        self._standings = standings
        self._gains = Gains()
        self._dispatch = dispatch
        self._wake = wake
        self._watch = watch
        self._script = script
        self._say_closing = closing
        self._open: set[int] = set()
        self._next_number = 0
        self._spent = Spent(seconds=run.active_seconds)
        self._failures: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._finished_at: deque[float] = deque(maxlen=200)
        self._trials = Trials()
        self._pace = Pace(search.calls)
        self._exhausted: str | None = None
        self._asked = completions.Amount()
        self._wish: str | None = None
        self._paused = False
        self._ticked = time.monotonic()
        self._kept_house = 0.0
        self._looked = 0.0
        self._closing = False
        self._heartbeats_count_from = 0.0

    def ask_to_stop(self, why: str) -> None:
        """Stop soon and cleanly; safe to call from a signal handler or another thread."""
        self._wish = why
        self._wake.set()

    def run(self) -> Ending:
        """Search until the budget ends or somebody stops it; what is at work then is finished and kept.

        Raises:
            SeedError: the seed program fails its own evaluation.
            WorldFailed: the sandbox or the archive broke; the run can be resumed.
        """
        self._rebuild()
        self._send_open()
        self._prove_seed()
        while (end := self._ending()) is None:
            self._propose_more()
            self._wait()
            self._take_in()
            self._keep_house()
        return self._close(end)

    # The way in: what the archive knows already

    def _rebuild(self) -> None:
        with self._archive.read() as connection:
            for one in proposals.outcomes(connection, self._run.id):
                self._place(one)
            final = {
                key: n
                for key, n in evaluations.counts(connection, self._run.id).items()
                if key[0] in ("scored", "failed")
            }
            settled = proposals.counts(connection, self._run.id)
            if self._search.bases:
                for past in history.recent(connection, self._run.id, REMEMBERED):
                    base = () if past.base is None else (past.base,)
                    self._trials.tell(past.proposal_id, past.operator, base, past.state, past.program_id)
            # Of the same moment as the counts: workers elsewhere finish things meanwhile.
            self._open = {row_id for row_id, _ in proposals.open_ids(connection, self._run.id)}
            self._next_number = proposals.last_number(connection, self._run.id) + 1
        self._failures.update(
            {kind or "unknown": n for (state, kind), n in final.items() if state == "failed"}
        )
        self._rejected.update(
            {
                kind or "known": n
                for (state, kind), n in settled.items()
                if state in ("rejected", "known") and kind != BUDGET
            }
        )
        self._spent = replace(
            self._spent, evaluations=sum(final.values()), unproductive=self._rejected.total()
        )

    def _send_open(self) -> None:
        """Take over what a dead session of this run left, and send everything that waits."""

        def take_over(connection: Connection) -> None:
            leases.check(connection, self._held)
            workers.sweep(connection, self._run.id, self._dispatch.worker_ids)

        self._archive.transact(take_over)
        self._send_pending()

    def _send_pending(self) -> None:
        look, run_id = self._archive.look, self._run.id
        self._dispatch.send_evaluations(look(lambda connection: evaluations.pending_ids(connection, run_id)))
        self._dispatch.send_proposals(look(lambda connection: proposals.pending_ids(connection, run_id)))

    def _prove_seed(self) -> None:
        """The seed program is scored before anything is made of it."""
        if self._next_number == 0:
            self._write_proposals([Chosen(SEED, ())])
        while self._standings.seed_member is None and self._wish is None and self._dispatch.trouble is None:
            self._wait()
            self._take_in()
            self._keep_house()
            if self._spent.evaluations and self._standings.seed_member is None:
                raise SeedError(self._why_seed_failed())

    def _why_seed_failed(self) -> str:
        kind, error = self._archive.look(
            lambda connection: evaluations.first_failure(connection, self._run.id)
        )
        return f"{why_failed(self._seed.name, kind, error)}; `guided-evolution check` with --debug shows all of it"

    # The loop

    def _ending(self) -> Ending | None:
        if self._wish is not None:
            return Ending("stopped", self._wish)
        if self._dispatch.trouble is not None:
            return Ending("failed", str(self._dispatch.trouble))
        if self._failures[EVALUATOR_FAULT]:
            return Ending("failed", "the evaluator raised; " + self._why_seed_failed())
        reason = ending(self._budget, self._spent, self._seed, self._best())
        if reason is None and self._exhausted is not None and not self._open:
            reason = self._exhausted
        return Ending("finished", reason) if reason else None

    def _propose_more(self) -> None:
        if self._paused or self._exhausted is not None:
            return
        room = self._room()
        if self._budget.evaluations is not None:
            room = min(room, self._budget.evaluations - self._spent.evaluations - len(self._open))
        if room > 0:
            self._write_proposals(self._choose_all(room))

    def _choose_all(self, room: int) -> list[Chosen]:
        """The next proposals, one by one where they are chosen already by a run that is replayed."""
        if self._script is None:
            return [self._choose(self._next_number + offset) for offset in range(room)]
        said = self._script.chosen(self._next_number)
        if said is None:
            self._exhausted = f"all of run {self._script.source_name} is replayed"
            return []
        return [Chosen(*said)]

    def _choose(self, number: int) -> Chosen:
        rng = random.Random(f"{self._run.rng_seed}/{number}/choice")
        able = self._able(number)
        operator = rng.choices(list(able), weights=list(able.values()))[0]
        count = self._search.operators[operator][0]
        base = self._search.bases.get(operator)
        if operator == AGAIN:
            best = self._standings.best
            target = self._standings.choose(1, rng, number)
            if best is not None and rng.random() < 0.5:
                target = (best.program_id,)
            return Chosen(operator, (*target, *self._gains.pair(rng)))
        if base is None:
            return Chosen(operator, self._standings.choose(count, rng, number))
        parents = self._parents(base, count, rng, number)
        return Chosen(operator, parents, self._material(parents, rng))

    def _able(self, number: int) -> dict[str, float]:
        """The operators that proposal `number` can use, with their shares."""
        free: dict[str, float] = {}
        asking: dict[str, float] = {}
        for name, (parents, share) in self._search.operators.items():
            base = self._search.bases.get(name)
            if name == AGAIN:
                if self._search.adapts and self._gains.any:
                    free[name] = share
            elif parents <= self._standings.parents_at(number) and (
                base != "failed" or self._trials.has_failed
            ):
                (free if base is None else asking)[name] = share
        return {**(self._gains.adapted(free) if self._search.adapts else free), **asking}

    def _parents(self, base: str, count: int, rng: random.Random, number: int) -> tuple[int, ...]:
        """The parents of a question to a model; of two, either may be the base."""
        if base == "seed" and self._standings.seed_member is not None:
            return (self._standings.seed_member.program_id,)
        if base == "failed":
            failed = self._trials.failed()
            self._trials.repaired(failed)
            return (failed,)
        parents = self._standings.choose(count, rng, number)
        return parents if rng.random() < 0.5 else parents[::-1]

    def _material(self, parents: tuple[int, ...], rng: random.Random) -> Material:
        """What the prompt shows besides the parents: what was tried from the base, and some of the best others."""
        others = {member.program_id for member in (*self._standings.front, *self._standings.members)}
        others -= {*parents, self._seed_id()}
        shown = rng.sample(sorted(others), min(self._search.inspirations, len(others)))
        best = self._standings.best
        return self._trials.material(
            parents[0],
            inspirations=shown,
            best=None if best is None else best.program_id,
            seed=self._seed_id(),
        )

    def _seed_id(self) -> int | None:
        seed = self._standings.seed_member
        return None if seed is None else seed.program_id

    def _room(self) -> int:
        """Proposals that may be written now, whatever the budget says."""
        search = self._search
        if self._script is not None:
            return 1 - len(self._open)
        if not search.calls or search.at_once == 1:
            return self._dispatch.at_once(search.at_once) - len(self._open)
        room = self._dispatch.at_once(self._pace.open_at_once(search.slots)) - len(self._open)
        if room <= 0 or self._dispatch.elsewhere:
            return room
        with self._archive.read() as connection:
            return min(room, search.calls - proposals.open_count(connection, self._run.id))

    def _write_proposals(self, chosen: Sequence[Chosen]) -> None:
        def add(connection: Connection) -> list[int]:
            leases.check(connection, self._held)
            return [
                proposals.add(
                    connection,
                    self._run.id,
                    number,
                    one.operator,
                    one.parents,
                    None if one.material is None else one.material.to_json(),
                )
                for number, one in enumerate(chosen, self._next_number)
            ]

        ids = self._archive.transact(add)
        self._next_number += len(ids)
        self._open.update(ids)
        self._dispatch.send_proposals(ids)

    def _wait(self) -> None:
        self._wake.wait(_LONGEST_WAIT)
        self._wake.clear()

    def _take_in(self) -> None:
        ended = self._open
        if (arrived := self._dispatch.arrived()) is not None:
            clock = time.monotonic()
            if clock - self._looked < _FULL_LOOK_SECONDS:
                ended = self._open & arrived
            else:
                self._looked = clock
        if not ended:
            return
        settled = self._archive.look(lambda connection: proposals.settled(connection, sorted(ended)))
        for one in settled:
            self._open.discard(one.proposal_id)
            self._count(one)
        if settled:
            self._watch(self.progress())

    def _count(self, one: proposals.Settled) -> None:
        if one.kind == BUDGET:
            self._exhausted = one.error or "the budget for model calls is used up"
            return
        self._pace.tell(one)
        if self._search.bases:
            self._trials.tell(one.proposal_id, one.operator, one.parents, one.state, one.program_id)
        self._place(one)
        if one.state in ("rejected", "known"):
            self._rejected[one.kind or "known"] += 1
            in_a_row = self._spent.unproductive_in_a_row + 1
            self._spent = replace(
                self._spent, unproductive=self._spent.unproductive + 1, unproductive_in_a_row=in_a_row
            )
            return
        self._finished_at.append(time.monotonic())
        if one.state == "failed":
            self._failures[one.kind or "unknown"] += 1
        self._spent = replace(self._spent, evaluations=self._spent.evaluations + 1, unproductive_in_a_row=0)

    def _place(self, one: proposals.Settled) -> None:
        """Tell the standings what came of a proposal; at resume of all of them, in the same order."""
        if one.kind == BUDGET:
            return
        grew, before = False, self._standings.best
        if one.state == "scored" and one.program_id is not None and one.metrics is not None:
            grew = self._standings.tell(
                one.program_id, one.metrics, one.measures, number=one.number, parents=one.parents
            )
        else:
            self._standings.miss(one.parents)
        evaluated = one.state in ("scored", "failed")
        self._gains.tell(
            one.operator, one.parents, one.program_id, evaluated=evaluated, gain=self._gain(before)
        )
        if evaluated:
            self._spent = replace(self._spent, since_growth=0 if grew else self._spent.since_growth + 1)

    def _gain(self, before: Member | None) -> float:
        """By how much the best is better than it was, as a share of the seed program's primary score."""
        now, seed = self._standings.best, self._standings.seed_member
        if before is None or now is None or seed is None or now is before or now.violation > 0:
            return 0.0
        if before.violation > 0:
            return 1.0  # the first that keeps the constraints
        return max(0.0, before.objectives[0] - now.objectives[0]) / (abs(seed.objectives[0]) or 1.0)

    def _keep_house(self) -> None:
        """Once a second: time, lease, commands, and what dead workers hold."""
        clock = time.monotonic()
        if not self._paused:
            self._spent = replace(self._spent, seconds=self._spent.seconds + clock - self._ticked)
        self._ticked = clock
        if clock - self._kept_house < _HOUSEKEEPING_SECONDS:
            return
        if self._kept_house and clock - self._kept_house > _OUTAGE_SECONDS:
            # Where we couldn't reach the archive, or slept, neither could others: let them show first that they live.
            self._heartbeats_count_from = clock + workers.DEAD_AFTER
        self._kept_house = clock
        self._count_calls()

        def look(connection: Connection) -> tuple[list[int], list[int], list[tuple[int, str]]]:
            runs.set_active_seconds(connection, self._held, self._spent.seconds)
            by_heartbeat = clock >= self._heartbeats_count_from
            swept = workers.sweep(
                connection, self._run.id, self._dispatch.worker_ids, by_heartbeat=by_heartbeat
            )
            return (*swept, runs.open_commands(connection, self._run.id))

        again, lost, commands = self._archive.transact(look)
        self._dispatch.send_proposals(again)
        self._dispatch.send_evaluations(lost)
        for row_id, kind in commands:
            self._obey(kind, row_id)
        if not self._paused and not self._closing:
            self._dispatch.tend()
        self._watch(self.progress())

    def _count_calls(self) -> None:
        if self._search.calls:
            spent = self._archive.look(lambda connection: completions.spent(connection, self._run.id))
            self._asked = spent.settled

    def _obey(self, command: str, row_id: int) -> None:
        if command == "stop":
            self._wish = "stopped by command"
        elif command == "fail":
            reason = self._archive.look(lambda connection: runs.argument_of(connection, row_id)).get("reason")
            self._dispatch.trouble = self._dispatch.trouble or WorldFailed(str(reason))
        elif command in ("pause", "resume"):
            self._paused = command == "pause"

        def note(connection: Connection) -> None:
            if command in ("pause", "resume"):
                runs.set_state(connection, self._held, "paused" if self._paused else "running", None)
            runs.obeyed(connection, [row_id])

        self._archive.transact(note)
        if command == "resume":
            self._send_pending()

    # The way out

    def _close(self, end: Ending) -> Ending:
        """Finish what is at work, take it in, and write down how it ended."""
        self._closing = True
        self._say_closing()
        if self._dispatch.elsewhere:  # of a paused run nothing new is claimed
            self._archive.transact(
                lambda connection: runs.set_state(connection, self._held, "paused", end.reason)
            )
        while not self._dispatch.drain(_HOUSEKEEPING_SECONDS):
            self._keep_house()
        self._looked = 0.0
        self._take_in()

        def write_down(connection: Connection) -> None:
            runs.set_active_seconds(connection, self._held, self._spent.seconds)
            runs.set_state(connection, self._held, end.state, end.reason)

        self._archive.transact(write_down)
        self._count_calls()
        self._watch(self.progress(end.state))
        if end.state == "failed":
            raise self._dispatch.trouble or WorldFailed(end.reason)
        return end

    def confirm(self, program_ids: Sequence[int], seed: int) -> None:
        """Score these programs on held-out cases (or, without `confirm`, on another seed) and wait for it.

        What an earlier session confirmed with this seed, or began to, isn't done twice.
        """

        def add(connection: Connection) -> list[int]:
            leases.check(connection, self._held)
            known = evaluations.confirmations(connection, self._run.id, seed)
            return [known.get(one) or self._confirmation(connection, one, seed) for one in program_ids]

        ids = self._archive.transact(add)
        self._closing = False
        self._dispatch.reopen()
        self._dispatch.send_evaluations(ids)
        while self._wish is None and self._dispatch.trouble is None:
            if len(self._archive.look(lambda connection: evaluations.final(connection, ids))) == len(ids):
                return
            self._wait()
            self._keep_house()

    def _confirmation(self, connection: Connection, program_id: int, seed: int) -> int:
        return evaluations.add(
            connection,
            run_id=self._run.id,
            program_id=program_id,
            proposal_id=None,
            purpose="confirm",
            seed=seed,
            scoring_version=self._run.scoring_version,
        )

    def shortlist(self) -> list[int]:
        """The seed program and the best by each objective, without repeats."""
        seed = self._standings.seed_member
        best = [self._standings.best_by(column) for column in range(len(self._seed.objectives))]
        return list(dict.fromkeys(member.program_id for member in [seed, *best] if member is not None))

    def progress(self, state: str | None = None) -> Progress:
        """The run as it stands now."""
        recent = self._finished_at
        span = recent[-1] - recent[0] if len(recent) > 1 else 0.0
        return Progress(
            run_name=self._run.name,
            state=state or ("paused" if self._paused else "running"),
            evaluations=self._spent.evaluations,
            seconds=self._spent.seconds,
            scored=self._spent.evaluations - self._failures.total(),
            running=len(self._open),
            seed=self._standings.seed_member,
            best={metric: member for metric, member in self._best().items() if member is not None},
            front=tuple(self._standings.front),
            failures=dict(self._failures),
            rejected=dict(self._rejected),
            per_second=(len(recent) - 1) / span if span > 0 else 0.0,
            model_calls=self._asked.calls,
            model_tokens=self._asked.tokens,
            model_cost=self._asked.cost,
        )

    def _best(self) -> dict[str, Member | None]:
        metrics = [objective.metric for objective in ordered_objectives(self._seed)]
        return {metric: self._standings.best_by(column) for column, metric in enumerate(metrics)}
