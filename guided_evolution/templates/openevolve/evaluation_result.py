"""Stands in for OpenEvolve's result type, so that its evaluators run where OpenEvolve isn't installed."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class EvaluationResult:
    """Metrics of a program, and texts or bytes that say more about it."""

    metrics: dict[str, float]
    artifacts: dict[str, str | bytes] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, metrics: dict[str, float]) -> EvaluationResult:
        return cls(metrics)

    def to_dict(self) -> dict[str, float]:
        return self.metrics

    def has_artifacts(self) -> bool:
        return len(self.artifacts) > 0

    def get_artifact_keys(self) -> list[str]:
        return [*self.artifacts]

    def get_artifact_size(self, key: str) -> int:
        """Bytes of one artifact, 0 for an unknown key."""
        artifact: object = self.artifacts.get(key, b"")
        return len(artifact if isinstance(artifact, bytes) else str(artifact).encode())

    def get_total_artifact_size(self) -> int:
        return sum(map(self.get_artifact_size, self.artifacts))
