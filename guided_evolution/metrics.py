"""Figures for Prometheus, read at the moment they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from guided_evolution.errors import SettingsError

PREFIX = "guided_evolution_"


def serve(port: int, read: Callable[[], Mapping[str, float]], labels: Mapping[str, str]) -> None:
    """Answer http://0.0.0.0:`port`/metrics from a thread; names that end in ``_total`` are counters, others gauges.

    Raises:
        SettingsError: prometheus_client isn't installed, or the port can't be had.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    except ImportError as error:
        raise SettingsError(
            "--metrics-port needs prometheus_client; `pip install 'guided-evolution[metrics]'`"
        ) from error

    class _Now:
        def collect(self) -> Iterator[Any]:
            for name, value in read().items():
                counted = name.endswith("_total")
                family = (CounterMetricFamily if counted else GaugeMetricFamily)(
                    PREFIX + name.removesuffix("_total"),
                    name.replace("_", " "),
                    labels=list(labels),
                )
                family.add_metric(list(labels.values()), value)
                yield family

    registry = CollectorRegistry()
    registry.register(_Now())  # type: ignore[arg-type,unused-ignore]
    try:
        start_http_server(port, registry=registry)
    except OSError as error:
        raise SettingsError(f"--metrics-port {port}: {error.strerror or error}") from error
