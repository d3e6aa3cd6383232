"""Before anything is spent: has each model a key, does its address answer, how much does it read? Costs nothing."""

from __future__ import annotations

import json
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from guided_evolution.errors import GuidedEvolutionError, ModelRefused, ModelUnavailable
from guided_evolution.model_plan import ModelPlan
from guided_evolution.model_settings import MANUAL, ModelSpec, is_private
from guided_evolution.scrub import scrub

_SECONDS = 5.0
_DEFAULT_ADDRESS = {"ollama": "http://localhost:11434", "ollama_chat": "http://localhost:11434"}
_ADDRESS_VARIABLE = {
    "ollama": "OLLAMA_API_BASE",
    "ollama_chat": "OLLAMA_API_BASE",
    "hosted_vllm": "HOSTED_VLLM_API_BASE",
}


def look_at(
    plan: ModelPlan, *, notice: Callable[[str], None], environ: Mapping[str, str] | None = None
) -> ModelPlan:
    """The plan with what local servers tell of their models. A model that can't be asked is told to `notice`.

    Raises:
        ModelRefused: no key, when no model is left to ask.
        ModelUnavailable: nobody at the address, when no model is left to ask.
    """
    environ = os.environ if environ is None else environ
    problems: list[GuidedEvolutionError] = []
    for spec in plan.specs:
        if spec.name == MANUAL:
            continue
        try:
            _check_key(spec, environ)
            window = _check_address(spec, environ)
        except (ModelRefused, ModelUnavailable) as problem:
            problems.append(problem)
            continue
        if window:
            plan = plan.with_window(spec.name, window)
    if problems and len(problems) == len(plan.specs):
        kind = type(problems[0]) if len({type(one) for one in problems}) == 1 else ModelUnavailable
        raise kind("; ".join(map(str, problems)))
    for one in problems:
        notice(str(one))
    return plan


def _check_key(spec: ModelSpec, environ: Mapping[str, str]) -> None:
    if spec.api_key_env:
        if not environ.get(spec.api_key_env):
            raise ModelRefused(
                f"model {spec.name}: no key, as {spec.api_key_env} isn't set; put it into the environment"
            )
        return
    if spec.base_url or spec.is_local:
        return
    from guided_evolution.model_client import load_litellm

    found = load_litellm().validate_environment(spec.name)
    missing = [str(name) for name in found.get("missing_keys", [])]
    # Other variables than keys (regions, projects) have other sources, which only the provider's client knows.
    if not found.get("keys_in_environment") and missing and all(one.endswith("_API_KEY") for one in missing):
        raise ModelRefused(f"model {spec.name}: no key; put {' or '.join(missing)} into the environment")


def _check_address(spec: ModelSpec, environ: Mapping[str, str]) -> int | None:
    """The window that a server of the user's own tells; None where it doesn't, or where a provider is asked."""
    url = (
        spec.base_url
        or environ.get(_ADDRESS_VARIABLE.get(spec.provider, ""))
        or _DEFAULT_ADDRESS.get(spec.provider)
    )
    behind_proxy = any(
        environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
    )
    if url is None or (behind_proxy and not is_private(url)):
        return None
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), _SECONDS).close()
    except OSError as error:
        reason = scrub(error.strerror or str(error))
        raise ModelUnavailable(
            f"model {spec.name}: nobody answers at {url} ({reason}); start the server there, or correct the address"
        ) from error
    if not is_private(url):
        return None
    key = environ.get(spec.api_key_env or "OPENAI_API_KEY", "")
    return _ollama_window(spec, url) if spec.provider.startswith("ollama") else _openai_window(spec, url, key)


def _ollama_window(spec: ModelSpec, url: str) -> int | None:
    told = _json(f"{url.rstrip('/')}/api/show", {"model": spec.name.partition("/")[2]}, "")
    info = told.get("model_info") if isinstance(told, dict) else None
    sizes = [
        value
        for key, value in (info.items() if isinstance(info, dict) else ())
        if str(key).endswith(".context_length") and isinstance(value, int) and value > 0
    ]
    return sizes[0] if sizes else None


def _openai_window(spec: ModelSpec, url: str, key: str) -> int | None:
    """vLLM tells `max_model_len` in its list of models; others tell nothing."""
    told = _json(f"{url.rstrip('/')}/models", None, key)
    models = told.get("data") if isinstance(told, dict) else None
    for model in models if isinstance(models, list) else []:
        if isinstance(model, dict) and model.get("id") == spec.name.partition("/")[2]:
            size = model.get("max_model_len")
            return size if isinstance(size, int) and size > 0 else None
    return None


def _json(url: str, body: Mapping[str, Any] | None, key: str) -> Any:
    """The page's JSON; None for anything else, as these pages are only a help."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    data = None if body is None else json.dumps(body).encode()
    try:
        request = urllib.request.Request(url, data, headers)
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:
            return json.loads(response.read(10**6))
    except (OSError, ValueError, urllib.error.URLError):
        return None
