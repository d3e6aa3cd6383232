"""The images in which candidates are judged: what goes in, what they are called, and how one is built.

An image's name holds the hash of all that it is made of, so equal needs share one image and changed needs never
meet an old one.
"""

from __future__ import annotations

import hashlib
import io
import re
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from guided_evolution.errors import SandboxBroken, SettingsError
from guided_evolution.requirements import distribution_name, distributions_of, installed_version
from guided_evolution.sandbox.engine import LABEL, Engine
from guided_evolution.seed import Environment, Seed

REPOSITORY = "guided-evolution/sandbox"
BUILD_SECONDS = 900.0
"""How long a build may say nothing: pip prints nothing while it loads a large wheel."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """What an image is made of.

    `candidate` and `evaluator` are requirements as for pip; `wheels` a folder of wheels that pip takes instead of the
    network; `base` an image with Python 3.11 or newer and pip.
    """

    base: str
    candidate: tuple[str, ...]
    evaluator: tuple[str, ...]
    wheels: Path | None = None


@dataclass(frozen=True)
class Image:
    """A built image: its name, and the digest (sha256:…) that is kept with every evaluation."""

    name: str
    digest: str


@dataclass(frozen=True)
class Built:
    """An image of ours, as `sandbox ls` shows it."""

    digest: str
    names: tuple[str, ...]
    seed: str
    created: float
    megabytes: float


def default_base() -> str:
    """The official image of the Python that runs here, so that both kinds of sandbox judge by the same one."""
    return f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"


def recipe(seed: Seed, base: str | None = None, wheels: Path | None = None) -> Recipe:
    """What `seed` needs. Packages installed here are taken in the version installed here, where that is allowed:
    it is the one that the scoring version names."""
    if wheels is not None and not wheels.is_dir():
        raise SettingsError(f"wheels: {wheels} is not a folder")
    return Recipe(base or default_base(), _pinned(seed.candidate), _pinned(seed.evaluator), wheels)


def ensure(engine: Engine, wanted: Recipe, seed_name: str, say: Say) -> Image:
    """The image of a recipe, built if the engine hasn't got it; `say` is told of every step.

    Raises SandboxBroken with pip's last words where the build fails.
    """
    base_digest = _digest_of(engine, wanted.base)
    files = sandbox_files()
    name = f"{REPOSITORY}:{_content_hash(wanted, base_digest, files)}"
    digest = _digest_of(engine, name)
    if digest is None:
        say(f"building the sandbox's image {name} (once; {wanted.base} with {_listed(wanted)})")
        _build(engine, wanted, name, seed_name, files, say)
        digest = _digest_of(engine, name)
    if digest is None:
        raise SandboxBroken(f"the container engine built {name} and then hadn't got it")
    return Image(name, digest)


def built(engine: Engine) -> list[Built]:
    """Every sandbox image that this engine has, newest first."""
    with engine.answering("list images"):
        listed = engine.api.images(filters={"label": f"{LABEL}image"})
    found = [
        Built(
            digest=one["Id"],
            names=tuple(name for name in one.get("RepoTags") or () if "<none>" not in name),
            seed=(one.get("Labels") or {}).get(f"{LABEL}image", ""),
            created=float(one["Created"]),
            megabytes=one["Size"] / 1e6,
        )
        for one in listed
    ]
    return sorted(found, key=lambda one: -one.created)


def remove(engine: Engine, image: Built) -> None:
    """Remove an image. Raises SandboxBroken while a container uses it."""
    with engine.answering(f"remove the image {image.digest[:19]}"):
        for name in image.names or (image.digest,):
            engine.api.remove_image(name)


def sandbox_folder() -> Path:
    """Where Dockerfile and runner lie: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_sandbox"
    return installed if installed.is_dir() else package.parent / "sandbox"


def sandbox_files() -> dict[str, bytes]:
    """The Dockerfile and every Python file of the sandbox, by name."""
    folder = sandbox_folder()
    return {
        place.name: place.read_bytes()
        for place in sorted(folder.iterdir())
        if place.name == "Dockerfile" or place.suffix == ".py"
    }


def _pinned(environment: Environment) -> tuple[str, ...]:
    named = {_canonical(distribution_name(one) or one): one for one in environment.requirements}
    for module in environment.preload:
        # A package's name isn't guessed from its module's: what is called so on an index may be anybody's.
        for distribution in distributions_of(module.partition(".")[0]):
            if installed_version(distribution) is not None:
                named.setdefault(_canonical(distribution), distribution)
    return tuple(sorted(_pin(one) for one in named.values()))


def _pin(requirement: str) -> str:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        parsed = Requirement(requirement)
    except InvalidRequirement:
        return requirement
    version = installed_version(parsed.name)
    if version is None or parsed.url or not parsed.specifier.contains(version, prereleases=True):
        return requirement
    # A local part ("2.13.0+cpu") tells builds apart and is on no public index.
    parsed.specifier &= f"=={version.partition('+')[0]}"
    return str(parsed)


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _listed(wanted: Recipe) -> str:
    both = sorted({*wanted.candidate, *wanted.evaluator})
    return ", ".join(both) or "nothing else"


def _content_hash(wanted: Recipe, base_digest: str | None, files: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    parts: list[Iterable[str]] = [
        (wanted.base, base_digest or ""),
        wanted.candidate,
        wanted.evaluator,
        (f"{wheel.name} {wheel.stat().st_size}" for wheel in _wheels(wanted)),
    ]
    for part in parts:
        digest.update(("\n".join(part) + "\0").encode())
    for name, content in files.items():
        digest.update(f"{name} {len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _wheels(wanted: Recipe) -> Sequence[Path]:
    return sorted(wanted.wheels.glob("*.whl")) if wanted.wheels else ()


def _digest_of(engine: Engine, image: str) -> str | None:
    import docker

    with engine.answering(f"look for the image {image}"):
        try:
            return str(engine.api.inspect_image(image)["Id"])
        except docker.errors.ImageNotFound:
            return None


def _build(
    engine: Engine, wanted: Recipe, name: str, seed_name: str, files: dict[str, bytes], say: Say
) -> None:
    with tempfile.TemporaryFile() as context:
        _write_context(context, wanted, files)
        context.seek(0)
        with engine.answering(f"build {name}"):
            engine.api.timeout, usual = BUILD_SECONDS, engine.api.timeout
            try:
                steps = engine.api.build(
                    fileobj=context,
                    custom_context=True,
                    tag=name,
                    rm=True,
                    forcerm=True,
                    decode=True,
                    labels={f"{LABEL}image": seed_name},
                    # With wheels at hand nothing has to be reached, so nothing can be.
                    network_mode="none" if wanted.wheels else None,
                    buildargs={
                        "BASE": wanted.base,
                        "PIP_OPTIONS": "--no-index --find-links /wheels" if wanted.wheels else "",
                    },
                )
                _follow(steps, say)
            finally:
                engine.api.timeout = usual


def _follow(steps: Iterator[dict[str, Any]], say: Say) -> None:
    """Tell of a build's steps as they come; SandboxBroken with the last lines where it fails."""
    lines: list[str] = []
    for step in steps:
        if "error" in step:
            # pip says what is wrong, then the engine only that a command failed.
            told = [line for line in lines if line.startswith("ERROR:")] or [str(step["error"]).strip()]
            reason = " | ".join(told)
            raise SandboxBroken(f"the sandbox's image can't be built: {reason}{_hint(reason)}")
        for line in str(step.get("stream") or step.get("status") or "").splitlines():
            line = re.sub(r"\x1b\[[0-9;]*m", "", line).strip()
            if line:
                lines.append(line)
                if line.startswith(("Step ", "Collecting ", "Installing ", "Successfully ")):
                    say(line)


def _hint(reason: str) -> str:
    """What mends the two usual reasons: no way to a registry of images, and none to one of packages."""
    if "FROM" in reason or "registry" in reason or "pull access" in reason or "docker.io" in reason:
        return "; name an image with Python that this engine has: GUIDED_EVOLUTION_BASE_IMAGE"
    if "No matching distribution" in reason or "Could not find a version" in reason:
        return "; without network, put the wheels into a folder and name it: GUIDED_EVOLUTION_WHEELS"
    return ""


def _write_context(into: IO[bytes], wanted: Recipe, files: dict[str, bytes]) -> None:
    with tarfile.open(fileobj=into, mode="w") as tar:
        _add(tar, "Dockerfile", files["Dockerfile"])
        _add(tar, "candidate.txt", _as_file(wanted.candidate))
        _add(tar, "evaluator.txt", _as_file(wanted.evaluator))
        for name, content in files.items():
            if name != "Dockerfile":
                _add(tar, f"sandbox/{name}", content)
        folder = tarfile.TarInfo("wheels")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        for wheel in _wheels(wanted):
            tar.add(wheel, f"wheels/{wheel.name}", filter=_anonymous)


def _as_file(requirements: Sequence[str]) -> bytes:
    return "".join(f"{one}\n" for one in requirements).encode()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    tar.addfile(entry, io.BytesIO(content))


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """The engine's cache goes by owner, mode and content, so those don't depend on whose folder it is."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode, entry.mtime = 0o644, 0
    return entry
