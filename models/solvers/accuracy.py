"""Whether a solve was exact enough: its courses beside those of a much stricter one.

No absolute tolerance sees everything: a species may fall far below where it started, and grow again from what errors
made of it; and a model may amplify what each step leaves. A second solve sees both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from ..compiled.model import Model
from .settings import Settings
from .solver import in_doubles

FAINT = 1e-8  # of the largest value: what is smaller may be rounding
STRICTER = 100.0  # times
FINEST = 1e-13  # relative tolerance; rounding is not far below
ALLOWED = 1e-3  # of the largest value of a course


def stricter(settings: Settings) -> Settings:
    """Settings to compare with: a hundredth of rtol, absolute tolerances that follow the model's own scale, doubles."""
    rtol = max(settings.rtol / STRICTER, min(settings.rtol, FINEST))
    steps = min(20 * settings.max_steps, 2**31 - 1)
    return replace(settings, solver=in_doubles(settings.solver), rtol=rtol, atol=None, max_steps=steps)


def inexact(
    model: Model,
    y: Float[np.ndarray, "protocols times species"],
    strict: Float[np.ndarray, "protocols times species"],
) -> dict[str, float]:
    """The species of `model` of which a course is off by more than `ALLOWED` of its largest value, and by how much.

    Courses that failed are left out, and values so small beside those of other species that they may be rounding.
    """
    solved = np.all(np.isfinite(y) & np.isfinite(strict), axis=(1, 2))
    if not solved.any():
        return {}
    y, strict = np.asarray(y)[solved], np.asarray(strict)[solved]
    largest = np.max(np.abs(strict), axis=1)  # of each course
    seen = np.maximum(largest, np.max(np.abs(y), axis=1)) > FAINT * np.max(largest, axis=0, keepdims=True)
    seen &= largest > FAINT**2 * np.max(largest)
    off = np.max(np.abs(y - strict), axis=1) / np.where(seen, largest, 1.0)
    worst = np.max(np.where(seen, off, 0.0), axis=0)
    return {n: float(worst[i]) for i, n in enumerate(model.species) if worst[i] > ALLOWED and i != model.time_index}


def words(inexact_species: Mapping[str, float], settings: Settings) -> list[str]:
    """Warnings about `inexact` species, none if there are none."""
    if not inexact_species:
        return []
    ranked = sorted(inexact_species, key=lambda n: -inexact_species[n])
    listed = ", ".join(f"{n} by {100 * inexact_species[n]:.2g} %" for n in ranked[:4])
    more = f" and {len(ranked) - 4} more species" if len(ranked) > 4 else ""
    absolute = "" if settings.atol is None else f" and atol {settings.atol:g}"
    advice = (
        "an atol of your own, far below the smallest value that matters" if settings.atol is None else "a smaller atol"
    )
    cure = f"a smaller rtol, or {advice}: what falls far and grows again is lost in between"
    return [
        f"The solver is not exact enough at rtol {settings.rtol:g}{absolute}: against a solve at a hundredth of it, "
        f"{listed} of the largest value{more}. Solve with {cure}."
    ]
