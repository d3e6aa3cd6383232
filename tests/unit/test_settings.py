from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guided_evolution.errors import SettingsError
from guided_evolution.settings import OPERATORS, Settings, available_cpus, load_settings, parse_duration


def complaint(
    folder: Path, flags: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None
) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(flags or {}, environ or {}, folder, None)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nothing_given(tmp_path: Path) -> None:
    assert load_settings({}, {}, tmp_path) == Settings()
    assert Settings().archive == "guided-evolution.db"
    assert Settings().slots == available_cpus() >= 1


def test_every_setting_from_the_environment(tmp_path: Path) -> None:
    environ = {
        "GUIDED_EVOLUTION_ARCHIVE": "sqlite:///a.db",
        "GUIDED_EVOLUTION_BROKER": "redis://localhost",
        "GUIDED_EVOLUTION_SLOTS": "3",
        "GUIDED_EVOLUTION_EVALUATIONS": "200",
        "GUIDED_EVOLUTION_TIME": "10m",
        "GUIDED_EVOLUTION_TARGET": "accuracy=0.9",
        "GUIDED_EVOLUTION_PATIENCE": "50",
        "GUIDED_EVOLUTION_RNG_SEED": "7",
        "GUIDED_EVOLUTION_SANDBOX": "process",
        "GUIDED_EVOLUTION_BASE_IMAGE": "python:3.12-slim",
        "GUIDED_EVOLUTION_WHEELS": "/wheels",
        "GUIDED_EVOLUTION_POPULATION": "12",
        "GUIDED_EVOLUTION_OPERATORS": "constant=2, crossover=0.5",
        "HOME": "/root",
    }
    expected = Settings(
        archive="sqlite:///a.db",
        broker="redis://localhost",
        slots=3,
        evaluations=200,
        time=600.0,
        target=("accuracy", 0.9),
        patience=50,
        rng_seed=7,
        sandbox="process",
        base_image="python:3.12-slim",
        wheels="/wheels",
        population=12,
        operators={"constant": 2.0, "crossover": 0.5},
    )
    assert load_settings({}, environ, tmp_path) == expected


def test_flags_come_before_the_environment_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "guided-evolution.toml").write_text(
        "slots = 1\npatience = 1\nevaluations = 1\n[operators]\nconstant = 3\n"
    )
    environ = {"GUIDED_EVOLUTION_SLOTS": "2", "GUIDED_EVOLUTION_PATIENCE": "2"}
    settings = load_settings({"slots": 3, "patience": None}, environ, tmp_path)
    assert (settings.slots, settings.patience, settings.evaluations) == (3, 2, 1)
    assert settings.operators == {"constant": 3.0}


def test_an_empty_variable_is_not_given(tmp_path: Path) -> None:
    assert load_settings({}, {"GUIDED_EVOLUTION_BROKER": ""}, tmp_path).broker is None


def test_a_named_file_replaces_the_usual_one(tmp_path: Path) -> None:
    (tmp_path / "guided-evolution.toml").write_text("slots = 1\n")
    (tmp_path / "a.toml").write_text("evaluations = 5\n")
    (tmp_path / "b.toml").write_text("evaluations = 6\n")
    environ = {"GUIDED_EVOLUTION_SETTINGS": "a.toml"}
    assert load_settings({}, environ, tmp_path) == Settings(evaluations=5)
    assert load_settings({}, environ, tmp_path, tmp_path / "b.toml") == Settings(evaluations=6)


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    assert complaint(tmp_path, environ={"GUIDED_EVOLUTION_SETTINGS": "no.toml"}) == (
        "GUIDED_EVOLUTION_SETTINGS=no.toml: no such file"
    )
    with pytest.raises(SettingsError, match=r"--settings .*no\.toml: no such file"):
        load_settings({}, {}, tmp_path, Path("no.toml"))


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("GUIDED_EVOLUTION_SLOTS", "x", "GUIDED_EVOLUTION_SLOTS=x: slots must be a whole number"),
        ("GUIDED_EVOLUTION_SLOTS", "2.5", "slots must be a whole number"),
        ("GUIDED_EVOLUTION_SLOTS", "9" * 5000, "slots must be a whole number"),
        (
            "GUIDED_EVOLUTION_EVALUATIONS",
            "0",
            "GUIDED_EVOLUTION_EVALUATIONS=0: evaluations must be at least 1",
        ),
        ("GUIDED_EVOLUTION_PATIENCE", "-3", "patience must be at least 1"),
        ("GUIDED_EVOLUTION_TIME", "ten", 'GUIDED_EVOLUTION_TIME=ten: time must be a time like "90s"'),
        ("GUIDED_EVOLUTION_TIME", "0s", "time must be more than 0 seconds"),
        ("GUIDED_EVOLUTION_TARGET", "accuracy", "target must be METRIC=VALUE"),
        ("GUIDED_EVOLUTION_TARGET", "accuracy=nan", "target must be METRIC=VALUE"),
        ("GUIDED_EVOLUTION_TARGET", "=1", "target must be METRIC=VALUE"),
        ("GUIDED_EVOLUTION_SANDBOX", "vm", "sandbox must be one of auto, process, docker"),
        ("GUIDED_EVOLUTION_POPULATION", "1", "population must be at least 2"),
        (
            "GUIDED_EVOLUTION_OPERATORS",
            "constnat=1",
            'names the unknown operator "constnat"; did you mean "constant"?',
        ),
        ("GUIDED_EVOLUTION_OPERATORS", "constant", "must give shares by operator"),
        ("GUIDED_EVOLUTION_OPERATORS", "constant=-1", "a share below 0"),
        (
            "GUIDED_EVOLUTION_OPERATORS",
            ",".join(f"{one}=0" for one in OPERATORS),
            "every operator the share 0",
        ),
        (
            "GUIDED_EVOLUTION_SLOT",
            "1",
            "unknown environment variable GUIDED_EVOLUTION_SLOT; did you mean GUIDED_EVOLUTION_SLOTS?",
        ),
        ("GUIDED_EVOLUTION_QQQ", "1", "known are GUIDED_EVOLUTION_ARCHIVE, "),
        ("GUIDED_EVOLUTION_slots", "1", "did you mean GUIDED_EVOLUTION_SLOTS?"),
    ],
)
def test_a_bad_variable_is_named(tmp_path: Path, variable: str, text: str, said: str) -> None:
    assert said in complaint(tmp_path, environ={variable: text})


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"evaluations": 0}, "--evaluations 0: evaluations must be at least 1"),
        ({"rng_seed": -1}, "--rng-seed -1: rng_seed must be at least 0"),
        ({"slots": True}, "slots must be a whole number"),
        ({"slots": "3"}, "slots must be a whole number"),
        ({"time": -1}, "--time -1: time must be more than 0 seconds"),
        ({"time": float("nan")}, "time must be a time"),
        ({"archive": ""}, "archive must be text, not empty"),
        ({"evalutions": 3}, 'unknown setting "evalutions"; did you mean "evaluations"?'),
    ],
)
def test_a_bad_flag_is_named(tmp_path: Path, flags: dict[str, object], said: str) -> None:
    assert said in complaint(tmp_path, flags=flags)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slotz = 1", 'guided-evolution.toml: unknown key "slotz"; did you mean "slots"?'),
        ('slots = "1"', 'guided-evolution.toml: slots = "1": slots must be a whole number'),
        ("slots = ", "isn't valid TOML"),
        ("archive = 3", "archive must be text, not a number"),
        ("operators = 3", "must give shares by operator"),
    ],
)
def test_a_bad_line_in_the_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "guided-evolution.toml").write_text(text)
    assert said in complaint(tmp_path)


def test_values_from_python_are_understood(tmp_path: Path) -> None:
    flags = {
        "time": 90,
        "target": ("accuracy", 1),
        "archive": tmp_path / "a.db",
        "operators": {"constant": 1},
    }
    settings = load_settings(flags, {}, tmp_path)
    assert settings == Settings(
        time=90.0, target=("accuracy", 1.0), archive=str(tmp_path / "a.db"), operators={"constant": 1.0}
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("1.5", 1.5),
        ("10m", 600),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1d", 86400),
        ("1h 5s", 3605),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@given(st.text(max_size=12))
def test_a_text_is_a_duration_or_refused_in_a_sentence(text: str) -> None:
    seconds, refusal = None, ""
    try:
        seconds = parse_duration(text)
    except ValueError as problem:
        refusal = str(problem)
    assert refusal.startswith("must be a time") if seconds is None else seconds >= 0


def test_loading_settings_imports_nothing_heavy() -> None:
    code = "import sys; from guided_evolution.settings import load_settings; load_settings({}, {}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "yaml", "libcst", "celery", "sqlmodel", "rich", "pydantic"} & set(
        done.stdout.split()
    )
