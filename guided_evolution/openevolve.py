"""OpenEvolve's task folder -> Seed: evaluator.py and initial_program.py run unmodified, in one process.

Such a seed is self-scored: whoever writes the program could write its score too.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from guided_evolution.bindings import bindings, imported_modules
from guided_evolution.checked_table import Table, finite
from guided_evolution.errors import SeedError
from guided_evolution.requirements import distribution_name, distributions_of, installed_version
from guided_evolution.seed_values import MOST_SECONDS, Environment, Limits, Objective, Seed
from guided_evolution.source_files import check_markers, files_under, parse, read_data, read_text

ADAPTER = "guided_evolution_adapter"  # the module in the candidate's folder that our evaluator calls
OWN_SUPPORT = ("openevolve/__init__.py", "openevolve/evaluation_result.py", f"{ADAPTER}.py")
"""Files beside the program that aren't the task's own."""
STAGE_NAMES = ("evaluate_stage1", "evaluate_stage2", "evaluate_stage3")
USUAL_THRESHOLDS = (0.5, 0.75, 0.9)  # OpenEvolve's
USUAL_FEATURES = ("complexity", "diversity")  # OpenEvolve's
USUAL_SECONDS = 60.0

# What OpenEvolve and its users leave in a task folder, and no evaluator reads.
_LEFTOVERS = re.compile(
    r"openevolve_output|best_program|readme|(checkpoints?|logs?|node_modules|__pycache__)$", re.IGNORECASE
)
_TEMPLATES = Path(__file__).parent / "templates" / "openevolve"


def read_openevolve_folder(folder: Path) -> Seed:
    """The seed that an OpenEvolve task folder stands for; SeedError for what can't be read in it."""
    config = _config(folder)
    program = _program_file(folder, config)
    source = read_text(program)
    evaluator = parse(folder / "evaluator.py", read_text(folder / "evaluator.py"))
    trees = [evaluator]
    if program.suffix == ".py":
        check_markers(program, source)
        trees.append(parse(program, source))
    stages, thresholds = _stages(folder, evaluator, config)
    settings = config.table("evaluator")
    return Seed(
        name=re.sub(r"[^A-Za-z0-9_.-]+", "-", folder.resolve().name).strip("-._")[:64] or "openevolve",
        task=_task(config, program.name),
        files=(program.name,),
        program={program.name: source.encode()},
        objectives=(Objective("combined_score", "maximize", True),),
        limits=Limits(
            # OpenEvolve's timeout is one stage's, ours the whole evaluation's
            seconds=settings.ranged("timeout", USUAL_SECONDS, 0.1, MOST_SECONDS) * len(stages),
            memory_mb=settings.count("memory_limit_mb", 2048, 32, 4 * 1024 * 1024),
            processes=64,
            program_kb=max(64, 2 * len(source.encode()) // 1024 + 1),
        ),
        candidate=_environment(folder, trees),
        evaluator_source=_evaluate(program.name, stages, thresholds, config),
        support=_support(folder, program),
        entry=ADAPTER,
        self_scored=True,
    )


def _config(folder: Path) -> Table:
    """config.yaml, else the first config*.yaml, else an empty table."""
    places = [folder / "config.yaml", folder / "config.yml", *sorted(folder.glob("config*.y*ml"))]
    place = next((place for place in places if place.is_file()), None)
    if place is None:
        return Table({}, str(folder / "config.yaml"), SeedError)
    import yaml

    try:
        data = yaml.safe_load(read_text(place))
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        said = " ".join(str(problem).split())
        raise SeedError(f"{place}: isn't valid YAML: {said}") from problem
    if data is not None and not isinstance(data, dict):
        raise SeedError(f"{place}: must hold keys and values, like `evaluator:` with `timeout: 60` under it")
    return Table(_without_nothing(data or {}), str(place), SeedError)


def _without_nothing(data: Mapping[object, object]) -> dict[str, object]:
    """The same without keys that YAML left without a value: to OpenEvolve they are as good as missing."""
    return {
        str(key): _without_nothing(value) if isinstance(value, dict) else value
        for key, value in data.items()
        if value is not None
    }


def _program_file(folder: Path, config: Table) -> Path:
    suffix = str(config.data.get("file_suffix", ".py"))
    for name in ("initial_program.py", f"initial_program{suffix}"):
        if (folder / name).is_file():
            return folder / name
    data = (".yaml", ".yml", ".json")
    found = [
        place for place in sorted(folder.glob("initial_*")) if place.is_file() and place.suffix not in data
    ]
    named_program = [place for place in found if place.stem == "initial_program"]
    for choice in (named_program, found):
        if len(choice) == 1:
            return choice[0]
    if found:
        names = ", ".join(place.name for place in found)
        raise SeedError(f"{folder}: holds {names}; keep one of them as initial_program.py")
    raise SeedError(f"{folder / 'initial_program.py'}: is missing; an OpenEvolve task begins with it")


def _stages(folder: Path, evaluator: ast.Module, config: Table) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The evaluator's functions to call one after the other, and what each must reach for the next."""
    bound = bindings(evaluator.body)
    if not bound["evaluate"]:
        raise SeedError(f"{folder / 'evaluator.py'}: doesn't define evaluate(program_path)")
    settings = config.table("evaluator")
    wanted = settings.flag("cascade_evaluation")
    if wanted is False or not bound[STAGE_NAMES[0]]:
        return ("evaluate",), ()
    said = settings.data.get("cascade_thresholds", list(USUAL_THRESHOLDS))
    entries = said if isinstance(said, list) else []
    numbers = [finite(entry) for entry in entries if isinstance(entry, int | float)]
    thresholds = tuple(number for number in numbers if number is not None)
    if not entries or len(thresholds) != len(entries):
        settings.fail("cascade_thresholds", f"is {said}; it must be a list of numbers, like [0.5, 0.75]")
    stages = [STAGE_NAMES[0]]
    # a stage that no threshold leads to is never run, in OpenEvolve either
    for name in STAGE_NAMES[1 : len(thresholds) + 1]:
        if not bound[name]:
            break
        stages.append(name)
    return tuple(stages), thresholds


def _task(config: Table, program: str) -> str:
    message = config.table("prompt").data.get("system_message")
    # a single word names a template file of OpenEvolve's and says nothing by itself
    if isinstance(message, str) and len(message.split()) > 1:
        return message.strip() + "\n"
    return f"Improve {program}. The task's own evaluator scores it; a higher combined_score is better.\n"


def _evaluate(program: str, stages: tuple[str, ...], thresholds: tuple[float, ...], config: Table) -> str:
    """Our evaluator's source, ending in this task's settings instead of its usual ones."""
    features = config.table("database").data.get("feature_dimensions", USUAL_FEATURES)
    settled = {
        "PROGRAM": program,
        "STAGES": stages,
        "THRESHOLDS": thresholds,
        "FEATURES": tuple(map(str, features)) if isinstance(features, list | tuple) else USUAL_FEATURES,
    }
    source = (_TEMPLATES / "evaluate.py").read_text(encoding="utf-8")
    return source + "\n\n" + "".join(f"{name} = {value!r}\n" for name, value in settled.items())


def _support(folder: Path, program: Path) -> dict[str, bytes]:
    """Everything in the folder that evaluator.py may import or read, and what stands in for OpenEvolve."""
    names = [
        entry.name
        for entry in sorted(folder.iterdir())
        if entry != program and not entry.name.startswith(".") and not _LEFTOVERS.match(entry.name)
        if entry.is_file() or (not (entry / "pyvenv.cfg").exists() and files_under(entry))
    ]
    files = read_data(folder, [(name, f"{folder}: the folder") for name in names])
    own = (
        b"from openevolve.evaluation_result import EvaluationResult\n",
        (_TEMPLATES / "evaluation_result.py").read_bytes(),
        (_TEMPLATES / "adapter.py").read_bytes(),
    )
    return {**files, **dict(zip(OWN_SUPPORT, own, strict=True))}


def _environment(folder: Path, trees: Iterable[ast.Module]) -> Environment:
    """requirements.txt as far as it matters here: what is installed, or imported at the top of the two files.

    Such lists often name what only a plotting script needs; a task shouldn't be refused for want of that.
    """
    imported = {name for tree in trees for name in imported_modules(tree)}
    local = {entry.stem for entry in folder.iterdir()} | {"openevolve"}
    foreign = sorted(name for name in imported - local if name not in sys.stdlib_module_names)
    listed = list(_requirements(folder / "requirements.txt"))
    needed = {_normal(name) for name in foreign}
    wanted = [
        requirement
        for requirement, name in listed
        if installed_version(name) is not None or _normal(name) in needed
    ]
    covered = {_normal(name) for _, name in listed}
    brought = [package for name in foreign for package in distributions_of(name)[:1]]
    unlisted = [package for package in brought if _normal(package) not in covered]
    preload = ("numpy",) if "numpy" in imported and importlib.util.find_spec("numpy") else ()
    return Environment((*dict.fromkeys([*wanted, *unlisted]),), preload)


def _requirements(place: Path) -> Iterator[tuple[str, str]]:
    """(requirement, package name) of each line that names a package; options and addresses are for pip."""
    if not place.is_file():
        return
    for line in read_text(place).splitlines():
        requirement = line.partition(" #")[0].strip()
        name = distribution_name(requirement) if not requirement.startswith("#") else None
        if name is not None:
            yield requirement, name


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()
