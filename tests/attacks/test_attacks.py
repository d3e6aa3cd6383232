"""Every attack of the gallery: no score moves, nothing is learnt, nothing is left, the sandbox lives on."""

from __future__ import annotations

import ast
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from guided_evolution.sandbox import Job, Outcome, Sandbox
from guided_evolution.seed import Seed, load_seed
from tests.sandboxes import open_kind

HERE = Path(__file__).parent
GALLERY = sorted(place.stem for place in (HERE / "gallery").glob("*.py"))
HONEST = (HERE / "seed" / "program.py").read_bytes()
WITNESS = (HERE / "witness.py").read_bytes()

HALF = 0.5
"""What guessing 1 scores; nobody can know more."""


@dataclass(frozen=True)
class Expected:
    """How an attack may end: the kinds of failure, or the score of an honest guess or less."""

    kinds: frozenset[str] = frozenset()
    most: float | None = None


def scores(most: float = HALF) -> Expected:
    return Expected(most=most)


def fails(*kinds: str) -> Expected:
    """A failure of these kinds; on a busy machine the time may be over before."""
    return Expected(frozenset((*kinds, "timeout")))


ENDINGS: dict[str, Expected] = {
    "closes_everything": fails("protocol", "exited", "crashed"),
    "computes_for_ever": fails("timeout"),
    "crashes": fails("crashed"),
    "eats_memory": fails("memory"),
    "eats_memory_by_swarm": fails("memory"),
    "eats_memory_unseen": fails("memory"),
    "exits_at_import": fails("exited", "load"),
    "exits_early": fails("exited"),
    "fork_bomb": fails("processes", "timeout"),
    "interrupts": fails("raised", "exited"),
    "kills_itself": fails("crashed"),
    "patches_the_carrier": fails("protocol", "exited"),
    "raises_at_exit": fails("exited"),
    "raises_oddly": fails("raised"),
    "returns_a_billion": fails("result"),
    "returns_a_flood": fails("result", "memory"),
    "returns_deep_nest": fails("result", "memory", "crashed"),
    "returns_endless_list": fails("result"),
    "returns_object_arrays": fails("result"),
    "returns_running_code": fails("result"),
    "sleeps": fails("timeout"),
    "stops_itself": fails("timeout"),
    "returns_odd_numbers": scores(0.0),
    "regenerates_labels": scores(0.3),
}
# Others may be stopped for what they use up before they answer, or score what an honest guess does.
EITHER = {
    "returns_huge_names": fails("memory", "result"),
    "eats_disk": fails("memory", "disk", "raised", "crashed"),
    "eats_inodes": fails("disk", "raised", "timeout"),
    "fork_bomb_quiet": fails("processes"),
    "thread_bomb": fails("processes", "raised", "memory"),
    "starts_threads": fails("protocol", "timeout", "processes"),
    "starts_daemons": fails("processes"),
    "forges_results": fails("protocol"),
    "forges_by_other_names": fails("protocol"),
    "kills_everyone": fails("crashed"),
    "patches_python": fails("result", "protocol", "raised", "crashed", "timeout"),
    "patches_numpy": fails("result", "raised"),
    "returns_array_subclass": fails("result"),
    "returns_equal_to_all": fails("result"),
    "floods_output": fails("timeout"),
    "reads_own_memory": fails("memory", "timeout"),
    "locked_folders": fails("raised"),
}


@pytest.fixture(scope="module")
def attacked() -> Seed:
    return load_seed(str(HERE / "seed"))


@pytest.fixture(scope="module")
def sandbox(attacked: Seed) -> Iterator[Sandbox]:
    """Docker: the process kind has no walls, and most of these would harm the machine that runs the tests."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OPENAI_API_KEY", "CANARY-ENVIRONMENT-77aa")
        canary = Path("/tmp/host-canary-file")
        canary.write_text("HOST-CANARY-3c3c")
        with socket.create_server(("127.0.0.1", 45_679)):
            one = open_kind("docker", attacked)
            yield one
            one.close()
        canary.unlink()


def attack(sandbox: Sandbox, name: str) -> Outcome:
    program = (HERE / "gallery" / f"{name}.py").read_bytes()
    return sandbox.run(Job(program={"program.py": program}, seed=7))


def said(outcome: Outcome) -> str:
    feedback = outcome.score.feedback if outcome.score else ""
    return "\n".join((outcome.output, feedback, outcome.error or "", outcome.evaluator_output))


@pytest.mark.parametrize("name", GALLERY)
def test_attack(sandbox: Sandbox, name: str) -> None:
    outcome = attack(sandbox, name)
    check_ending(name, outcome)
    assert "CANARY" not in said(outcome)

    after = sandbox.run(Job(program={"program.py": WITNESS}, seed=7))
    assert after.state == "scored", after
    assert after.score is not None
    assert after.score.metrics == {"points": HALF}
    assert "LEFT-BEHIND" not in after.output, after.output


def check_ending(name: str, outcome: Outcome) -> None:
    """Fail unless this is an ending that the attack may have."""
    endings = [ENDINGS[name]] if name in ENDINGS else [scores(), EITHER.get(name, fails())]
    if outcome.state == "scored":
        assert outcome.score is not None
        assert any(one.most is not None and outcome.score.metrics["points"] <= one.most for one in endings), (
            outcome
        )
        assert outcome.score.measures["kept"] == 0, outcome.score.measures
    else:
        assert outcome.state == "failed", outcome
        assert any(outcome.kind in one.kinds for one in endings), outcome


def test_every_attack_says_what_it_does() -> None:
    for name in GALLERY:
        assert ast.get_docstring(ast.parse((HERE / "gallery" / f"{name}.py").read_bytes())), name
    assert len(GALLERY) >= 50
    assert set(ENDINGS) | set(EITHER) <= set(GALLERY)


def test_an_attack_on_the_process_limit_does_not_reach_another_slot(sandbox: Sandbox, attacked: Seed) -> None:
    """Process limits count by user over all containers, so slots have users of their own."""
    forks = b"""
import os, time
def answer(questions):
    made = 0
    for _ in range(5):
        if os.fork() == 0:
            time.sleep(1000)
        made += 1
    return [1] * len(questions) if made == 5 else []
"""
    import threading

    other = open_kind("docker", attacked)
    try:
        ended: list[Outcome] = []
        bomb = threading.Thread(target=lambda: ended.append(attack(sandbox, "fork_bomb")))
        bomb.start()
        for _ in range(5):
            outcome = other.run(Job(program={"program.py": forks}, seed=7))
            assert outcome.score is not None, outcome
            assert outcome.score.metrics == {"points": HALF}
        bomb.join()
        assert [one.state for one in ended] == ["failed"]
    finally:
        other.close()


def test_the_honest_program_scores_the_same_on_both_kinds(sandbox: Sandbox, attacked: Seed) -> None:
    process = open_kind("process", attacked)
    try:
        found = [one.run(Job(program={"program.py": HONEST}, seed=7)).score for one in (sandbox, process)]
    finally:
        process.close()
    assert found[0] is not None
    assert found[0] == found[1]
    assert replace(found[0], feedback="").metrics == {"points": HALF}
