"""Likelihoods that are any formula of parameters, as problems."""

from __future__ import annotations

from hexamer import Problem, Protocol
from hexamer.data import Dataset, Measurement, Observable, Parameter, Prior
from hexamer.models import compile_network, parse_infix, read_antimony


def of_density(density: str, priors: dict[str, Prior]) -> Problem:
    """A problem of one row, whose likelihood is a formula of parameters: the density at 0 of N(0, 1/(√2π L)) is L."""
    network = (
        f"model plain; {'; '.join(f'{n} = 0' for n in priors)}; species S = 1; J: S -> ; 0*S*{'*'.join(priors)}; end"
    )
    observable = Observable("L", parse_infix("0"), parse_infix(f"1/(sqrt(2*pi)*({density}) + 1e-300)"))
    parameters = {n: Parameter(n, prior) for n, prior in priors.items()}
    rows = (Measurement("L", "idle", 1.0, 0.0),)
    dataset = Dataset("plain", {"L": observable}, {"idle": Protocol("idle")}, rows, parameters)
    return Problem(compile_network(read_antimony(network)), dataset)
