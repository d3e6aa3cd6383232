"""Start a run or go on with one: wires seed, archive, sandbox, workers and controller together."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from guided_evolution.archive import Archive, leases, runs
from guided_evolution.budget import Budget, from_json, to_json
from guided_evolution.controller import Controller, Ending, Search
from guided_evolution.errors import ArchiveUnavailable, GuidedEvolutionError, SettingsError
from guided_evolution.hands import Hands, HandsElsewhere, OwnHands
from guided_evolution.identity import this_process
from guided_evolution.model_run import SETTINGS_KEY, ModelRun
from guided_evolution.prices import Limits
from guided_evolution.progress import Progress, Watcher, nobody
from guided_evolution.sandbox.choice import Opener
from guided_evolution.script import Script
from guided_evolution.search_plan import SearchPlan, check_search, standings
from guided_evolution.seed import Seed

DEFAULT_SECONDS = 60.0
"""What a run may take when nobody names a budget."""

DEFAULT_SHARES: Mapping[str, float] = MappingProxyType(
    {"constant": 0.45, "function": 0.15, "statement": 0.15, "crossover": 0.15, "operator": 0.1, "again": 0.25}
)
"""Share of proposals by operator where the settings name none."""

MODEL_SHARES: Mapping[str, float] = MappingProxyType(
    {
        **{"mutate": 0.6, "merge": 0.1, "draft": 0.05, "repair": 0.1},
        **{"constant": 0.07, "function": 0.02, "statement": 0.03, "crossover": 0.02, "operator": 0.01},
    }
)
"""The same for a run that asks models."""


_NO_BOUND = 10**9

_MODEL_OPERATORS = ("mutate", "merge", "draft", "repair")


def quiet(_said: str) -> None:
    """A notice that nobody reads."""


@dataclass(frozen=True)
class Plan:
    """How a run searches and what it may spend; kept with the run, so that `resume` needs no settings.

    Attributes:
        slots: evaluations at once on this machine.
        population: most programs that may become parents; None takes the default for the budget.
        operators: share of proposals by operator name; those not named keep their default share, 0 switches one off.
        model_run: the models that are asked; None for a run without.
        search: strategy, selection and islands.
        label: by which a command finds its runs again.
    """

    budget: Budget
    slots: int
    population: int | None = None
    operators: tuple[tuple[str, float], ...] = ()
    model_run: ModelRun | None = None
    search: SearchPlan = field(default_factory=SearchPlan)
    label: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As the archive keeps it."""
        return {
            "budget": to_json(self.budget),
            "slots": self.slots,
            "population": self.population,
            "operators": dict(self.operators),
            SETTINGS_KEY: None if self.model_run is None else self.model_run.to_json(),
            "search": self.search.to_json(),
            "label": self.label,
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Plan:
        """What `to_json` wrote."""
        operators = tuple((str(name), float(share)) for name, share in stored["operators"].items())
        asked = ModelRun.from_json(stored.get(SETTINGS_KEY))
        return cls(
            from_json(stored["budget"]),
            int(stored["slots"]),
            stored["population"],
            operators,
            asked,
            SearchPlan.from_json(stored.get("search")),
            stored.get("label"),
        )


@dataclass(frozen=True)
class Finished:
    """A session of a run that ended without failing."""

    run: runs.StoredRun
    ending: Ending
    progress: Progress


StopHook = Callable[[Callable[[str], None]], contextlib.AbstractContextManager[None]]
"""Given a function that stops the run, keeps it connected to signals (or anything) while the run goes on."""


@contextlib.contextmanager
def no_signals(_stop: Callable[[str], None]) -> Iterator[None]:
    """A stop hook that connects nothing."""
    yield


def start_run(
    archive: Archive,
    seed: Seed,
    plan: Plan,
    *,
    rng_seed: int | None = None,
    evaluation_seed: int | None = None,
    opener: Opener | None = None,
    command: str = "evolve",
    watch: Watcher = nobody,
    notice: Callable[[str], None] = quiet,
    stop_hook: StopHook = no_signals,
    broker: str | None = None,
) -> Finished:
    """Begin a run on `seed` and drive it until it ends.

    Args:
        evaluation_seed: what the evaluator gets; drawn anew unless given, as by a replay.
        opener: opens the sandboxes; None takes the process kind.
        notice: told what the user should know of the run's models.
        broker: URL of the server whose workers do the work; None does it in this process.

    Raises:
        SeedError: the seed program fails its own evaluation, or packages that it needs are missing.
        WorldFailed: the sandbox or the archive broke; `resume_run` goes on.
    """
    plan = _checked(plan, seed)
    opener = opener or Opener()
    # Workers elsewhere see for themselves whether they can open sandboxes for this seed.
    sandbox = opener.prepare(seed) if broker is None else opener.kind
    with archive.write() as connection:
        run = runs.create(
            connection,
            seed,
            settings=plan.to_json(),
            rng_seed=secrets.randbits(32) if rng_seed is None else rng_seed,
            evaluation_seed=secrets.randbits(31) if evaluation_seed is None else evaluation_seed,
            sandbox=sandbox,
        )
        held = leases.take(connection, run.id, run.name, this_process(), command)
    return _drive(archive, run, seed, plan, held, opener, watch, stop_hook, notice, broker)


def resume_run(
    archive: Archive,
    run: runs.StoredRun,
    *,
    add: int = 0,
    add_seconds: float = 0.0,
    slots: int | None = None,
    limits: Limits | None = None,
    opener: Opener | None = None,
    command: str = "resume",
    watch: Watcher = nobody,
    notice: Callable[[str], None] = quiet,
    stop_hook: StopHook = no_signals,
    broker: str | None = None,
) -> Finished:
    """Go on with a run: what is finished counts, what a killed session held is done again.

    Args:
        add: evaluations on top of the run's budget.
        add_seconds: seconds on top of it.
        slots: evaluations at once on this machine; None keeps the run's.
        limits: of the model calls of all sessions; None keeps the run's.
        opener: opens the sandboxes; None takes the kind that the run began with.

    Raises:
        RunBusy: another command drives it.
    """
    with archive.write() as connection:
        held = leases.take(connection, run.id, run.name, this_process(), command)
        seed = runs.seed_of(connection, run)
        plan = Plan.from_json(run.settings)
        budget = grown(plan.budget, add, add_seconds, run.active_seconds)
        plan = replace(plan, budget=budget, slots=slots or plan.slots)
        if limits is not None and plan.model_run is not None:
            plan = replace(plan, model_run=plan.model_run.with_limits(limits))
        # What somebody asked of a session that is gone isn't meant for this one.
        runs.obeyed(connection, [row_id for row_id, _ in runs.open_commands(connection, run.id)])
        runs.set_settings(connection, held, plan.to_json())
        runs.set_state(connection, held, "running", None)
        run = runs.get(connection, run.id)
    opener = opener or Opener("docker" if run.sandbox.startswith("docker") else "process")
    return _drive(archive, run, seed, plan, held, opener, watch, stop_hook, notice, broker)


def grown(budget: Budget, add: int, add_seconds: float, used: float) -> Budget:
    """The budget of a run that has used `used` seconds, with so many evaluations and seconds more.

    Raises:
        SettingsError: it has no bound of evaluations that could grow.
    """
    if add:
        if budget.evaluations is None:
            raise SettingsError(
                "this run has no budget of evaluations to add to; add time instead, as in `--add-time 2m`"
            )
        budget = replace(budget, evaluations=budget.evaluations + add)
    if add_seconds:
        budget = replace(budget, seconds=max(used, budget.seconds or 0.0) + add_seconds)
    return budget


def _checked(plan: Plan, seed: Seed) -> Plan:
    check_search(plan.search)
    if plan.model_run is None and (asked := [name for name, _ in plan.operators if name in _MODEL_OPERATORS]):
        raise SettingsError(
            f"operators: {asked[0]} asks a model; name one by --model, as in `--model openai/gpt-5-mini`"
        )
    if plan.budget.target:
        metrics = [objective.metric for objective in seed.objectives]
        if plan.budget.target[0] not in metrics:
            raise SettingsError(
                f"target {plan.budget.target[0]!r} is no objective of seed {seed.name}; it has {', '.join(metrics)}"
            )
    if plan.budget == Budget():
        plan = replace(plan, budget=Budget(seconds=DEFAULT_SECONDS))
    return plan


def _drive(
    archive: Archive,
    run: runs.StoredRun,
    seed: Seed,
    plan: Plan,
    held: leases.Held,
    opener: Opener,
    watch: Watcher,
    stop_hook: StopHook,
    notice: Callable[[str], None],
    broker: str | None,
) -> Finished:
    # Late: Celery and LibCST are heavy, and reading commands load this module too.
    from guided_evolution.operators import builtin_operators

    operators = builtin_operators()
    wake = threading.Event()
    hands: Hands
    if broker is None:
        hands = OwnHands(
            archive,
            slots=plan.slots,
            proposers=_proposers(plan),
            opener=opener,
            notice=notice,
            wake=wake,
        )
    else:
        hands = HandsElsewhere(archive, run.id, broker, wake)
    controller = Controller(
        archive,
        run,
        seed,
        held,
        budget=plan.budget,
        search=_search(plan, {name: operator.parents for name, operator in operators.items()}),
        standings=standings(
            plan.search, seed, evaluations=plan.budget.evaluations, population=plan.population
        ),
        dispatch=hands.dispatch,
        wake=wake,
        watch=watch,
        script=_script(archive, run, plan),
        closing=hands.hush,
    )
    try:
        hands.start()
        with stop_hook(controller.ask_to_stop):
            end = controller.run()
            if end.state == "finished" and not seed.self_scored:
                controller.confirm(controller.shortlist(), seed=confirm_seed(run.evaluation_seed))
        progress = controller.progress(end.state)
    except GuidedEvolutionError as error:
        _record_failure(archive, held, error)
        raise
    finally:
        hands.stop()
        with contextlib.suppress(ArchiveUnavailable), archive.write() as connection:
            leases.give_up(connection, held)
    with archive.read() as connection:
        return Finished(runs.get(connection, run.id), end, progress)


def _record_failure(archive: Archive, held: leases.Held, error: GuidedEvolutionError) -> None:
    """Write down why the session ended, if the archive still takes it and the run is still ours."""
    with contextlib.suppress(ArchiveUnavailable, leases.LeaseLost), archive.write() as connection:
        runs.set_state(connection, held, "failed", str(error))


def confirm_seed(evaluation_seed: int) -> int:
    """A seed that the search never used; the same at every session of a run, and in `check` of what it wrote."""
    digest = hashlib.sha256(f"{evaluation_seed}/confirm".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _search(plan: Plan, parents: Mapping[str, int]) -> Search:
    asked = plan.model_run
    bases: dict[str, str] = {}
    if asked is not None:
        from guided_evolution.operators import model_operators

        bases = {name: operator.base for name, operator in model_operators().items()}
        parents = {**parents, **{name: operator.parents for name, operator in model_operators().items()}}
    defaults = DEFAULT_SHARES if asked is None else MODEL_SHARES
    shares = {name: defaults.get(name, 0.0) for name in parents} | dict(plan.operators)
    unknown = sorted(set(shares) - set(parents))
    if unknown:
        raise SettingsError(
            f"operators: there is no operator {unknown[0]!r}; there are {', '.join(sorted(parents))}"
        )
    used = {name: (parents[name], share) for name, share in shares.items() if share > 0}
    if not any(needed == 1 and bases.get(name) != "failed" for name, (needed, _) in used.items()):
        raise SettingsError("operators: at least one that needs a single parent must have a share above 0")
    calls = 0 if asked is None else asked.calls
    one_by_one = plan.slots == 1 and calls <= 1
    return Search(
        used,
        1 if one_by_one else 2 * plan.slots,
        bases,
        calls,
        plan.slots,
        adapts=plan.search.strategy == "evolve",
    )


def model_share(plan: Plan) -> float:
    """The share of proposals that ask a model; repair left out, as it waits for failures."""
    shares = {**MODEL_SHARES, **dict(plan.operators)}
    every = sum(share for name, share in shares.items() if name != "repair")
    asked = sum(shares[name] for name in _MODEL_OPERATORS if name != "repair")
    return asked / every if every else 1.0


def replayed(plan: Plan, source: runs.StoredRun) -> Plan:
    """The plan of a run that makes `source` again, one proposal after the other.

    Raises:
        SettingsError: it asked no model.
    """
    if plan.model_run is None:
        raise SettingsError(
            f"run {source.name} asked no model; make it again by --rng-seed {source.rng_seed} --slots 1"
        )
    asked = replace(plan.model_run, replay=(source.id, source.name), calls=1)
    return replace(plan, budget=Budget(evaluations=_NO_BOUND), slots=1, model_run=asked)


def _proposers(plan: Plan) -> int:
    """Threads that work off proposals."""
    if plan.model_run is not None:
        return plan.model_run.calls
    return 2 if plan.slots > 1 else 1


def _script(archive: Archive, run: runs.StoredRun, plan: Plan) -> Script | None:
    """The choices to make again, for a run that replays another."""
    if plan.model_run is None or plan.model_run.replay is None:
        return None
    source_id, name = plan.model_run.replay
    return Script(archive, source_id, run.id, name)
