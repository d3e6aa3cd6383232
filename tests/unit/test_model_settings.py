"""Which models a run asks, what they cost, and what is said about settings that can't be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from guided_evolution.errors import ModelRefused, ModelUnavailable, SettingsError
from guided_evolution.model_plan import ModelPlan, plan_models
from guided_evolution.model_settings import ModelSpec, choose_models, is_private, parse_model_flag
from guided_evolution.preflight import look_at
from guided_evolution.prices import FREE, Limits, Price, check_caps, estimate, price_of
from tests.model_server import ModelServer

FILE = """
[[model]]
name = "openai/gpt-5"
weight = 3
group = "strong"
reasoning_effort = "low"
max_tokens = 8000

[[model]]
name = "openai/mine"
base_url = "http://10.0.0.5:8000/v1"
api_key_env = "MY_KEY"
context_window = 32768
price_in = 0.5
price_out = 1.5
parameters = { top_k = 40 }
"""


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("openai/gpt-5", ("openai/gpt-5", None)),
        ("openai/gpt-5=3", ("openai/gpt-5", 3.0)),
        ("ollama_chat/qwen3:8b=0.5", ("ollama_chat/qwen3:8b", 0.5)),
        (" manual ", ("manual", None)),
    ],
)
def test_a_model_flag_is_a_name_and_maybe_a_weight(text: str, meant: tuple[str, float | None]) -> None:
    assert parse_model_flag(text) == meant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be PROVIDER/NAME"),
        ("=3", "must be PROVIDER/NAME"),
        ("a b", "must be PROVIDER/NAME"),
        ("openai/x=", "the weight must be a number above 0, not ''"),
        ("openai/x=no", "the weight must be a number above 0, not 'no'"),
        ("openai/x=0", "the weight must be a number above 0, not '0'"),
        ("openai/x=-1", "the weight must be a number above 0"),
        ("openai/x=nan", "the weight must be a number above 0"),
        ("openai/x=inf", "the weight must be a number above 0"),
    ],
)
def test_a_bad_model_flag_is_refused_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse_model_flag(text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_gives_settings_and_flags_choose_and_weigh(tmp_path: Path) -> None:
    place = tmp_path / "models.toml"
    place.write_text(FILE)
    both = choose_models([], file=place)
    assert both[0] == ModelSpec("openai/gpt-5", 3.0, group="strong", reasoning_effort="low", max_tokens=8000)
    assert both[1].parameters == {"top_k": 40}
    assert both[1].api_key_env == "MY_KEY"
    (one,) = choose_models(["openai/mine=2"], file=place, base_url="http://localhost:1/v1")
    assert (one.weight, one.base_url) == (2.0, "http://10.0.0.5:8000/v1")


def test_with_an_address_a_bare_name_is_one_of_an_openai_compatible_server() -> None:
    (one,) = choose_models(["qwen"], base_url="http://localhost:8000/v1")
    assert (one.name, one.base_url) == ("openai/qwen", "http://localhost:8000/v1")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[model]]\nname = "openai/x"\napi_key = "sk-abc"', "would put a key into a file"),
        (
            '[[model]]\nname = "openai/x"\napi_key_env = "sk-abc-def"',
            "must be the name of an environment variable",
        ),
        ('[[model]]\nname = "openai/x"\nwieght = 2', 'unknown key "model[0].wieght"; did you mean "weight"?'),
        ('[[model]]\nname = "openai/x"\nprice_in = -1', "model[0].price_in is -1"),
        ('[[model]]\nname = "openai/x"\nweight = 0', "model[0].weight is 0; leave the model out"),
        ('[[model]]\nname = "openai/x"\nbase_url = "localhost"', "must be an address like"),
        ('[[model]]\nname = "openai/x"\nparameters = { messages = 1 }', "parameters.messages is set by"),
        ("", "names no model"),
    ],
)
def test_a_bad_models_file_is_refused_in_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    place = tmp_path / "models.toml"
    place.write_text(text)
    with pytest.raises(SettingsError) as error:
        choose_models([], file=place)
    assert said in str(error.value)
    assert "sk-abc" not in str(error.value)


@pytest.mark.parametrize(
    ("names", "url", "said"),
    [
        (["openai/x", "openai/x=2"], None, "--model openai/x is given twice"),
        (["manual", "openai/x"], None, "--model manual stands alone"),
        (["openai/x"], "ftp://x", "--base-url ftp://x: must be an address"),
        (["openai/x"], "http://me:secret@host/v1", "holds a user name or password"),
    ],
)
def test_what_cant_be_meant_is_refused(names: list[str], url: str | None, said: str) -> None:
    with pytest.raises(SettingsError) as error:
        choose_models(names, base_url=url)
    assert said in str(error.value)
    assert "secret" not in str(error.value)


def test_private_addresses_are_told_by_their_form() -> None:
    own = [
        "http://localhost:1/v1",
        "http://127.0.0.1",
        "http://[::1]:8",
        "http://192.168.1.4",
        "http://gpubox:8000",
    ]
    assert all(map(is_private, own))
    assert not any(map(is_private, ["https://api.openai.com/v1", "http://8.8.8.8"]))


LISTED = {"input_cost_per_token": 2e-6, "output_cost_per_token": 8e-6, "cache_read_input_token_cost": 5e-7}


def test_prices_come_from_the_file_then_the_map_then_own_hardware() -> None:
    assert price_of(ModelSpec("openai/x"), LISTED) == Price(2.0, 8.0, 0.5, "litellm")
    assert price_of(ModelSpec("openai/x", price_in=1.0, price_out=3.0), LISTED) == Price(
        1.0, 3.0, 1.0, "settings"
    )
    assert price_of(ModelSpec("openai/x", base_url="http://localhost:4000/v1"), LISTED) == Price(
        2.0, 8.0, 0.5, "litellm"
    )
    assert price_of(ModelSpec("openai/x", base_url="http://localhost:4000/v1"), None) == FREE
    assert price_of(ModelSpec("ollama_chat/x"), None) == FREE
    assert price_of(ModelSpec("openai/x"), None) is None
    assert price_of(ModelSpec("openai/x", base_url="https://host.example/v1"), None) is None


PAID, UNKNOWN = {"m": Price(2.0, 8.0, 2.0, "litellm")}, {"m": None}


@pytest.mark.parametrize(
    ("prices", "limits", "said"),
    [
        (PAID, Limits(), "model m costs money ($2 a million tokens in, $8 out); cap the run by --max-cost"),
        (UNKNOWN, Limits(), "model m: its price isn't known, so what it costs can't be told; give price_in"),
        (UNKNOWN, Limits(cost=1.0), "model m: its price isn't known, so a cap on its cost can't hold; give"),
    ],
)
def test_money_is_not_spent_without_a_bound(
    prices: dict[str, Price | None], limits: Limits, said: str
) -> None:
    with pytest.raises(SettingsError) as error:
        check_caps(prices, limits, no_cap=False)
    assert str(error.value).startswith(said)
    check_caps(prices, limits, no_cap=True)


@pytest.mark.parametrize(
    ("prices", "limits"),
    [
        (PAID, Limits(cost=1.0)),
        (PAID, Limits(tokens=1000)),
        (PAID, Limits(calls=10)),
        (UNKNOWN, Limits(calls=10)),
        (UNKNOWN, Limits(tokens=1000)),
        ({"m": FREE}, Limits()),
    ],
)
def test_a_cap_that_holds_is_enough(prices: dict[str, Price | None], limits: Limits) -> None:
    check_caps(prices, limits, no_cap=False)


def test_an_estimate_is_a_mean_over_the_models_by_weight() -> None:
    specs = [ModelSpec("m", 3.0), ModelSpec("local", 1.0)]
    prices: dict[str, Price | None] = {"m": Price(1.0, 10.0, 1.0, "settings"), "local": FREE}
    told = estimate(specs, prices, calls=400, prompt_tokens=10_000, completion_tokens=1_000)
    assert told.cost == pytest.approx(6.0)
    assert str(told) == "about 400 model calls of 10,000 + 1,000 tokens: about $6"
    unknown = estimate(specs, {"m": None, "local": FREE}, calls=1, prompt_tokens=1, completion_tokens=1)
    assert unknown.cost is None


def test_a_plan_survives_its_way_through_the_archive(tmp_path: Path) -> None:
    place = tmp_path / "models.toml"
    place.write_text(FILE)
    plan = plan_models(choose_models([], file=place), Limits(cost=2.0, calls=9), no_cap=False)
    assert ModelPlan.from_json(plan.to_json()) == plan
    assert plan.prices["openai/mine"] == Price(0.5, 1.5, 0.5, "settings")
    known = plan.prices["openai/gpt-5"]
    assert known is not None
    assert known.source == "litellm"
    assert plan.windows["openai/mine"] == 32768
    assert plan.windows["openai/gpt-5"] > 100_000
    assert plan.costs_money


def test_an_unknown_provider_is_refused_before_anything_is_spent() -> None:
    for name in ("nosuch/model", "qwen"):
        with pytest.raises(
            ModelRefused, match=rf"model {name}: no such provider; write PROVIDER/NAME"
        ) as error:
            plan_models([ModelSpec(name)], Limits(calls=1), no_cap=False)
        assert error.value.exit_code == 3


def test_a_missing_key_is_named_before_anything_is_spent() -> None:
    plan = plan_models([ModelSpec("openai/gpt-5")], Limits(calls=1), no_cap=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("OPENAI_API_KEY", raising=False)
        with pytest.raises(
            ModelRefused, match="model openai/gpt-5: no key; put OPENAI_API_KEY into the environment"
        ):
            look_at(plan, notice=print, environ={})
    named = plan_models(
        [ModelSpec("openai/x", base_url="http://127.0.0.1:9/v1", api_key_env="MY_KEY")],
        Limits(),
        no_cap=False,
    )
    with pytest.raises(ModelRefused, match="no key, as MY_KEY isn't set"):
        look_at(named, notice=print, environ={})


def test_a_dead_address_is_named_before_anything_is_spent() -> None:
    with ModelServer() as server:
        url, alive = server.base_url, ModelSpec("openai/b", base_url=server.base_url)
        both = plan_models(
            [ModelSpec("openai/a", base_url="http://127.0.0.1:1/v1"), alive], Limits(), no_cap=False
        )
        said: list[str] = []
        look_at(both, notice=said.append, environ={})
        assert said == [
            "model openai/a: nobody answers at http://127.0.0.1:1/v1 (Connection refused); "
            "start the server there, or correct the address"
        ]
    dead = plan_models([ModelSpec("openai/a", base_url=url)], Limits(), no_cap=False)
    with pytest.raises(ModelUnavailable, match=f"model openai/a: nobody answers at {url}"):
        look_at(dead, notice=print, environ={})


def test_local_servers_tell_the_windows_of_their_models() -> None:
    with ModelServer(models=["m"], context_window=4096) as server:
        specs = [
            ModelSpec("hosted_vllm/m", base_url=server.base_url),
            ModelSpec("ollama_chat/m", base_url=server.url),
        ]
        told = look_at(plan_models(specs, Limits(), no_cap=False), notice=print, environ={})
        assert told.windows == {"hosted_vllm/m": 4096, "ollama_chat/m": 4096}
        own = [ModelSpec("hosted_vllm/m", base_url=server.base_url, context_window=1000)]
        assert look_at(plan_models(own, Limits(), no_cap=False), notice=print, environ={}).windows == {
            "hosted_vllm/m": 1000
        }
        assert server.count == 0
