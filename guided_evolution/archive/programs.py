"""Programs and their genes: stored once, immutable, rebuilt to the byte."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, insert, select

from guided_evolution.archive.store import dialect_of
from guided_evolution.archive.tables import Gene, Parentage, Program
from guided_evolution.errors import ArchiveError

_gene = Gene.__table__  # type: ignore[attr-defined]
_program = Program.__table__  # type: ignore[attr-defined]
_parentage = Parentage.__table__  # type: ignore[attr-defined]

_by_hash = select(_gene.c.id, _gene.c.hash).where(_gene.c.hash.in_(bindparam("hashes", expanding=True)))
_by_id = select(_gene.c.id, _gene.c.source).where(_gene.c.id.in_(bindparam("ids", expanding=True)))
_known = select(_program.c.id).where(
    _program.c.run_id == bindparam("run"), _program.c.fingerprint == bindparam("print")
)
_genome = select(_program.c.genome).where(_program.c.id == bindparam("program"))


@dataclass(frozen=True)
class NewProgram:
    """A program on its way into the archive.

    `genes` holds, for each file in order, its genes' (16-byte hash, source) in order.
    """

    fingerprint: str
    size: int
    genes: Mapping[str, Sequence[tuple[bytes, bytes]]]


def known(connection: Connection, run_id: int, fingerprint: str) -> int | None:
    """The program of this run with this fingerprint, if there is one."""
    found: int | None = connection.execute(_known, {"run": run_id, "print": fingerprint}).scalar()
    return found


def add(
    connection: Connection,
    run_id: int,
    new: NewProgram,
    *,
    generation: int,
    proposal_id: int,
    parents: Sequence[int],
) -> int | None:
    """Store a program with its lineage; the first of `parents` is the base of the edit, the others are donors.

    None if another worker stored its equal a moment ago: it is `known` now.
    """
    ids = _store_genes(
        connection, {digest: source for genes in new.genes.values() for digest, source in genes}
    )
    program_id: int | None = connection.execute(
        dialect_of(connection)
        .insert(_program)
        .on_conflict_do_nothing(index_elements=["run_id", "fingerprint"])
        .returning(_program.c.id),
        {
            "run_id": run_id,
            "proposal_id": proposal_id,
            "fingerprint": new.fingerprint,
            "generation": generation,
            "genome": {path: [ids[digest] for digest, _ in genes] for path, genes in new.genes.items()},
            "size": new.size,
        },
    ).scalar()
    if program_id is None:
        return None
    roles = dict.fromkeys(parents[1:], "donor") | dict.fromkeys(parents[:1], "base")
    if roles:
        rows = [{"child_id": program_id, "parent_id": parent, "role": role} for parent, role in roles.items()]
        connection.execute(insert(_parentage), rows)
    return program_id


def sources(connection: Connection, program_id: int) -> dict[str, bytes]:
    """The files of a program, to the byte.

    Raises:
        ArchiveError: there is no such program, or a gene of it is missing.
    """
    files = sources_or_none(connection, program_id)
    if files is None:
        raise ArchiveError(
            f"program {program_id} isn't in this archive, or a gene of it is missing; "
            "`guided-evolution best` and `lineage` show programs, `doctor` checks them"
        )
    return files


def sources_or_none(connection: Connection, program_id: int) -> dict[str, bytes] | None:
    """As `sources`, with None for a program that can't be had."""
    genome = connection.execute(_genome, {"program": program_id}).scalar()
    if genome is None:
        return None
    wanted = sorted({gene for genes in genome.values() for gene in genes})
    text = {row.id: row.source for row in connection.execute(_by_id, {"ids": wanted})}
    if len(text) != len(wanted):
        return None
    return {path: b"".join(text[gene] for gene in genes) for path, genes in genome.items()}


def generations(connection: Connection, program_ids: Sequence[int]) -> list[int]:
    """The generation of each of these programs, in no order."""
    return list(
        connection.execute(select(_program.c.generation).where(_program.c.id.in_(program_ids))).scalars()
    )


def _store_genes(connection: Connection, genes: Mapping[bytes, bytes]) -> dict[bytes, int]:
    """The ids of these genes, new ones stored."""
    ids = {row.hash: row.id for row in connection.execute(_by_hash, {"hashes": list(genes)})}
    # Another writer may store the same genes at the same time: in one order, or the two wait for each other for ever.
    missing = sorted(digest for digest in genes if digest not in ids)
    if missing:
        statement = dialect_of(connection).insert(_gene).on_conflict_do_nothing(index_elements=["hash"])
        connection.execute(statement, [{"hash": digest, "source": genes[digest]} for digest in missing])
        ids |= {row.hash: row.id for row in connection.execute(_by_hash, {"hashes": missing})}
    return ids
