"""The origin of a posterior, as attributes of its tree: versions, seed, devices, settings, and what was fitted."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from ...models.compiled.identity import model_digest
from ..problem.problem import Problem
from .file import MARK


def provenance_of(problem: Problem, seed: int) -> dict[str, Any]:
    """The attributes of the root of a posterior's tree."""
    known = {p.name: p for p in problem.parameters.values()}
    with problem.placed() as devices:
        names = [f"{d.platform}:{d.id} {d.device_kind}" for d in devices]
    return {
        MARK: version("hexamer"),
        **{f"{n}_version": version(n) for n in ("jax", "diffrax", "numpyro", "arviz")},
        "inference_library": "hexamer",
        "inference_library_version": version("hexamer"),
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": seed,
        "devices": json.dumps(names),
        "problem": problem.name,
        "model": problem.model.name,
        "model_digest": model_digest(problem.model),
        "measurements": len(problem.dataset),
        "priors": json.dumps({n: p.prior.text for n, p in known.items() if p.prior is not None}, ensure_ascii=False),
        "joint_priors": json.dumps([j.text for j in problem.dataset.joint_priors], ensure_ascii=False),
        "integrated_out": json.dumps(list(problem.nuisance.names)),
        "fixed": json.dumps(problem.fixed),
        "solver_settings": json.dumps(problem.settings.stored()),
        "notes": json.dumps(list(problem.dataset.notes), ensure_ascii=False),
    }


def as_attribute(value: Any) -> str | int | float:
    """An attribute that NetCDF takes."""
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)


__all__ = ["as_attribute", "provenance_of"]
