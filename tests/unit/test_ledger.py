"""A budget that holds: reserved before the call, settled after it, whatever threads, processes and kills do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from guided_evolution.archive import completions, invariants, open_archive
from guided_evolution.archive.completions import Amount
from guided_evolution.ensemble import Ensemble
from guided_evolution.errors import BudgetExhausted, ModelUnavailable
from guided_evolution.ledger import Ledger, Wanted
from guided_evolution.model_plan import plan_models
from guided_evolution.model_settings import ModelSpec
from guided_evolution.models import Reply
from guided_evolution.prices import Limits, Price
from tests.model_runs import ASK, QUICK, ModelRun
from tests.model_server import Drop, Hang, ModelServer, Status, Text
from tests.services import PostgreSQL

DOLLAR = Price(1.0, 10.0, 0.1, "settings")
"""A million prompt tokens for one dollar, a million reply tokens for ten."""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[ModelRun]:
    opened = ModelRun(tmp_path)
    yield opened
    opened.close()


def paid(run: ModelRun, server: ModelServer, limits: Limits, **spec: object) -> Ensemble:
    model = ModelSpec("openai/m", base_url=server.base_url, price_in=1.0, price_out=10.0)
    return run.models(plan=plan_models([replace(model, **spec)], limits, no_cap=False))  # type: ignore[arg-type]


def wanted(
    run: ModelRun, prompt: int = 1000, reply: int | None = 2000, price: Price | None = DOLLAR
) -> Wanted:
    return Wanted(run.call(), "m", ASK, prompt, reply, price)


def test_a_call_is_reserved_at_its_most_and_settled_at_what_it_took(run: ModelRun) -> None:
    ledger = Ledger(run.archive, run.run.id, Limits(cost=1.0))
    ticket = ledger.begin(wanted(run))
    assert ticket.reserved == Amount(pytest.approx(0.001 + 0.02), 3000, 1)  # type: ignore[arg-type]
    assert ledger.spent().reserved.cost == pytest.approx(0.021)
    assert ledger.spent().settled == Amount(0.0, 0, 1)
    ledger.settle(ticket, "answered", Reply("x", "m", cost=0.002), {}, 150)
    assert ledger.spent().settled == Amount(0.002, 150, 1)
    assert ledger.spent().reserved.cost == pytest.approx(0.0)
    assert ledger.spent().reserved.tokens == 0


def test_near_the_end_replies_get_shorter_and_then_nothing_is_asked(run: ModelRun) -> None:
    ledger = Ledger(run.archive, run.run.id, Limits(tokens=10_000))
    granted = []
    with pytest.raises(BudgetExhausted, match=r"budget of 10,000 tokens reached \(9,696 used\)"):
        while True:
            ticket = ledger.begin(wanted(run, prompt=500, reply=4000))
            granted.append(ticket.reply_tokens)
            ledger.settle(ticket, "answered", Reply("x", "m", cost=0.0), {}, ticket.reserved.tokens)
    assert granted == [2375, 1656, 1117, 1024, 1024]
    assert ledger.exhausted is not None


def test_a_cap_on_cost_holds_for_many_threads(run: ModelRun) -> None:
    # Each call costs 100 tokens at $1 and 200 at $10 a million = $0.0021; the cap allows 23 of them.
    with ModelServer(Text("fine", prompt_tokens=100, completion_tokens=200)) as server:
        model = paid(run, server, Limits(cost=0.05))
        calls = [run.call() for _ in range(60)]

        def ask(number: int) -> bool:
            try:
                run.ask(model, calls[number])
            except BudgetExhausted as error:
                return not str(error).startswith("budget of $0.05 reached ($0.0")
            return True

        with ThreadPoolExecutor(12) as pool:
            done = sum(pool.map(ask, range(60)))
    assert server.count == done
    assert run.spent().settled.cost == pytest.approx(0.0021 * done)
    # What is left can't pay for a reply of 1,024 tokens.
    assert 0.05 - 0.0105 - 0.0021 < run.spent().settled.cost <= 0.05


def test_a_cap_on_calls_counts_retries(run: ModelRun) -> None:
    steps = [Status(500), "a", Status(500), "b", Status(500), "c"]
    with ModelServer(steps) as server:
        model = paid(run, server, Limits(calls=4))
        assert [run.ask(model).text, run.ask(model).text] == ["a", "b"]
        with pytest.raises(BudgetExhausted, match="budget of 4 model calls reached"):
            run.ask(model)
    assert server.count == 4


def test_a_retry_that_the_cap_forbids_is_not_sent(run: ModelRun) -> None:
    with ModelServer(["a", Status(500), Status(500)]) as server:
        model = paid(run, server, Limits(calls=2))
        run.ask(model)
        assert run.ask(model).finish_reason == "error"
    assert server.count == 2


def test_unknown_usage_is_settled_at_the_reservation(run: ModelRun) -> None:
    with ModelServer(Text("fine", usage=False)) as server:
        call = run.call()
        reply = run.ask(paid(run, server, Limits(cost=1.0), max_tokens=3000), call)
    assert reply.prompt_tokens is None
    assert reply.cost is not None
    assert reply.cost > 0.03
    assert run.spent().settled.cost == pytest.approx(reply.cost)


def test_a_dropped_request_may_have_cost_what_was_reserved(run: ModelRun) -> None:
    with ModelServer([Drop(midway=True), Text("fine", prompt_tokens=100, completion_tokens=10)]) as server:
        reply = run.ask(paid(run, server, Limits(cost=1.0), max_tokens=3000))
    assert reply.cost is not None
    assert 0.03 < reply.cost < 0.04


def test_a_refused_request_costs_nothing(run: ModelRun) -> None:
    with ModelServer(Status(500)) as server, pytest.raises(ModelUnavailable):
        run.ask(paid(run, server, Limits(cost=1.0)))
    assert run.spent().settled.cost == 0
    assert run.spent().reserved.cost == pytest.approx(0)


def test_cached_tokens_have_their_own_price() -> None:
    assert DOLLAR.of(1_000_000, 100_000) == pytest.approx(2.0)
    assert DOLLAR.of(1_000_000, 100_000, cached_tokens=1_000_000) == pytest.approx(1.1)


def test_a_budget_smaller_than_one_call_says_so(run: ModelRun) -> None:
    with ModelServer() as server:
        model = paid(run, server, Limits(cost=0.000001))
        with pytest.raises(
            BudgetExhausted, match=r"budget of \$1e-06 reached \(\$0 spent\), too little for one call"
        ):
            run.ask(model)
    assert server.count == 0


def test_who_can_be_afforded_after_others_settle_waits_for_them(run: ModelRun) -> None:
    ledger = Ledger(run.archive, run.run.id, Limits(cost=0.03))
    big = Wanted(run.call(), "m", ASK, 20_000, 500, DOLLAR)
    first = ledger.begin(big)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(ledger.begin, replace(big, call=run.call()))
        time.sleep(0.1)
        assert not second.done()
        ledger.settle(first, "answered", Reply("x", "m", cost=0.0001), {}, 100)
        assert second.result(10).reserved.cost == pytest.approx(first.reserved.cost)


def test_what_was_open_when_its_process_died_counts_at_its_reservation(run: ModelRun) -> None:
    limits = Limits(cost=0.03)
    call = run.call()
    before = Ledger(run.archive, run.run.id, limits)
    lost = before.begin(Wanted(call, "m", ASK, 20_000, 500, DOLLAR))
    after = Ledger(run.archive, run.run.id, limits)  # another session of the run
    with pytest.raises(BudgetExhausted):
        after.begin(Wanted(run.call(), "m", ASK, 20_000, 500, DOLLAR))
    with run.archive.write() as connection:
        assert completions.lose_open(connection, run.run.id) == 1
        assert completions.lose_open(connection, run.run.id) == 0
    assert after.spent().settled.cost == pytest.approx(lost.reserved.cost)
    assert after.spent().reserved.cost == pytest.approx(0)
    # Its reply comes after all: then it counts at what it cost.
    before.settle(lost, "answered", Reply("late", "m", cost=0.001), {}, 700)
    assert after.spent().settled == Amount(pytest.approx(0.001), 700, 1)  # type: ignore[arg-type]
    with run.archive.read() as connection:
        stored = completions.answered(connection, call)
    assert stored is not None
    assert stored.text == "late"


def test_the_sum_is_always_that_of_the_rows(run: ModelRun) -> None:
    steps = ["a", Status(500), Text("b", usage=False), Drop(), "c", Status(429), "d", Hang()]
    with ModelServer(steps) as server:
        spec = ModelSpec("openai/m", base_url=server.base_url, price_in=1.0, price_out=10.0, max_tokens=2000)
        plan = plan_models([spec], Limits(cost=5.0), no_cap=False)
        model = run.models(plan=plan, patience=replace(QUICK, call=0.3))
        calls = [run.call() for _ in range(5)]
        for call in calls:
            run.ask(model, call)
    rows = [row for call in calls for row in run.rows(call)]
    assert run.spent().settled.cost == pytest.approx(sum(row.reply.cost or 0 for row in rows))
    assert run.spent().settled.calls == server.count
    with run.archive.write() as connection:
        assert list(invariants.of_run(connection, run.run.id)) == []
        connection.execute(text("UPDATE spending SET cost = cost + 0.01"))
        assert [one.what for one in invariants.of_run(connection, run.run.id)] == [
            "runs whose ledger isn't the sum of their model calls"
        ]


def test_on_postgresql_the_cap_holds_between_connections(tmp_path: Path, postgres: PostgreSQL) -> None:
    run = ModelRun(tmp_path, postgres.new_database())
    ledgers = [Ledger(run.archive, run.run.id, Limits(calls=25)) for _ in range(4)]
    calls = [wanted(run) for _ in range(40)]

    def take(number: int) -> bool:
        try:
            ticket = ledgers[number % 4].begin(calls[number])
        except BudgetExhausted:
            return False
        ledgers[number % 4].settle(ticket, "answered", Reply("x\0", "m", cost=0.5), {}, 7)
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(40))) == 25
    assert run.spent().settled == Amount(12.5, 175, 25)
    with run.archive.read() as connection:
        assert list(invariants.of_run(connection, run.run.id)) == []
        stored = completions.answered(connection, calls[0].call)
    assert stored is not None
    assert stored.text == "x\N{REPLACEMENT CHARACTER}"
    run.close()


def test_two_processes_share_one_cap(run: ModelRun) -> None:
    other = open_archive(str(run.path))
    ledgers = [Ledger(archive, run.run.id, Limits(calls=10)) for archive in (run.archive, other)]
    taken = 0
    calls = [wanted(run) for _ in range(12)]
    for number, call in enumerate(calls):
        ledger = ledgers[number % 2]
        try:
            ticket = ledger.begin(call)
        except BudgetExhausted:
            continue
        taken += 1
        ledger.settle(ticket, "answered", Reply("x", "m", cost=0.0), {}, 1)
    assert taken == 10
    other.close()
