"""The HTML form of a problem, for notebooks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

import numpy as np

from ... import html
from ...data.dataset import Dataset, Observable
from ...data.parameter import Parameter, effective_prior
from ...models.compiled.model import Model
from ...models.listing import counted
from ...models.networks.formulas import to_infix
from ...models.solvers.settings import Settings


def problem_form(
    title: str,
    dataset: Dataset,
    parameters: Iterable[Parameter],
    sampled: Collection[str],
    model: Model,
    settings: Settings,
) -> str:
    """Priors, those of `sampled` parameters first; observables; model and solver; notes of whoever read the data."""
    by_use = sorted(parameters, key=lambda p: (p.name not in sampled, not p.estimated))
    fixed = sum(not p.estimated for p in by_use)
    uses = {"sampled": len(sampled), "integrated out": len(by_use) - fixed - len(sampled), "fixed": fixed}
    priors = html.table(("parameter", "median", "5%", "95%", "unit", "prior", "source"), by_use, _prior_row)
    rows = Counter(m.observable for m in dataset.measurements)
    observables = html.table(
        ("observable", "rows", "unit", "formula", "noise"),
        dataset.observables.values(),
        lambda o: (o.name, rows[o.name], o.unit, to_infix(o.formula), _noise(o)),
    )
    return html.form(
        title,
        html.section(f"parameters: {', '.join(f'{n:,} {use}' for use, n in uses.items() if n)}", priors, unfolded=True),
        html.section(
            counted(dataset.joint_priors, "joint prior"), html.bullets([j.text for j in dataset.joint_priors])
        ),
        html.section(counted(dataset.observables, "observable"), observables),
        html.section("model and solver", html.paragraph(repr(model)) + html.paragraph(repr(settings))),
        html.section(counted(dataset.notes, "note"), html.bullets(dataset.notes)),
    )


def _prior_row(parameter: Parameter) -> tuple[object, ...]:
    if parameter.prior is None:
        return parameter.name, parameter.value, None, None, parameter.unit, "fixed", parameter.source
    prior = effective_prior(parameter)
    quantiles = prior.scale.natural(prior.quantile(np.array([0.5, 0.05, 0.95])))
    return parameter.name, *quantiles.tolist(), parameter.unit, prior.short_text, parameter.source


def _noise(observable: Observable) -> str:
    scale = observable.scale
    return observable.noise.text + ("" if scale == "lin" else f" on the scale {scale.value}")


__all__ = ["problem_form"]
