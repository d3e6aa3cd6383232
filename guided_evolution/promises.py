"""What others rely on in a file: names bound exactly once, that keep how they are called."""

from __future__ import annotations

from guided_evolution.layout import Layout
from guided_evolution.signatures import Signature


def times_bound(layout: Layout, dotted: str) -> int:
    """How often "train" is bound in the module, or "Net.forward" in the class Net, by any statement of the file.

    Also counted: `global train` in a function, `del train`, and an assignment to `Net.forward` or `train.__code__`.
    What is only known by running it, such as `globals()["train"] = …`, can't be seen.
    """
    owner, _, last = dotted.rpartition(".")
    if owner and sum(owner in piece.bound for piece in layout.pieces) != 1:
        return 0
    count = 0
    for piece in layout.pieces:
        count += piece.bound.get(owner, {}).get(last, 0)
        count += 0 if owner else piece.globals.get(last, 0)
        for (target, attribute), times in piece.stored.items():
            if target == owner and owner:
                count += times * (attribute == last)
            elif target == dotted and attribute.startswith("__"):
                count += times
    return count


def signature(layout: Layout, dotted: str) -> Signature | None:
    """How the name can be called, None where it isn't bound."""
    for piece in layout.pieces:
        if dotted in piece.signatures:
            return piece.signatures[dotted]
    return Signature("value") if times_bound(layout, dotted) else None


def star_imports(layout: Layout) -> frozenset[str]:
    """The modules of which everything is imported."""
    return frozenset(module for piece in layout.pieces for module in piece.stars)
