# pyright: reportMissingImports=false, reportOptionalMemberAccess=false, reportCallIssue=false
"""AMICI on a PEtab problem: log likelihood and gradient at the nominal values, of data alone, without priors.

Run by the Python of the peer environment (`make peers`), never by hexamer's own:

    .venv-amici/bin/python benchmarks/peers/amici_petab_worker.py problem.yaml --cache DIR

The problem is PEtab v2, or v1, which petab turns into v2. Gradients are on the linear scale. One JSON object goes to
standard output: {"log_likelihood", "gradient": {parameter: number}, "states", "amici_version"}, or {"error"}.
"""

import argparse
import contextlib
import json
import logging
import os
import sys
import traceback
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# AMICI compiles models with the swig, cmake and ninja of its own environment, which need not be activated.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

import amici
import amici.sim.sundials as asd
import sympy as sp
from amici.importers.petab import PetabImporter, flatten_timepoint_specific_output_overrides
from petab import v2


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problem", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--rtol", type=float, default=1e-10)
    parser.add_argument("--atol", type=float, default=1e-12)
    parser.add_argument("--value-only", action="store_true")
    return parser.parse_args()


def set_solver(solver, arguments):
    """Tight tolerances, also of steady states, by integration until the Newton step is small."""
    solver.set_relative_tolerance(arguments.rtol)
    solver.set_absolute_tolerance(arguments.atol)
    solver.set_max_steps(200_000)
    solver.set_newton_max_steps(0)
    solver.set_steady_state_tolerance_factor(1.0)
    solver.set_steady_state_sensi_tolerance_factor(1.0)
    order = asd.SensitivityOrder.none if arguments.value_only else asd.SensitivityOrder.first
    solver.set_sensitivity_order(order)
    solver.set_sensitivity_method(asd.SensitivityMethod.forward)


def flatten(problem):
    """Gives each gel of an observable an observable of its own, as AMICI needs if one experiment has several.

    AMICI's function leaves a noise formula with the id that its observable had before.
    """
    before = [o.id for o in problem.observables]
    flatten_timepoint_specific_output_overrides(problem)
    for observable in problem.observables:
        old = max((n for n in before if observable.id == n or observable.id.startswith(f"{n}__")), key=len)
        renamed = {
            s: sp.Symbol(observable.id, real=True) for s in observable.noise_formula.free_symbols if s.name == old
        }
        observable.noise_formula = observable.noise_formula.subs(renamed)


def main():
    arguments = parsed()
    problem = v2.Problem.from_yaml(arguments.problem)
    flatten(problem)
    importer = PetabImporter(
        problem,
        module_name=f"exported_{arguments.problem.parent.name}",
        output_dir=arguments.cache.resolve(),
        verbose=logging.WARNING,
    )
    simulator = importer.create_simulator(force_import=True)
    set_solver(simulator.solver, arguments)
    # Sensitivities of steady states are integrated along: conserved sums make the Jacobian singular there.
    simulator.model.set_steady_state_computation_mode(asd.SteadyStateComputationMode.integrationOnly)
    simulator.model.set_steady_state_sensitivity_mode(asd.SteadyStateSensitivityMode.integrationOnly)
    result = simulator.simulate()
    failed = [r for r in result.rdatas if r.status < 0]
    if failed:
        names = {f"{r.id}: {asd.simulation_status_to_str(r.status)}" for r in failed}
        raise RuntimeError(f"simulations failed: {', '.join(sorted(names))}")
    free = set(problem.x_free_ids)
    return {
        "log_likelihood": float(result.llh),
        "gradient": {n: float(g) for n, g in (result.sllh or {}).items() if n in free},
        "states": simulator.model.nx_solver,
        "amici_version": amici.__version__,
    }


def print_answer(main):
    """Prints the result of `main` as the one JSON object of standard output; what AMICI prints goes to stderr."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            answer = main()
    except Exception as error:
        traceback.print_exc()
        answer = {"error": f"{type(error).__name__}: {error}", "amici_version": amici.__version__}
    print(json.dumps(answer), file=out, flush=True)
    sys.exit(1 if "error" in answer else 0)


if __name__ == "__main__":
    print_answer(main)
