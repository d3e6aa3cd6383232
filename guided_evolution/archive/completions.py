"""Calls of models: a row for each attempt, open before it is sent, and a running sum of what they cost.

The sum is kept by the same transactions that write the rows, so that a cap holds for many threads and processes at once
and is known at once after a kill: what was open then counts at its reservation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, case, func, insert, select, update

from guided_evolution.archive.clock import now
from guided_evolution.archive.store import dialect_of
from guided_evolution.archive.tables import Completion, Proposal, Spending
from guided_evolution.models import Call, Message, Reply

_completion = Completion.__table__  # type: ignore[attr-defined]
_spending = Spending.__table__  # type: ignore[attr-defined]
_proposal = Proposal.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Amount:
    """US dollars, tokens and requests."""

    cost: float = 0.0
    tokens: int = 0
    calls: int = 0


@dataclass(frozen=True)
class Spent:
    """What a run's calls came to, and what is set aside for those without an outcome."""

    settled: Amount = Amount()
    reserved: Amount = Amount()


@dataclass(frozen=True)
class Stored:
    """A call that is over, as the archive keeps it; `proposal` is the proposal's number."""

    id: int
    proposal: int | None
    purpose: str
    turn: int
    state: str
    model: str
    parameters: dict[str, Any]
    messages: tuple[Message, ...]
    reply: Reply


def _is(proposal: ColumnElement[bool]) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = (
        (_completion.c.run_id == bindparam("run"))
        & (_completion.c.purpose == bindparam("purpose_"))
        & (_completion.c.turn == bindparam("turn_"))
        & proposal
    )
    return condition


_OF_PROPOSAL = _is(_completion.c.proposal_id == bindparam("proposal"))
_OF_RUN = _is(_completion.c.proposal_id.is_(None))
_attempts = {
    which: select(_completion.c.id, _completion.c.attempt, _completion.c.state).where(condition)
    for which, condition in ((True, _OF_PROPOSAL), (False, _OF_RUN))
}
_answered = {
    which: select(_completion)
    .where(condition, _completion.c.state == "answered")
    .order_by(_completion.c.attempt.desc())
    .limit(1)
    for which, condition in ((True, _OF_PROPOSAL), (False, _OF_RUN))
}
_insert = insert(_completion).values(created_at=now()).returning(_completion.c.id)
_aside = (
    select(
        _completion.c.run_id, _completion.c.state, _completion.c.reserved_cost, _completion.c.reserved_tokens
    )
    .where(_completion.c.id == bindparam("row"))
    .with_for_update()
)
_finish = (
    update(_completion)
    .where(_completion.c.id == bindparam("row"))
    .values(
        finished_at=now(),
        **{
            name: bindparam(f"new_{name}", type_=_completion.c[name].type)
            for name in (
                "state model parameters reply reasoning prompt_tokens completion_tokens cost seconds "
                "finish_reason error"
            ).split()
        },
    )
)
_spend = (
    update(_spending)
    .where(_spending.c.run_id == bindparam("run"))
    .values(
        cost=_spending.c.cost + bindparam("more_cost"),
        tokens=_spending.c.tokens + bindparam("more_tokens"),
        calls=_spending.c.calls + bindparam("more_calls"),
        reserved_cost=_spending.c.reserved_cost + bindparam("aside_cost"),
        reserved_tokens=_spending.c.reserved_tokens + bindparam("aside_tokens"),
    )
)
_spent = select(_spending).where(_spending.c.run_id == bindparam("run"))


def _key(call: Call) -> dict[str, Any]:
    key = {"run": call.run_id, "purpose_": call.purpose, "turn_": call.turn}
    return key if call.proposal_id is None else key | {"proposal": call.proposal_id}


def answered(connection: Connection, call: Call) -> Reply | None:
    """The reply that was bought for this call already, the latest if there are several; None if none was."""
    row = connection.execute(_answered[call.proposal_id is not None], _key(call)).one_or_none()
    return None if row is None else _reply(row)


def begin(
    connection: Connection, call: Call, model: str, messages: Sequence[Message], reserved: Amount
) -> int:
    """Write an open attempt and set its cost aside; returns its id. Earlier open attempts of this call are lost."""
    earlier = connection.execute(_attempts[call.proposal_id is not None], _key(call)).all()
    still_open = [row.id for row in earlier if row.state == "open"]
    if still_open:
        _lose(connection, _completion.c.id.in_(still_open))
    row: dict[str, Any] = {
        "run_id": call.run_id,
        "proposal_id": call.proposal_id,
        "purpose": call.purpose,
        "turn": call.turn,
        "attempt": 1 + max((row.attempt for row in earlier), default=0),
        "state": "open",
        "model": model,
        "parameters": {},
        "messages": [{"role": one.role, "content": one.content} for one in messages],
        "requests": reserved.calls,
        "reserved_cost": reserved.cost,
        "reserved_tokens": reserved.tokens,
    }
    completion_id: int = connection.execute(_insert, row).scalar_one()
    _add(connection, call.run_id, settled=Amount(calls=reserved.calls), reserved=reserved)
    return completion_id


def extend(connection: Connection, completion_id: int, more: Amount) -> None:
    """Set more aside for an attempt: it is about to be sent again."""
    row = connection.execute(
        update(_completion)
        .where(_completion.c.id == completion_id)
        .values(
            requests=_completion.c.requests + more.calls,
            reserved_cost=_completion.c.reserved_cost + more.cost,
            reserved_tokens=_completion.c.reserved_tokens + more.tokens,
            cost=case(
                (_completion.c.state == "lost", _completion.c.cost + more.cost), else_=_completion.c.cost
            ),
        )
        .returning(_completion.c.run_id, _completion.c.state)
    ).one()
    aside = more if row.state == "open" else Amount()
    lost = more if row.state == "lost" else Amount(calls=more.calls)
    _add(connection, row.run_id, settled=lost, reserved=aside)


def finish(
    connection: Connection,
    completion_id: int,
    state: str,
    reply: Reply,
    parameters: Mapping[str, Any],
    tokens: int,
) -> None:
    """End an attempt as ``answered`` or ``failed``, and settle what was set aside for it.

    Args:
        tokens: what it used or, where nobody knows, may have used; its cost is the reply's.
    """
    row: Row[Any] = connection.execute(_aside, {"row": completion_id}).one()
    if row.state in ("answered", "failed"):  # the server died before it said that this was committed
        return
    values = {
        "state": state,
        "model": reply.model,
        "parameters": dict(parameters),
        "reply": reply.text if state == "answered" else None,
        "reasoning": reply.reasoning,
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "cost": reply.cost,
        "seconds": reply.seconds,
        "finish_reason": reply.finish_reason,
        "error": reply.error,
    }
    connection.execute(
        _finish, {"row": completion_id, **{f"new_{name}": value for name, value in values.items()}}
    )
    aside = Amount(row.reserved_cost, row.reserved_tokens)
    cost = reply.cost or 0.0
    if row.state == "lost":  # its reservation was settled as if it were its cost
        _add(connection, row.run_id, settled=Amount(cost - aside.cost, tokens - aside.tokens))
    else:
        _add(
            connection, row.run_id, settled=Amount(cost, tokens), reserved=Amount(-aside.cost, -aside.tokens)
        )


def lose_open(connection: Connection, run_id: int) -> int:
    """Give up every open attempt of the run, whose senders are dead; returns how many there were."""
    return _lose(connection, _completion.c.run_id == run_id)


def _lose(connection: Connection, which: ColumnElement[bool]) -> int:
    rows = connection.execute(
        update(_completion)
        .where(which, _completion.c.state == "open")
        .values(state="lost", cost=_completion.c.reserved_cost, finished_at=now())
        .returning(_completion.c.run_id, _completion.c.reserved_cost, _completion.c.reserved_tokens)
    ).all()
    for row in rows:
        aside = Amount(row.reserved_cost, row.reserved_tokens)
        _add(connection, row.run_id, settled=aside, reserved=Amount(-aside.cost, -aside.tokens))
    return len(rows)


def _add(
    connection: Connection, run_id: int, *, settled: Amount = Amount(), reserved: Amount = Amount()
) -> None:
    values = {
        "run": run_id,
        "more_cost": settled.cost,
        "more_tokens": settled.tokens,
        "more_calls": settled.calls,
        "aside_cost": reserved.cost,
        "aside_tokens": reserved.tokens,
    }
    connection.execute(_spend, values)


def open_account(connection: Connection, run_id: int) -> None:
    """Make the run's row of sums if it has none; within a transaction for writing."""
    zeros = {"cost": 0.0, "tokens": 0, "calls": 0, "reserved_cost": 0.0, "reserved_tokens": 0}
    # Several workers may be the first at once.
    statement = dialect_of(connection).insert(_spending).on_conflict_do_nothing(index_elements=["run_id"])
    connection.execute(statement, {"run_id": run_id, **zeros})


def spent(connection: Connection, run_id: int, *, for_update: bool = False) -> Spent:
    """What the run has spent and set aside. `for_update` keeps others from spending until this transaction ends."""
    statement = _spent.with_for_update() if for_update else _spent
    row = connection.execute(statement, {"run": run_id}).one_or_none()
    if row is None:
        return Spent()
    reserved = Amount(max(row.reserved_cost, 0.0), row.reserved_tokens)
    return Spent(Amount(row.cost, row.tokens, row.calls), reserved)


def of_run(connection: Connection, run_id: int) -> Iterator[Stored]:
    """The last outcome of every call of the run, in the order of their ids; for replay."""
    newest = (
        select(func.max(_completion.c.id))
        .where(_completion.c.run_id == run_id, _completion.c.state.in_(("answered", "failed")))
        .group_by(_completion.c.proposal_id, _completion.c.purpose, _completion.c.turn)
    )
    return _stored(connection, _completion.c.id.in_(newest))


def of_proposal(connection: Connection, proposal_id: int) -> list[Stored]:
    """Every attempt made for a proposal, in order; for people who ask what a program cost."""
    return list(_stored(connection, _completion.c.proposal_id == proposal_id))


def _stored(connection: Connection, which: ColumnElement[bool]) -> Iterator[Stored]:
    statement = (
        select(_completion, _proposal.c.number)
        .select_from(_completion.outerjoin(_proposal, _proposal.c.id == _completion.c.proposal_id))
        .where(which)
        .order_by(_completion.c.id)
    )
    for row in connection.execution_options(stream_results=True, yield_per=200).execute(statement):
        messages = tuple(Message(one["role"], one["content"]) for one in row.messages)
        yield Stored(
            row.id, row.number, row.purpose, row.turn, row.state, row.model, row.parameters, messages, _reply(row)
        )  # fmt: skip


def _reply(row: Row[Any]) -> Reply:
    return Reply(
        text=row.reply or "",
        model=row.model,
        finish_reason=row.finish_reason,
        prompt_tokens=row.prompt_tokens,
        completion_tokens=row.completion_tokens,
        cost=row.cost,
        seconds=row.seconds or 0.0,
        reasoning=row.reasoning,
        error=row.error,
        reused=True,
    )
