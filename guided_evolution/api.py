"""The Python face: one call that evolves a seed and returns what was found."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from guided_evolution.archive import Archive, open_archive, programs
from guided_evolution.budget import Budget
from guided_evolution.front import Member
from guided_evolution.model_choice import choose_model_run
from guided_evolution.progress import Watcher, nobody
from guided_evolution.results import Results, read_results
from guided_evolution.sandbox.choice import choose
from guided_evolution.search_plan import search_plan
from guided_evolution.seed import Seed, load_seed
from guided_evolution.seed_writer import is_hostile
from guided_evolution.session import Finished, Plan, quiet, start_run
from guided_evolution.settings import load_settings


@dataclass(frozen=True)
class Found:
    """A program of a run.

    Attributes:
        program: its id in the archive.
        metrics: what the search scored it with.
        confirmed: its metrics on held-out cases (for an evaluator without any: on another seed); None if not confirmed.
        files: its sources by path.
    """

    program: int
    metrics: Mapping[str, float]
    confirmed: Mapping[str, float] | None
    files: Mapping[str, str]


@dataclass(frozen=True)
class Result:
    """What a run found.

    Attributes:
        run: its name, as `guided-evolution resume` takes it.
        state: ``finished`` or ``stopped``; `reason` says by what.
        evaluations: how many count against the budget, failed ones too.
        seconds: time of work.
        self_scored: whether programs could have written their own scores (OpenEvolve's task folders).
        seed: the program that the run started from.
        best: the best by the primary objective among those that keep the constraints.
        front: the programs that no other one beats in every objective, best by the primary objective first.
    """

    run: str
    state: str
    reason: str
    evaluations: int
    seconds: float
    self_scored: bool
    seed: Found
    best: Found
    front: tuple[Found, ...]


def evolve(
    seed: str | os.PathLike[str] | Seed,
    *,
    archive: str | os.PathLike[str] | None = None,
    evaluations: int | None = None,
    time: float | str | None = None,
    target: tuple[str, float] | str | None = None,
    patience: int | None = None,
    slots: int | None = None,
    rng_seed: int | None = None,
    population: int | None = None,
    strategy: str | None = None,
    selection: str | None = None,
    islands: int | None = None,
    migration: str | None = None,
    operators: Mapping[str, float] | None = None,
    model: str | Sequence[str] | None = None,
    base_url: str | None = None,
    models_file: str | os.PathLike[str] | None = None,
    max_cost: float | None = None,
    max_tokens: int | None = None,
    max_calls: int | None = None,
    no_cap: bool | None = None,
    calls: int | None = None,
    prompts: str | os.PathLike[str] | None = None,
    sandbox: str | None = None,
    watch: Watcher = nobody,
    notice: Callable[[str], None] = quiet,
) -> Result:
    """Evolve a seed until its budget ends; everything is kept in the archive.

    What isn't given comes from `GUIDED_EVOLUTION_*` variables, then from `guided-evolution.toml`, as for the command.

    Args:
        seed: a built-in seed's name, a folder, or a loaded `Seed`.
        archive: path or URL of the archive; made where it doesn't exist.
        evaluations: budget of final evaluations.
        time: budget in seconds, or as text: ``"10m"``. Without any budget a run takes a minute.
        target: ``("accuracy", 0.9)`` or ``"accuracy=0.9"``: stop when a program reaches it.
        patience: stop after so many evaluations without growth of the front.
        slots: evaluations at once. With 1 the same `rng_seed` gives the same programs.
        rng_seed: decides every random choice of the run.
        population: most programs that may become parents, on each island.
        strategy: ``"evolve"``, or a baseline: ``"best-of-n"``, ``"random-walk"``, ``"hill-climb"``.
        selection: who becomes a parent: ``"nsga2"`` and others, or your own as ``"module:Class"``.
        islands: islands at most; they are spawned when the search stalls.
        migration: who sends migrants to whom: ``"ring"``, ``"full"``, ``"broadcast"``, ``"lattice"``, ``"torus"``.
        operators: share of proposals by operator.
        model: models to ask, as ``"openai/gpt-5-mini"`` or ``"openai/gpt-5=3"`` with a weight.
        base_url: address of an OpenAI-compatible server.
        models_file: a TOML file with models and their settings.
        max_cost, max_tokens, max_calls: what model calls may come to, in US dollars, tokens and requests; `no_cap` says
            that no bound is wanted.
        calls: model calls in flight at once.
        prompts: a folder of templates that take the place of ours.
        sandbox: ``"process"``, ``"docker"`` or ``"auto"``, which takes Docker where a model writes programs.
        notice: told what the user should know of the models.
        watch: called with a snapshot of the run whenever something is finished; it must be quick.

    Raises:
        BadInput: the seed, a setting or the archive can't be used.
        WorldFailed: something broke; what is finished is kept, and `guided-evolution resume` goes on.
    """
    settings = load_settings(
        {
            "archive": archive,
            "evaluations": evaluations,
            "time": time,
            "target": target,
            "patience": patience,
            "slots": slots,
            "rng_seed": rng_seed,
            "population": population,
            "strategy": strategy,
            "selection": selection,
            "islands": islands,
            "migration": migration,
            "operators": operators,
            "model": (model,) if isinstance(model, str) else model,
            "base_url": base_url,
            "models_file": models_file,
            "max_cost": max_cost,
            "max_tokens": max_tokens,
            "max_calls": max_calls,
            "no_cap": no_cap,
            "calls": calls,
            "prompts": prompts,
            "sandbox": sandbox,
        }
    )
    loaded = seed if isinstance(seed, Seed) else load_seed(os.fspath(seed))
    budget = Budget(settings.evaluations, settings.time, settings.target, settings.patience)
    plan = Plan(
        budget,
        settings.slots,
        settings.population,
        tuple(settings.operators.items()),
        search=search_plan(settings),
        model_run=choose_model_run(settings, notice),
    )
    asks = plan.model_run is not None
    hostile = not isinstance(seed, Seed) and is_hostile(os.fspath(seed))
    opener = choose(
        settings.sandbox, model_writes=asks or hostile, base_image=settings.base_image, wheels=settings.wheels
    )
    opened = open_archive(settings.archive, create=True, durable=asks)
    try:
        finished = start_run(
            opened,
            loaded,
            plan,
            rng_seed=settings.rng_seed,
            opener=opener,
            command="evolve()",
            watch=watch,
            notice=notice,
        )
        return _result(opened, finished)
    finally:
        opened.close()


def _result(archive: Archive, finished: Finished) -> Result:
    with archive.read() as connection:
        results = read_results(connection, finished.run)
        wanted = {member.program_id for member in (results.seed_member, *results.front) if member}
        sources = {program: programs.sources(connection, program) for program in wanted}
    assert results.seed_member is not None, "a run that ended without an error has scored its seed program"
    return Result(
        run=finished.run.name,
        state=finished.ending.state,
        reason=finished.ending.reason,
        evaluations=finished.progress.evaluations,
        seconds=finished.progress.seconds,
        self_scored=results.seed.self_scored,
        seed=_found(results, results.seed_member, sources),
        best=_found(results, results.best(), sources),
        front=tuple(_found(results, member, sources) for member in results.front),
    )


def _found(results: Results, member: Member, sources: Mapping[int, Mapping[str, bytes]]) -> Found:
    files = {
        path: content.decode("utf-8", "surrogateescape")
        for path, content in sources[member.program_id].items()
    }
    return Found(member.program_id, member.metrics, results.confirmed.get(member.program_id), files)
