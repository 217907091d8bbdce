# pyright: reportMissingImports=false, reportOptionalMemberAccess=false, reportCallIssue=false
"""pyPESTO's samplers with AMICI on a PEtab v2 folder that hexamer wrote: two independent chains, each on a core.

Run by the Python of the peer environment (`make peers`), never by hexamer's own:

    .venv-amici/bin/python benchmarks/peers/pypesto_worker.py CASE.json --cache DIR

CASE.json: {"problem": path of problem.yaml, "names": [...], "logarithmic": [true if sampled as log10, ...],
"points": [[...], ...], "method": "adaptive_metropolis" or "parallel_tempering", "seconds", "rtol", "atol", "seed",
"draws": path of the .npy file to write}. Chain i begins at point i. One JSON object goes to standard output.

AMICI's part is as quick as it can be made: the data of each experiment are made once, a call sets parameters and
simulates without sensitivities, and the priors are evaluated as arrays.
"""

import argparse
import json
import logging
import multiprocessing
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

import amici
import amici.sim.sundials as asd
import numpy as np
import pypesto
import pypesto.sample
from amici.importers.petab import PetabImporter
from amici_petab_worker import flatten, print_answer
from petab import v2

TEMPERATURES = 5  # of parallel tempering
TIMED = 20  # evaluations
MOST = 500_000  # steps of a chain


class LogPosterior:
    """−log posterior over x: log10 of the parameters that are sampled so, else the parameters themselves."""

    def __init__(self, case, cache):
        problem = v2.Problem.from_yaml(case["problem"])
        flatten(problem)
        importer = PetabImporter(
            problem,
            module_name=f"sampled_{Path(case['problem']).parent.name}",
            output_dir=cache.resolve(),
            verbose=logging.WARNING,
        )
        simulator = importer.create_simulator(force_import=False)
        self.solver, self.model, self.experiments = simulator.solver, simulator.model, simulator.exp_man
        self.solver.set_relative_tolerance(case["rtol"])
        self.solver.set_absolute_tolerance(case["atol"])
        self.solver.set_max_steps(20_000)
        self.solver.set_sensitivity_order(asd.SensitivityOrder.none)
        # As in `amici_petab_worker`: conserved sums make the Jacobian of a steady state singular.
        self.model.set_steady_state_computation_mode(asd.SteadyStateComputationMode.integrationOnly)
        self.data = self.experiments.create_edatas()
        self.nominal = problem.get_x_nominal_dict()
        self.names, self.logarithmic = case["names"], np.array(case["logarithmic"])
        self.priors = priors(problem, self.names)
        self.evaluations = 0

    def natural(self, x):
        x = np.asarray(x, dtype=float)
        return np.where(self.logarithmic, 10.0 ** np.where(self.logarithmic, x, 0.0), x)

    def of_prior(self, x):
        """−log prior over x."""
        theta = self.natural(x)
        return -log_prior(self.priors, theta) - np.sum(np.log(theta[self.logarithmic]))

    def __deepcopy__(self, memo):  # pyPESTO copies the problem for each temperature
        return self

    def __call__(self, x):
        self.evaluations += 1
        theta, prior = self.natural(x), -self.of_prior(x)
        if not np.isfinite(prior):
            return np.inf
        values = self.nominal | dict(zip(self.names, theta.tolist(), strict=True))
        for data in self.data:
            self.experiments.apply_parameters(edata=data, problem_parameters=values)
        results = asd.run_simulations(self.model, self.solver, self.data, num_threads=1)
        value = prior + sum(r.llh for r in results)
        return -value if np.isfinite(value) else np.inf


def priors(problem, names):
    """Family and arguments of each prior; uniform between the bounds if the table has none."""
    by_id = {p.id: p for p in problem.parameters}
    rows = []
    for p in map(by_id.get, names):
        family = str(p.prior_distribution) if p.prior_distribution else "uniform"
        arguments = p.prior_parameters if p.prior_distribution else (p.lb, p.ub)
        rows.append((family, float(arguments[0]), float(arguments[1]), float(p.lb), float(p.ub)))
    families = {r[0] for r in rows}
    if unknown := families - set(DENSITIES):
        raise ValueError(f"priors of families {sorted(unknown)}: add them to DENSITIES")
    columns = np.array([r[1:] for r in rows]).T
    return {f: (np.array([r[0] == f for r in rows]), columns) for f in families}


DENSITIES = {  # up to constants
    "normal": lambda t, a, b: -0.5 * ((t - a) / b) ** 2,
    "log-normal": lambda t, a, b: -0.5 * ((np.log(t) - a) / b) ** 2 - np.log(t),
    "laplace": lambda t, a, b: -np.abs(t - a) / b,
    "uniform": lambda t, a, b: np.where((t >= a) & (t <= b), 0.0, -np.inf),
    "log-uniform": lambda t, a, b: np.where((t >= a) & (t <= b), -np.log(t), -np.inf),
}


def log_prior(rows, theta):
    total = 0.0
    for family, (chosen, (first, second, low, high)) in rows.items():
        t = theta[chosen]
        if np.any((t < low[chosen]) | (t > high[chosen])):
            return -np.inf
        total += np.sum(DENSITIES[family](t, first[chosen], second[chosen]))
    return total


_shared = {}  # AMICI's objects are not pickled: a chain's process has them by fork


def run(case, number):
    return chain(case, _shared["objective"], number)


def chain(case, objective, number):
    """One chain for `seconds`: states (steps × parameters), wall and CPU seconds, evaluations."""
    np.random.seed(case["seed"] + number)  # noqa: NPY002 (pyPESTO draws from it)
    start = np.array(case["points"][number])
    began = time.perf_counter()
    for _ in range(TIMED):
        objective(start)
    cost = (time.perf_counter() - began) / TIMED
    each = TEMPERATURES if case["method"] == "parallel_tempering" else 1
    steps = int(min(MOST, max(200, case["seconds"] / (each * cost))))
    problem = pypesto.Problem(
        pypesto.Objective(fun=objective), lb=np.full(len(start), -1e3), ub=np.full(len(start), 1e5)
    )
    problem.x_priors = objective.of_prior  # what tempering leaves as it is
    quiet, x0 = {"show_progress": False}, start
    if each == 1:
        sampler = pypesto.sample.AdaptiveMetropolisSampler(quiet)
    else:
        inner = pypesto.sample.AdaptiveMetropolisSampler(quiet)
        sampler = pypesto.sample.AdaptiveParallelTemperingSampler(inner, n_chains=each, options=quiet)
        x0 = [start] * each
    objective.evaluations = 0
    began, cpu = time.perf_counter(), time.process_time()
    result = pypesto.sample.sample(problem, steps, sampler=sampler, x0=x0)
    trace = np.asarray(result.sample_result.trace_x[0])
    return trace, time.perf_counter() - began, time.process_time() - cpu, objective.evaluations


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    arguments = parser.parse_args()
    case = json.loads(arguments.case.read_text())
    began = time.perf_counter()
    objective = LogPosterior(case, arguments.cache)
    values = [-objective(np.array(p)) for p in case["points"]]
    prepared = time.perf_counter() - began
    _shared["objective"] = objective
    with multiprocessing.get_context("fork").Pool(2) as pool:
        chains = pool.starmap(run, [(case, number) for number in range(2)])
    length = min(len(c[0]) for c in chains)
    np.save(case["draws"], np.stack([c[0][:length] for c in chains]))
    return {
        "log_posterior": values,
        "prepared_s": prepared,
        "sampling_s": max(c[1] for c in chains),
        "cpu_s": sum(c[2] for c in chains),
        "evaluations": sum(c[3] for c in chains),
        "versions": {"amici": amici.__version__, "pypesto": pypesto.__version__},
    }


if __name__ == "__main__":
    print_answer(main)
