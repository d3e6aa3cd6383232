"""The choices of an archived run, to be made again by a replay: what was proposed from what, proposal by proposal."""

from __future__ import annotations

from dataclasses import replace

from guided_evolution.archive import Archive, proposals
from guided_evolution.trials import Material


class Script:
    """Translates an archived run's proposals to the run that replays it. Both are in one archive.

    A proposal is known by its number; a program by the number of the proposal that made it, or made it again.
    """

    def __init__(self, archive: Archive, source_id: int, run_id: int, source_name: str) -> None:
        self.source_name = source_name
        self._archive = archive
        self._source_id = source_id
        self._run_id = run_id

    def chosen(self, number: int) -> tuple[str, tuple[int, ...], Material | None] | None:
        """Operator, parents and material of this number, in ids of the new run; None behind the archived run's end.

        All proposals before it must be settled.
        """
        with self._archive.read() as connection:
            old = proposals.written(connection, self._source_id, number)
            if old is None:
                return None
            material = None if old.material is None else Material.from_json(old.material)
            old_programs = {*old.parents}
            old_proposals: set[int] = set()
            if material is not None:
                old_programs |= {
                    *material.inspirations,
                    *(one for one in (material.best, material.seed) if one),
                }
                old_proposals |= {*material.tried, *material.chain}
            programs = proposals.translated_programs(connection, self._source_id, self._run_id, old_programs)
            ours = proposals.translated(connection, self._source_id, self._run_id, old_proposals)
        if material is not None:
            material = replace(
                material,
                tried=tuple(ours[one] for one in material.tried if one in ours),
                chain=tuple(ours[one] for one in material.chain if one in ours),
                inspirations=tuple(programs[one] for one in material.inspirations if one in programs),
                best=programs.get(material.best) if material.best else None,
                seed=programs.get(material.seed) if material.seed else None,
            )
        return old.operator, tuple(programs[one] for one in old.parents if one in programs), material
