"""From a proposal's row to a briefing. The same row always makes the same one: all that it names is final."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from guided_evolution.archive import history
from guided_evolution.archive.history import Outcome, Verdict
from guided_evolution.archive.proposals import Claimed
from guided_evolution.briefing import Attempt, Briefing, Known
from guided_evolution.context import Contexts, RunContext
from guided_evolution.genome import unified_diff
from guided_evolution.requirements import installed_versions
from guided_evolution.seed import Seed
from guided_evolution.trials import Material

_NOTHING = Verdict(None, "", None, "")


class Briefer:
    """Reads from the archive what a prompt may know."""

    def __init__(self, contexts: Contexts) -> None:
        self._contexts = contexts

    def brief(self, run: RunContext, claimed: Claimed) -> Briefing:
        """The briefing of a proposal whose base and partner are its parents."""
        material = Material.from_json(claimed.material)
        with self._contexts.archive.read() as connection:
            tried = history.outcomes(connection, list(dict.fromkeys((*material.tried, *material.chain))))
            programs = {
                one for outcome in tried for one in (outcome.base, outcome.program_id) if one is not None
            }
            programs |= {*claimed.parents, *material.inspirations}
            programs |= {one for one in (material.best, material.seed) if one is not None}
            verdicts = history.verdicts(connection, sorted(programs))
        others = [one for one in material.inspirations if one not in claimed.parents]
        partner = claimed.parents[1] if len(claimed.parents) > 1 else None
        return Briefing(
            seed=run.seed,
            rules=run.rules,
            base=self._known(claimed.parents[0], verdicts),
            partner=None if partner is None else self._known(partner, verdicts),
            seed_metrics=_metrics(verdicts, material.seed),
            best_metrics=_metrics(verdicts, material.best),
            attempts=tuple(self._attempts(tried, material, verdicts)),
            inspirations=tuple(self._known(one, verdicts) for one in others),
            packages=packages_of(run.seed),
        )

    def _known(self, program_id: int, verdicts: Mapping[int, Verdict]) -> Known:
        said = verdicts.get(program_id, _NOTHING)
        genome = self._contexts.genome(program_id)
        return Known(program_id, genome, said.metrics, said.feedback, said.kind, said.error)

    def _attempts(
        self, tried: Sequence[Outcome], material: Material, verdicts: Mapping[int, Verdict]
    ) -> list[Attempt]:
        """The step that led here, then what was tried from here, then the steps before; the same thing only once."""
        by_id = {outcome.proposal_id: outcome for outcome in tried}
        order = dict.fromkeys((*material.chain[:1], *material.tried, *material.chain[1:]))
        kept = set(material.chain)
        return [
            self._attempt(by_id[one], one in kept, verdicts)
            for one in order
            if one in by_id and by_id[one].base is not None
        ]

    def _attempt(self, outcome: Outcome, kept: bool, verdicts: Mapping[int, Verdict]) -> Attempt:
        diff = ""
        if (
            outcome.base is not None
            and outcome.program_id is not None
            and outcome.state in ("scored", "failed")
        ):
            before, after = self._contexts.genome(outcome.base), self._contexts.genome(outcome.program_id)
            diff = unified_diff(before, after)
        return Attempt(
            operator=outcome.operator,
            summary=outcome.summary,
            outcome=outcome.state,  # type: ignore[arg-type]
            kept=kept,
            diff=diff,
            before=_metrics(verdicts, outcome.base),
            after=outcome.metrics or {},
            kind=outcome.kind,
            error=outcome.error,
        )


def packages_of(seed: Seed) -> tuple[str, ...]:
    """What a seed's programs may import besides the standard library, with versions."""
    wanted = seed.candidate
    versions = installed_versions(wanted.requirements, wanted.preload)
    return tuple(one for one in versions if not one.endswith("==absent"))


def _metrics(verdicts: Mapping[int, Verdict], program_id: int | None) -> Mapping[str, float]:
    said = verdicts.get(program_id, _NOTHING) if program_id is not None else _NOTHING
    return said.metrics or {}
