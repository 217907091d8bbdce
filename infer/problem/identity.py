"""What a run is: the content that decides its draws, part by part, so that a change is found and named."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from ...data.dataset import Dataset, Measurement
from ...data.parameter import Parameter
from ...models.compiled.canonical import LeftOut, content_hash
from ...models.compiled.identity import model_parts
from ...models.protocols.protocol import Protocol
from ...models.solvers.dispatch import uses_fused
from ...models.solvers.settings import Settings
from ...models.solvers.solver import with_resources_of
from .problem import Problem

# The format of a stored run's identity. Format 1 (without a number) left out start values, rate rules and Python
# functions. Format 3 compares priors by their text, format 4 has the sampler's part apart.
FORMAT = 4

# Fields that change no draw; all others belong to the identity, new ones too.
_LABELS: LeftOut = {
    Measurement: ("row",),  # its line in the table, for messages
}
SAMPLER = "sampler"  # the part of a run's identity that the sampler states
# Draws go on bit for bit only where the same code computes them.
_PACKAGES = ("hexamer", "jax", "jaxlib", "numpy", "numpyro")
_OF_ENGINE = {"fused": ("warp-lang",), "diffrax": ("diffrax", "equinox", "lineax", "optimistix")}
_ORDER = {"engine": 0, "settings": 1, "device": 2, "version": 9}  # of what is told first; all else stands between
_VALUES = "values of the parameters"
_SETTINGS = {"solver": 0, "rtol": 1, "atol": 2}

Identity = dict[str, Any]
"""Parts of a run by name, nested; plain types."""


def problem_parts(problem: Problem) -> Identity:
    """A hash of each part of a problem: the model, what was measured, and what is known of each parameter.

    Left out is what changes no draw: names of folders and files, notes, sources, lines of tables, and observables and
    protocols without measurements. The order of measurements and of sampled parameters counts: sums and draws follow
    it.
    """
    data = problem.dataset
    observables = {m.observable for m in data.measurements}
    protocols = {m.protocol for m in data.measurements}
    joint = {"joint priors": content_hash(data.joint_priors)} if data.joint_priors else {}
    return {
        "model": model_parts(problem.model),
        "measurements": content_hash(data.measurements, _LABELS),
        "protocols": content_hash({n: _with_continued(data, p) for n, p in data.protocols.items() if n in protocols}),
        "observables": content_hash({n: o for n, o in data.observables.items() if n in observables}),
        "priors": {n: content_hash(_compared_part(p)) for n, p in problem.parameters.items()},
        **joint,
        "sampled parameters": list(problem.space.names),
        "integrated scales": list(problem.nuisance.names),
    }


def _with_continued(data: Dataset, protocol: Protocol) -> Protocol | tuple:
    """A protocol, with what its pre-equilibration continues if it continues another."""
    return (protocol, *data.continued[protocol.name]) if protocol.name in data.continued else protocol


def problem_digest(problem: Problem) -> str:
    """A hash of all that the density depends on but the solver."""
    return content_hash(problem_parts(problem))


def _compared_part(parameter: Parameter) -> tuple:
    """The part of a parameter that changes draws. A prior is compared by its text: a new field changes no identity."""
    prior = None if parameter.prior is None else parameter.prior.text
    return prior, parameter.value, parameter.unit, parameter.scale


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def run_parts(problem: Problem, **more: object) -> Identity:
    """The identity of a run on `problem`: its parts, settings, engine and versions, and `more` of the run's own."""
    settings, model, parts = problem.settings, problem.model, problem_parts(problem)
    with problem.placed() as devices:
        engine = "fused" if uses_fused(problem.model, settings) else "diffrax"
    return {
        "format": FORMAT,
        **parts,
        "model": {n: v for n, v in parts["model"].items() if n != _VALUES},
        _VALUES: {n: _finite(v) for n, v in zip(model.parameters, model.defaults, strict=True)},
        "engine": engine,
        "device": devices[0].platform,
        "settings": _plain(settings),
        "version": _versions(engine),
        **more,
    }


def _versions(engine: str) -> dict[str, str]:
    versions = {name: version(name) for name in (*_PACKAGES, *_OF_ENGINE[engine])}
    return versions | {"hexamer": f"{versions['hexamer']}, code {_code()}"}


_NOT_OF_DRAWS = (
    *("data/assays", "data/bundled_problems", "data/native", "data/petab"),
    *("infer/doses", "infer/plots", "infer/prediction", "infer/reports"),
    "models/library",
)


def _sources(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    """Text of the Python files and headers of a folder and of those below it, by path."""
    for file in folder.iterdir():
        path = f"{name}/{file.name}"
        if file.is_dir() and path not in _NOT_OF_DRAWS:
            yield from _sources(file, path)
        elif file.name.endswith((".py", ".h")):
            yield path, file.read_bytes()


@cache
def _code() -> str:
    """A hash of the code that draws come from, which changes more often than hexamer's version."""
    package = files("hexamer")
    sources = {n: text for part in ("models", "data", "infer") for n, text in _sources(package / part, part)}
    digest = sha256()
    for name in sorted(sources):
        digest.update(name.encode() + b"\0" + sources[name] + b"\0")
    return digest.hexdigest()[:8]


def _plain(settings: Settings) -> Identity:
    """The settings that change numbers. The engine that solves has a part of its own in the identity."""
    plain = {f.name: getattr(settings, f.name) for f in fields(settings) if f.name not in ("solver", "device")}
    diffrax = settings.diffrax
    return plain | {"solver": diffrax.name, "derivative": diffrax.derivative, "precision": settings.precision}


def with_layout_of(settings: Settings, other: Settings) -> Settings:
    """`settings`, with what changes no draw from `other`: how the same arithmetic is shared out, kept and placed."""
    return replace(settings, solver=with_resources_of(settings.solver, other.solver), device=other.device)


def run_id(identity: Mapping[str, Any]) -> str:
    """One hash of an identity, which each file of the run carries."""
    return content_hash(identity)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What differs between two identities, in words, the most telling first."""
    if old.get("format") != new["format"]:
        return [f"its files have format {old.get('format', 1)}, of another version of hexamer; this one's is {FORMAT}"]
    messages: list[str] = []
    for key in sorted({*old, *new}, key=lambda k: (_ORDER.get(k, 5), k)):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if key == SAMPLER and isinstance(before, Mapping) and isinstance(after, Mapping):
            messages += _of_samplers(before, after)
        elif isinstance(before, Mapping) and isinstance(after, Mapping):
            changed = [n for n in sorted({*before, *after}) if before.get(n) != after.get(n)]
            if key == "version" and old.get("engine") != new["engine"]:
                changed = [n for n in changed if n in before and n in after]  # others are those of one engine
            if changed:
                messages.append(_describe_changes(key, changed, before, after))
        elif key in ("measurements", "protocols", "observables", "joint priors"):
            messages.append(f"the {key} changed")
        elif isinstance(before, list) and isinstance(after, list):
            messages.append(f"the {key} changed ({_listed(before, after)})")
        elif key == "engine":
            messages.append(
                f"engine was {_short(before)}, now {_short(after)}; only the one that it was made with resumes it"
            )
        else:
            messages.append(f"{key} was {_short(before)}, now {_short(after)}")
    return messages


def _of_samplers(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Differences between two samplers, in words."""
    if before.get("name") != after.get("name"):
        return [f"the sampler was {_short(before.get('name'))}, now {_short(after.get('name'))}"]
    changed = [n for n in sorted({*before, *after}) if before.get(n) != after.get(n)]
    words = {"start": "the points that the chains start from changed"}
    for size in {"populations", "particles"} & {*changed}:  # of SMC
        sizes = f"{_short(before.get(size))}, now {_short(after.get(size))}"
        words[size] = (
            f"{size} was {sizes}; populations of another size are another run, as each particle depends on all"
        )
    return [words.get(n, f"{n} was {_short(before.get(n))}, now {_short(after.get(n))}") for n in changed]


def _describe_changes(key: str, changed: list[str], before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    if key == "model":
        return f"the model changed: its {', '.join(changed)}"
    if key == _VALUES:
        return f"{key} changed: " + "; ".join(f"{n} was {before.get(n)}, now {after.get(n)}" for n in changed)
    if key == "priors":
        return f"priors or values changed: {', '.join(changed)}"
    if key == "version":
        made = ", ".join(f"{n} {before.get(n, '(none)')} (now {after.get(n, '(none)')})" for n in changed)
        return f"it was made with {made}, and draws go on bit for bit only with the same versions: install those"
    if key == "settings":
        changed = sorted(changed, key=lambda n: (_SETTINGS.get(n, 9), n))
    return "; ".join(f"{n} was {_setting(n, before.get(n))}, now {_setting(n, after.get(n))}" for n in changed)


def _listed(before: list, after: list) -> str:
    removed, added = [str(n) for n in before if n not in after], [str(n) for n in after if n not in before]
    parts = [f"without {', '.join(removed)}" if removed else "", f"with {', '.join(added)}" if added else ""]
    return "; ".join(filter(None, parts)) or "another order"


def _setting(name: str, value: object) -> str:
    return "not stated (each species has its own, from rtol)" if name == "atol" and value is None else _short(value)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
