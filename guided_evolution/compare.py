"""Does evolution beat best-of-n? Arms search on the same budget, by turns; each one's winner is confirmed and compared.

Every run is a run like others in the archive, labelled with its comparison, so a comparison that was killed goes on
when the same command is given again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from guided_evolution.archive import Archive, programs, runs
from guided_evolution.bootstrap import Contrast, Estimate, contrast, mean
from guided_evolution.budget import Budget
from guided_evolution.errors import SettingsError, WorldFailed
from guided_evolution.evaluation import judge
from guided_evolution.results import read_results
from guided_evolution.sandbox import Job, Sandbox
from guided_evolution.sandbox.choice import Opener
from guided_evolution.search_plan import SearchPlan, check_search
from guided_evolution.seed import Seed
from guided_evolution.session import Plan, StopHook, no_signals, resume_run, start_run

_ARM_KEYS = ("selection", "islands", "migration", "population")


class Stopped(Exception):
    """Somebody stopped the comparison; the same command goes on with it."""


@dataclass(frozen=True)
class Arm:
    """One way of searching; `text` is how the user named it."""

    text: str
    search: SearchPlan
    population: int | None = None


@dataclass(frozen=True)
class Trial:
    """One run of an arm, finished and confirmed.

    Attributes:
        searched: the primary metric of its winner as the search saw it.
        confirmed: the mean of the same on held-out cases and fresh seeds; the seed program's where the winner failed.
        seed_program: that of the seed program on the same seeds.
        failed: the winner failed when it was confirmed.
    """

    task: str
    arm: str
    repetition: int
    run: str
    searched: float
    confirmed: float
    seed_program: float
    failed: bool


@dataclass(frozen=True)
class Comparison:
    """All trials, and what follows from them. Gains are shares of the seed program's score, larger is better."""

    arms: tuple[str, ...]
    trials: tuple[Trial, ...]
    directions: Mapping[str, str]

    def confirmed(self, arm: str, task: str) -> Estimate:
        """The mean of the confirmed metric as the task reports it."""
        return mean({task: np.array([one.confirmed for one in self._of(arm) if one.task == task])})

    def searched(self, arm: str, task: str) -> float:
        """The mean of what the search believed."""
        return float(np.mean([one.searched for one in self._of(arm) if one.task == task]))

    def gains(self, arm: str) -> Mapping[str, np.ndarray[Any, np.dtype[np.float64]]]:
        """By task, each repetition's confirmed gain over the seed program, as a share of its score."""
        return {
            task: np.array([self._gain(one) for one in self._of(arm) if one.task == task])
            for task in self.directions
        }

    def contrast(self, ours: str, theirs: str, task: str | None = None) -> Contrast:
        """One arm against another, on one task or over all."""
        first, second = self.gains(ours), self.gains(theirs)
        tasks = [task] if task else list(self.directions)
        return contrast({name: first[name] for name in tasks}, {name: second[name] for name in tasks})

    def _of(self, arm: str) -> list[Trial]:
        return [one for one in self.trials if one.arm == arm]

    def _gain(self, trial: Trial) -> float:
        grown = trial.confirmed - trial.seed_program
        scale = abs(trial.seed_program) or 1.0
        return (grown if self.directions[trial.task] == "maximize" else -grown) / scale


def parse_arm(text: str) -> Arm:
    """``evolve``, ``hill-climb``, or with settings ``evolve:selection=spea2:islands=3``. Raises SettingsError."""
    strategy, *pairs = text.split(":")
    given: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals and given.get("selection"):  # selection=module:Class holds a colon itself
            given["selection"] += f":{pair}"
            continue
        if key not in _ARM_KEYS or not value:
            raise SettingsError(
                f'arm "{text}": "{pair}" must be KEY=VALUE with one of {", ".join(_ARM_KEYS)}'
            )
        given[key] = value
    numbers = {key: _whole(text, key, given[key]) for key in ("islands", "population") if key in given}
    plan = SearchPlan(strategy, given.get("selection"), numbers.get("islands"), given.get("migration"))
    try:
        check_search(plan)
    except SettingsError as problem:
        raise SettingsError(f'arm "{text}": {problem}') from problem
    return Arm(text, plan, numbers.get("population"))


def _whole(arm: str, key: str, value: str) -> int:
    if not value.isdecimal() or not 1 <= int(value) <= 10**5:
        raise SettingsError(f'arm "{arm}": {key} must be a whole number from 1 on, not "{value}"')
    return int(value)


def compare(
    archive: Archive,
    seeds: Sequence[Seed],
    arms: Sequence[Arm],
    *,
    repetitions: int,
    evaluations_each: int,
    confirmations: int = 3,
    slots: int = 1,
    rng_seed: int = 0,
    opener: Opener | None = None,
    tell: Callable[[Trial], None] = lambda _trial: None,
    stop_hook: StopHook = no_signals,
) -> Comparison:
    """Run every arm `repetitions` times on every seed, and confirm what each run found.

    Arms take turns within a repetition, and share its random seed and its evaluation seed. What an earlier call with
    the same arguments finished isn't done again. `tell` hears of every trial.

    Raises:
        Stopped: the stop hook stopped a run.
        WorldFailed: something broke; the same call goes on.
    """
    opener = opener or Opener()
    trials: list[Trial] = []
    for seed in seeds:
        judging = _Judge(archive, seed, opener, confirmations)
        try:
            for repetition in range(repetitions):
                for turn in range(len(arms)):
                    # Who goes first changes, so that a machine that slows down slows all alike.
                    arm = arms[(turn + repetition) % len(arms)]
                    plan = Plan(
                        Budget(evaluations=evaluations_each),
                        slots,
                        arm.population,
                        search=arm.search,
                        label=_label(seed, arm, evaluations_each, rng_seed, repetition),
                    )
                    run = _searched(archive, seed, plan, rng_seed + repetition, opener, stop_hook)
                    trials.append(judging.trial(run, arm, repetition))
                    tell(trials[-1])
        finally:
            judging.close()
    directions = {seed.name: seed.primary.direction for seed in seeds}
    return Comparison(tuple(arm.text for arm in arms), tuple(trials), directions)


def _label(seed: Seed, arm: Arm, evaluations_each: int, rng_seed: int, repetition: int) -> str:
    """Names one run of one comparison, whatever the others are."""
    parts = [seed.hash, arm.text, evaluations_each, rng_seed, repetition]
    return "compare/" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def _searched(
    archive: Archive, seed: Seed, plan: Plan, rng_seed: int, opener: Opener, stop_hook: StopHook
) -> runs.StoredRun:
    """The finished run with the plan's label: found, gone on with, or made."""
    with archive.read() as connection:
        every = runs.all_runs(connection)
    run = next((one for one in every if one.settings.get("label") == plan.label), None)
    if run is not None and run.state == "finished":
        return run
    if run is None:
        finished = start_run(
            archive,
            seed,
            plan,
            rng_seed=rng_seed,
            evaluation_seed=_drawn(f"{rng_seed}/evaluate"),
            opener=opener,
            command="compare",
            stop_hook=stop_hook,
        )
    else:
        finished = resume_run(archive, run, opener=opener, command="compare", stop_hook=stop_hook)
    if finished.ending.state != "finished":
        raise Stopped(finished.ending.reason)
    return finished.run


def _drawn(what: str) -> int:
    """31 bits that nothing else is made of."""
    return int.from_bytes(hashlib.sha256(f"compare/{what}".encode()).digest()[:4], "big") >> 1


class _Judge:
    """Confirms the winners of one seed's runs: by what their runs confirmed, and on further fresh seeds."""

    def __init__(self, archive: Archive, seed: Seed, opener: Opener, confirmations: int) -> None:
        self._archive = archive
        self._seed = seed
        self._opener = opener
        self._further = confirmations - (0 if seed.self_scored else 1)
        self._sandbox: Sandbox | None = None
        self._founders: dict[int, float | None] = {}

    def trial(self, run: runs.StoredRun, arm: Arm, repetition: int) -> Trial:
        """What a finished run found, confirmed."""
        with self._archive.read() as connection:
            results = read_results(connection, run)
            winner, founder = results.best(), results.seed_member
            assert founder is not None, "a finished run has scored its seed program"
            sources = programs.sources(connection, winner.program_id)
        metric = self._seed.primary.metric
        own, base = [], []
        if not self._seed.self_scored:
            own.append(results.confirmed.get(winner.program_id, {}).get(metric))
            base.append(results.confirmed.get(founder.program_id, {}).get(metric))
        for number in range(self._further):
            # The same for all arms of a repetition, and used by no search.
            fresh = _drawn(f"{run.rng_seed}/confirm/{number}")
            if fresh not in self._founders:
                self._founders[fresh] = self._score(self._seed.program, fresh, metric)
            base.append(self._founders[fresh])
            same = winner.program_id == founder.program_id
            own.append(self._founders[fresh] if same else self._score(sources, fresh, metric))
        known = [value for value in base if value is not None]
        if not known:
            raise WorldFailed(
                f"the seed program of {self._seed.name} fails when it is confirmed; `check` shows why"
            )
        start = float(np.mean(known))
        found = [value for value in own if value is not None]
        failed = len(found) < len(own)
        return Trial(
            task=self._seed.name,
            arm=arm.text,
            repetition=repetition,
            run=run.name,
            searched=float(winner.metrics[metric]),
            confirmed=start if failed else float(np.mean(found)),
            seed_program=start,
            failed=failed,
        )

    def close(self) -> None:
        """Give the sandbox back."""
        if self._sandbox is not None:
            self._sandbox.close()

    def _score(self, program: Mapping[str, bytes], fresh: int, metric: str) -> float | None:
        """The metric on held-out cases, or on another seed where there are none; None if the program fails."""
        held_out = self._seed.has_confirm
        self._sandbox = self._sandbox or self._opener(self._seed)
        job = Job(program=program, seed=fresh, purpose="confirm" if held_out else "evaluate")
        result = judge(self._seed, self._sandbox.run(job), self._sandbox.kind, held_out=held_out)
        return None if result.metrics is None else result.metrics.get(metric)
