"""The gallery of attacks over many evaluations, mixed with honest ones: `python -m bench.attacks [EVALUATIONS]`.

Two Docker slots work off a random order of attacks, honest programs and witnesses (programs that report whatever a
first one would not find). Nothing may move an honest score, nothing may be learnt, nothing may be left. Needs an engine
and a base image, as `tests/docker_engine.py` says.
"""

from __future__ import annotations

import collections
import os
import random
import sys
import threading
import time

from guided_evolution.errors import SandboxBroken
from guided_evolution.sandbox import Job, Outcome, Sandbox, container
from guided_evolution.sandbox.engine import Engine
from guided_evolution.seed import load_seed
from tests.attacks.test_attacks import GALLERY, HALF, HERE, HONEST, WITNESS, check_ending, said
from tests.sandboxes import open_kind

_SLOTS = 2
_SHARE_OF_ATTACKS = 0.4


class Tally:
    """What came of all evaluations, over all slots."""

    def __init__(self, plan: list[str]) -> None:
        self.plan = plan
        self.lock = threading.Lock()
        self.endings: collections.Counter[str] = collections.Counter()
        self.problems: list[str] = []

    def next(self) -> str | None:
        """The next program's name; None when all are done."""
        with self.lock:
            return self.plan.pop() if self.plan else None

    def note(self, name: str, outcome: Outcome) -> None:
        """Count an outcome, and write down what shouldn't be."""
        with self.lock:
            kind = "honest" if name in ("honest", "witness") else "attack"
            self.endings[f"{kind}: {outcome.kind or outcome.state}"] += 1
            try:
                _check(name, outcome)
            except AssertionError as problem:
                self.problems.append(f"{name}: {str(problem)[:300]}")


def _check(name: str, outcome: Outcome) -> None:
    if name in ("honest", "witness"):
        assert outcome.score is not None, outcome
        assert outcome.score.metrics == {"points": HALF}, outcome
        assert "LEFT-BEHIND" not in outcome.output, outcome.output
    else:
        check_ending(name, outcome)
        assert "CANARY" not in said(outcome)


def _slot(sandbox: Sandbox, tally: Tally) -> None:
    own = {"honest": HONEST, "witness": WITNESS}
    while (name := tally.next()) is not None:
        program = own[name] if name in own else (HERE / "gallery" / f"{name}.py").read_bytes()
        try:
            tally.note(name, sandbox.run(Job({"program.py": program}, 7)))
        except SandboxBroken as problem:
            tally.problems.append(f"{name}: {problem}")


def main() -> int:
    """Run it and print what came of it; 1 if anything held less than promised."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rng = random.Random(count)
    attacks = [GALLERY[index % len(GALLERY)] for index in range(int(count * _SHARE_OF_ATTACKS))]
    plan = attacks + ["honest", "witness"] * ((count - len(attacks) + 1) // 2)
    rng.shuffle(plan)
    tally = Tally(plan[:count])
    os.environ["OPENAI_API_KEY"] = "CANARY-ENVIRONMENT-77aa"
    seed = load_seed(str(HERE / "seed"))
    sandboxes = [open_kind("docker", seed) for _ in range(_SLOTS)]
    started = time.monotonic()
    threads = [threading.Thread(target=_slot, args=(sandbox, tally)) for sandbox in sandboxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for sandbox in sandboxes:
        sandbox.close()
    seconds = time.monotonic() - started
    engine = Engine.connect()
    left = [one.id for one in container.slots(engine) if one.owner.startswith(f"{os.getpid()} ")]
    print(
        f"{count} evaluations on {_SLOTS} slots in {seconds:.0f} s, "
        f"{len(attacks)} of them attacks of {len(GALLERY)} kinds"
    )
    for ending, number in sorted(tally.endings.items()):
        print(f"  {number:5} {ending}")
    print(f"{len(tally.problems)} problems, {len(left)} containers left")
    for problem in tally.problems:
        print(f"  {problem}")
    return int(bool(tally.problems or left))


if __name__ == "__main__":
    sys.exit(main())
