"""What can stand for what: operators and functions that take the same arguments, as tables."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

BINARY = {
    "+": ("-", "*"),
    "-": ("+", "*"),
    "*": ("/", "+", "-"),
    "/": ("*", "-"),
    "**": ("*", "/"),
    "//": ("%",),
    "%": ("//",),
    "&": ("|", "^"),
    "|": ("&", "^"),
    "^": ("&", "|"),
    "<<": (">>",),
    ">>": ("<<",),
}
AUGMENTED = {f"{old}=": tuple(f"{one}=" for one in new) for old, new in BINARY.items()}
BOOLEAN = {"and": ("or",), "or": ("and",)}
COMPARISON = {
    "<": ("<=", ">", ">=", "!="),
    "<=": ("<", ">", ">=", "=="),
    ">": (">=", "<", "<=", "!="),
    ">=": (">", "<", "<=", "=="),
    "==": ("!=", "<=", ">="),
    "!=": ("==", "<", ">"),
    "in": ("not in",),
    "not in": ("in",),
    "is": ("is not",),
    "is not": ("is",),
}
ORDERED = ("-", "/", "//", "%", "**")
"""Those whose sides can be swapped with another result."""

_ARRAYS = r"np|numpy|jnp|cp|cupy|xp"
_TORCH = r"torch|F|functional|nn\.functional|torch\.nn\.functional"
_INIT = r"init|nn\.init|torch\.nn\.init"
_NN = r"nn|torch\.nn"
_OPTIM = r"optim|torch\.optim"
_RANDOM = r"(?:.*[._])?(?:rng|generator|gen|rs)|(?:np|numpy)\.random"


@dataclass(frozen=True)
class Family:
    """Functions that take the same arguments.

    Attributes:
        base: a pattern of what stands before the dot; None for plain names.
        names: the members; for some the only keywords that they take.
        fewest, most: positional arguments that all members take.
    """

    base: str | None
    names: tuple[str, ...]
    keywords: dict[str, tuple[str, ...]] = field(default_factory=dict)
    fewest: int = 0
    most: int = 99

    def takes(self, base: str | None, plain: int) -> bool:
        """Whether a call with this base and so many positional arguments can be one of the family's."""
        if not self.fewest <= plain <= self.most:
            return False
        if self.base is None or base is None:
            return self.base is None and base is None
        return re.fullmatch(self.base, base) is not None


def _any_of(names: str, keywords: str) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(names.split(), tuple(keywords.split()))


_ACTIVATIONS = (
    "ReLU GELU SiLU Mish ELU SELU CELU Hardswish LeakyReLU Softplus Tanh Sigmoid ReLU6 Softsign Hardtanh"
)
_ADAMS = "Adam AdamW NAdam RAdam Adamax"

FAMILIES = (
    # Element by element
    Family(
        _ARRAYS,
        tuple("tanh sin cos arctan arcsinh sqrt cbrt abs square exp expm1 log1p sign negative".split()),
        fewest=1,
        most=1,
    ),
    Family(
        _ARRAYS,
        tuple("maximum minimum fmax fmin add subtract multiply hypot logaddexp".split()),
        fewest=2,
        most=2,
    ),
    Family(_ARRAYS, ("floor", "ceil", "rint", "trunc"), fewest=1, most=1),
    Family(
        "math", tuple("tanh sin cos atan asinh sqrt cbrt fabs exp expm1 log1p erf".split()), fewest=1, most=1
    ),
    Family("math", ("floor", "ceil", "trunc"), fewest=1, most=1),
    Family("math", ("hypot", "atan2", "fmod", "pow"), fewest=2, most=2),
    Family(
        _TORCH,
        tuple("tanh sigmoid sin cos atan asinh erf relu selu sqrt abs square exp expm1 log1p".split()),
        fewest=1,
        most=1,
    ),
    Family(
        r"F|functional|nn\.functional|torch\.nn\.functional",
        tuple(
            "relu gelu silu mish elu selu celu leaky_relu hardswish softplus relu6 softsign tanhshrink".split()
        ),
        {**_any_of("relu silu mish elu selu celu leaky_relu hardswish relu6", "inplace")}
        | _any_of("gelu softplus softsign tanhshrink", ""),
        fewest=1,
        most=1,
    ),
    Family(_TORCH, ("maximum", "minimum", "fmax", "fmin", "hypot", "logaddexp"), fewest=2, most=2),
    # Reductions
    Family(
        _ARRAYS,
        tuple("mean sum max min median std ptp".split()),
        _any_of("mean sum max min median std ptp", "axis keepdims"),
        fewest=1,
        most=2,
    ),
    Family(_ARRAYS, ("nanmean", "nansum", "nanmax", "nanmin", "nanmedian", "nanstd"), fewest=1, most=2),
    Family(_ARRAYS, ("argmax", "argmin"), fewest=1, most=2),
    Family(_ARRAYS, ("cumsum", "cumprod"), fewest=1, most=2),
    Family(_TORCH, ("mean", "sum", "amax", "amin", "std", "var"), fewest=1, most=2),
    Family(
        r"[^\s(]+",
        tuple("mean sum max min std var".split()),
        _any_of("mean sum max min std var", "axis keepdims"),
        most=1,
    ),
    Family(r"[^\s(]+", ("amax", "amin"), _any_of("amax amin", "dim keepdim"), most=1),
    Family(r"[^\s(]+", ("argmax", "argmin"), most=1),
    Family(r"[^\s(]+", ("cumsum", "cumprod"), most=1),
    Family("statistics", ("mean", "median", "fmean", "median_low", "median_high"), fewest=1, most=1),
    Family(None, ("min", "max"), fewest=1),
    Family(
        None, ("min", "max", "sum"), _any_of("min max", "key default") | _any_of("sum", ""), fewest=1, most=1
    ),
    Family(None, ("any", "all"), fewest=1, most=1),
    Family(None, ("round", "int"), fewest=1, most=1),
    # Initial values
    Family(_ARRAYS, ("zeros", "ones"), fewest=1),
    Family(_ARRAYS, ("zeros_like", "ones_like"), fewest=1),
    Family("torch", ("zeros", "ones", "randn", "rand"), fewest=1),
    Family("torch", ("zeros_like", "ones_like", "randn_like", "rand_like"), fewest=1),
    Family(_RANDOM, ("standard_normal", "random", "standard_exponential"), most=1),
    Family(_RANDOM, ("randn", "rand")),
    Family(_RANDOM, ("normal", "laplace", "logistic", "gumbel", "uniform"), fewest=1, most=3),
    Family("random", ("gauss", "normalvariate", "uniform", "lognormvariate"), fewest=2, most=2),
    Family(_ARRAYS, ("hanning", "hamming", "blackman", "bartlett"), fewest=1, most=1),
    Family(
        _INIT,
        tuple("kaiming_normal_ kaiming_uniform_ xavier_normal_ xavier_uniform_ orthogonal_".split()),
        _any_of("kaiming_normal_ kaiming_uniform_", "a mode nonlinearity")
        | _any_of("xavier_normal_ xavier_uniform_ orthogonal_", "gain"),
        fewest=1,
        most=1,
    ),
    Family(_INIT, ("normal_", "uniform_", "trunc_normal_"), fewest=1, most=3),
    Family(_INIT, ("zeros_", "ones_"), fewest=1, most=1),
    # Layers
    Family(
        _NN,
        tuple(_ACTIVATIONS.split()),
        _any_of("ReLU SiLU Mish ELU SELU CELU Hardswish LeakyReLU ReLU6 Hardtanh", "inplace")
        | _any_of("GELU Softplus Tanh Sigmoid Softsign", ""),
        most=0,
    ),
    Family(
        _NN,
        ("MaxPool1d", "AvgPool1d"),
        _any_of("MaxPool1d AvgPool1d", "kernel_size stride padding ceil_mode"),
        most=3,
    ),
    Family(
        _NN,
        ("MaxPool2d", "AvgPool2d"),
        _any_of("MaxPool2d AvgPool2d", "kernel_size stride padding ceil_mode"),
        most=3,
    ),
    Family(_NN, ("AdaptiveAvgPool1d", "AdaptiveMaxPool1d"), most=1),
    Family(_NN, ("AdaptiveAvgPool2d", "AdaptiveMaxPool2d"), most=1),
    Family(_NN, ("BatchNorm1d", "InstanceNorm1d"), fewest=1, most=3),
    Family(_NN, ("BatchNorm2d", "InstanceNorm2d"), fewest=1, most=3),
    Family(_NN, ("Dropout", "AlphaDropout", "FeatureAlphaDropout"), most=1),
    Family(
        _NN,
        ("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss"),
        _any_of("MSELoss L1Loss SmoothL1Loss HuberLoss", "reduction"),
        most=0,
    ),
    Family(
        _TORCH,
        ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"),
        _any_of("mse_loss l1_loss smooth_l1_loss huber_loss", "reduction"),
        fewest=2,
        most=2,
    ),
    Family(_TORCH, ("max_pool1d", "avg_pool1d"), fewest=2, most=4),
    Family(_TORCH, ("max_pool2d", "avg_pool2d"), fewest=2, most=4),
    Family(_TORCH, ("adaptive_avg_pool2d", "adaptive_max_pool2d"), fewest=2, most=2),
    # Optimisers
    Family(
        _OPTIM,
        tuple(f"{_ADAMS} SGD RMSprop Adagrad Adadelta".split()),
        _any_of(_ADAMS, "lr betas eps weight_decay")
        | _any_of("SGD", "lr momentum dampening weight_decay nesterov")
        | _any_of("RMSprop", "lr alpha eps weight_decay momentum centered")
        | _any_of("Adagrad", "lr lr_decay weight_decay eps")
        | _any_of("Adadelta", "lr rho eps weight_decay"),
        fewest=1,
        most=2,
    ),
)


def others(
    base: str | None, name: str, plain: int, keywords: tuple[str, ...], stars: bool
) -> tuple[str, ...]:
    """The names that can stand in this call for `name`, in a fixed order.

    Args:
        base: what stands before the dot, None for a plain name.
        plain: how many positional arguments there are. `keywords`: the names of the others.
        stars: whether arguments are unpacked, so that nobody knows how many there are.
    """
    found: dict[str, None] = {}
    for family in FAMILIES:
        if stars or name not in family.names or not family.takes(base, plain):
            continue
        for other in family.names:
            known = family.keywords.get(other)
            if other != name and (known is None or set(keywords) <= set(known)):
                found[other] = None
    return tuple(found)
