# pyright: reportMissingImports=false, reportOptionalMemberAccess=false, reportCallIssue=false
"""AMICI side of `benchmarks/gradient.py`: value and gradient of one chi-square objective.

Run by the Python of the peer environment (`make peers`), never by hexamer's own:

    .venv-amici/bin/python benchmarks/peers/amici_worker.py CASE.json --cache DIR --repeats N --threads {1,2}

CASE.json, written by hexamer:

    sbml          SBML text
    parameters    {name: value}, the differentiated parameters, in order
    fixed         {input: default}, the inputs that conditions set (IL6, CHX)
    observables   {id: formula over SBML symbols}; `log` is natural, `log10` and `log2` are known
    conditions    [{preequilibration: {input: value} or null, inputs: {input: value},
                    rows: [{time, observable, value, sd}]}]
    settings      [{rtol, atol, max_error}]; `max_error` (optional) is the error of the gradient that is allowed

The objective is L(p) = 1/2 sum over rows of ((value - observable(y(t))) / sd)^2, every condition
pre-equilibrated first, and its gradient is on the linear scale of the parameters, through the steady state.

What an AMICI expert would choose is chosen by trial: how the steady state is found and differentiated,
and how the sensitivities are integrated. Every mode of `MODES` runs in each setting; of those whose
gradient agrees with a tight reference to `max_error` (without it, about as well as the best of them does),
the fastest is timed.
`candidates` in each output row tells what every mode gave, also the ones that failed.

One JSON object goes to standard output: {"rows": [...], "reference": {...}, ...}; a method that does not work
gives a row with `error`.
"""

import argparse
import contextlib
import hashlib
import json
import logging
import os
import re
import resource
import statistics
import sys
import time
import traceback
from functools import partial
from pathlib import Path

# All this before AMICI loads. Its BLAS must not start threads under AMICI's own, and conserved moieties
# that are not constant species are only eliminated when asked for (else the Jacobian is singular at
# steady state).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads double the time on a busy machine
os.environ.setdefault("AMICI_EXPERIMENTAL_SBML_NONCONST_CLS", "1")
os.environ.setdefault("AMICI_CXXFLAGS", "-O3")
# AMICI compiles models with the swig, cmake and ninja of its own environment, which need not be activated.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

import amici
import amici.sim.sundials as asd
import numpy as np
import sympy as sp
from amici.importers.sbml import MeasurementChannel, SbmlImporter
from amici_modes import ADJOINT, FORWARD, MODES, Mode

LAYOUT = 1  # raise when the model build changes, so that old caches are left alone


def log2(x):
    return sp.log(x) / sp.log(2)


def log10(x):
    return sp.log(x) / sp.log(10)


def formula(text):
    """A formula string as sympy. Every name is a symbol, also what sympy takes for its own (S, N, I)."""
    text = text.replace("^", "**")
    functions = {"log10": log10, "log2": log2, "ln": sp.log, "log": sp.log, "exp": sp.exp, "sqrt": sp.sqrt}
    names = set(re.findall(r"(?<![\w.])[A-Za-z_]\w*", text)) - set(functions)
    return sp.sympify(text, locals={n: sp.Symbol(n, real=True) for n in names} | functions)


def build(case, cache):
    """The compiled model of a case, from the cache if it is there, and the seconds that building it took."""
    content = [case["sbml"], list(case["parameters"]), sorted(case["fixed"]), case["observables"]]
    flags = [os.environ[k] for k in ("AMICI_EXPERIMENTAL_SBML_NONCONST_CLS", "AMICI_CXXFLAGS")]
    key = json.dumps([LAYOUT, amici.__version__, content, flags])
    name = "case_" + hashlib.sha256(key.encode()).hexdigest()[:16]
    folder, note = cache / name, cache / f"{name}.json"
    if not note.exists():
        began = time.perf_counter()
        importer = SbmlImporter(case["sbml"], from_file=False)
        sbml = importer.sbml_model
        parameters = [sbml.getParameter(i) for i in range(sbml.getNumParameters())]
        assigned = {sbml.getRule(i).getVariable() for i in range(sbml.getNumRules())}
        assigned |= {sbml.getInitialAssignment(i).getSymbol() for i in range(sbml.getNumInitialAssignments())}
        ids = {p.getId() for p in parameters}
        missing = sorted((set(case["parameters"]) | set(case["fixed"])) - ids)
        if missing:
            raise ValueError(f"not global parameters of the SBML model: {', '.join(missing)}")
        for p in parameters:
            if p.getId() not in assigned:
                p.setConstant(True)
        importer.sbml2amici(
            name,
            folder,
            fixed_parameters=sorted(ids - assigned - set(case["parameters"])),
            observation_model=[
                MeasurementChannel(id_=f"obs_{k}", name=k, formula=formula(v), sigma=1.0)
                for k, v in case["observables"].items()
            ],
            compute_conservation_laws=True,
            generate_sensitivity_code=True,
        )
        note.write_text(json.dumps({"compile_s": time.perf_counter() - began}))
    model = amici.import_model_module(name, folder).get_model()
    return model, json.loads(note.read_text())["compile_s"]


def merged(condition):
    """The condition with its replicates merged into weighted means; `lost` is what L then lacks, exactly."""
    groups, rows, lost = {}, [], 0.0
    for row in condition["rows"]:
        groups.setdefault((row["time"], row["observable"]), []).append((row["value"], row["sd"]))
    for (t, observable), pairs in groups.items():
        value, sd = np.array(pairs, dtype=float).T
        weight = sd**-2.0
        mean = np.sum(weight * value) / np.sum(weight)
        lost += 0.5 * np.sum(weight * (value - mean) ** 2)
        rows.append({"time": t, "observable": observable, "value": mean, "sd": np.sum(weight) ** -0.5})
    return condition | {"rows": rows, "lost": lost}


def data(case, model):
    """One ExpData a condition, and what -log-likelihood holds beside L.

    The k-th replicate of each observable at a time shares the time's k-th copy.
    """
    column = {name: i for i, name in enumerate(case["observables"])}
    fixed_ids = list(model.get_fixed_parameter_ids())
    default = dict(zip(fixed_ids, model.get_fixed_parameters(), strict=True)) | case["fixed"]
    result, constant = [], 0.0
    # AMICI gives each of two threads one half of the list: deal the longest conditions to both.
    long_first = sorted(case["conditions"], key=lambda c: -len({row["time"] for row in c["rows"]}))
    for number, condition in enumerate(long_first[::2] + long_first[1::2]):
        slots, seen = {}, {}
        constant -= condition.get("lost", 0.0)
        for row in condition["rows"]:
            t, j = float(row["time"]), column[row["observable"]]
            k = seen[t, j] = seen.get((t, j), -1) + 1
            slots.setdefault((t, k), []).append((j, float(row["value"]), float(row["sd"])))
            constant += 0.5 * np.log(2 * np.pi * float(row["sd"]) ** 2)
        order = sorted(slots)
        value = np.full((len(order), model.ny), np.nan)
        sd = np.full((len(order), model.ny), np.nan)
        for i, slot in enumerate(order):
            for j, v, s in slots[slot]:
                value[i, j], sd[i, j] = v, s
        one = asd.ExpData(model)
        one.id = str(number)
        one.set_timepoints([t for t, _ in order])
        one.set_measurements(value.ravel())
        one.set_noise_scales(sd.ravel())
        one.fixed_parameters = [(default | condition["inputs"])[k] for k in fixed_ids]
        pre = condition.get("preequilibration")
        if pre is not None:
            one.fixed_parameters_pre_equilibration = [(default | pre)[k] for k in fixed_ids]
        result.append(one)
    return result, constant


class Objective:
    """L and its gradient by one method, steady-state mode and setting."""

    def __init__(self, case, model, experiments, constant, method, mode, rtol, atol, threads):
        self.model, self.experiments, self.constant, self.threads = model, experiments, constant, threads
        self.mode, self.failures, self.messages = mode, 0, []
        ids = list(model.get_free_parameter_ids())
        self.plist = [ids.index(name) for name in case["parameters"]]
        self.base = np.array(model.get_free_parameters())
        self.solver = solver = model.create_solver()
        solver.set_relative_tolerance(rtol)
        solver.set_absolute_tolerance(atol)
        solver.set_relative_tolerance_quadratures(rtol)
        solver.set_absolute_tolerance_quadratures(atol)
        solver.set_max_steps(mode.max_steps)
        solver.set_newton_max_steps(mode.newton_steps)
        solver.set_internal_sensitivity_method(mode.internal)
        solver.set_sensitivity_method(FORWARD if method == "amici-forward" else ADJOINT)
        solver.set_sensitivity_method_pre_equilibration(mode.pre)
        solver.set_newton_step_steady_state_check(mode.newton_check)
        solver.set_steady_state_tolerance_factor(mode.factor)
        solver.set_steady_state_sensi_tolerance_factor(mode.factor)
        solver.set_return_data_reporting_mode(asd.RDataReporting.likelihood)

    def __call__(self, p, gradient=True):
        model, solver = self.model, self.solver
        model.set_steady_state_computation_mode(self.mode.computation)
        model.set_steady_state_sensitivity_mode(self.mode.sensitivity)
        full = self.base.copy()
        full[self.plist] = p
        model.set_free_parameters(full)
        model.set_parameter_list(self.plist)
        order = asd.SensitivityOrder.first if gradient else asd.SensitivityOrder.none
        solver.set_sensitivity_order(order)
        runs = asd.run_simulations(model, solver, self.experiments, failfast=False, num_threads=self.threads)
        bad = [r for r in runs if r.status < 0]
        if bad:
            self.failures += len(bad)
            self.messages += [asd.simulation_status_to_str(r.status) for r in bad]
            return np.nan, np.full(len(self.plist), np.nan), runs
        value = -sum(r.llh for r in runs) - self.constant
        return value, (-np.sum([r.sllh for r in runs], axis=0) if gradient else None), runs

    def steps(self, p):
        """Steps of all conditions without sensitivities, pre-equilibration included."""
        self.solver.set_return_data_reporting_mode(asd.RDataReporting.full)
        runs = self(p, gradient=False)[2]
        self.solver.set_return_data_reporting_mode(asd.RDataReporting.likelihood)
        return int(sum(r.numsteps[-1] + np.sum(r.preeq_numsteps) for r in runs))


def timed(function, repeats):
    """Median and least wall time in ms after one call to warm up."""
    function()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times), min(times)


def worst(error, scale):
    """The largest error against the largest entry; infinite where anything is not a number."""
    error = np.max(np.abs(error)) / np.max(np.abs(scale))
    return float(error) if np.isfinite(error) else float("inf")


def try_mode(make, p, reference):
    """One trial of a mode: errors against the reference and seconds of a gradient (best of three)."""
    try:
        objective = make()
        value, gradient, runs = objective(p)
        seconds = []
        for _ in range(3 if np.isfinite(value) else 0):
            began = time.perf_counter()
            objective(p)
            seconds.append(time.perf_counter() - began)
        return {
            "ms": 1e3 * min(seconds) if seconds else None,
            "value_error": worst(value - reference["value"], reference["value"]),
            # by relative changes of the parameters, so that entries of any unit compare
            "gradient_error": worst(p * (gradient - reference["gradient"]), p * reference["gradient"]),
            # by Newton, by integration, by Newton again: which of the three found the steady state
            "preequilibration_status": [getattr(s, "name", str(s)) for s in runs[0].preeq_status],
            "failures": objective.failures,
            "messages": sorted(set(objective.messages)),
        }
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}", "failures": 1}


def fastest_mode(make, p, reference, setting, row):
    """The objective in the fastest mode that is right; None if no mode works. `row` records what every mode gave."""
    trials = {name: try_mode(one, p, reference) for name, one in make.items()}
    # strict JSON has no infinity: null stands for a mode that gave no number
    row["candidates"] = {name: {k: None if v == np.inf else v for k, v in t.items()} for name, t in trials.items()}
    sound = {name: t for name, t in trials.items() if t.get("gradient_error", np.inf) < np.inf}
    if not sound:
        row |= {"error": "no mode works", "failures": sum(t["failures"] for t in trials.values())}
        return None
    best = min(t["gradient_error"] for t in sound.values())
    allowed = max(best, setting["max_error"]) if "max_error" in setting else max(3 * best, 100 * setting["rtol"])
    row["steady_state_mode"] = min((t["ms"], name) for name, t in sound.items() if t["gradient_error"] <= allowed)[1]
    return make[row["steady_state_mode"]]()


def measure(objective, p, repeats, row):
    """Adds times, value and gradient of an objective to `row`."""
    row["forward_ms"], row["forward_ms_min"] = timed(lambda: objective(p, gradient=False), repeats)
    row["gradient_ms"], row["gradient_ms_min"] = timed(lambda: objective(p), repeats)
    value, gradient, _ = objective(p)
    row |= {
        "value": float(value),
        "gradient": gradient.tolist(),
        "failures": objective.failures,
        "steps": objective.steps(p),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--merge", action="store_true", help="merge replicates, which leaves L as it is")
    parser.add_argument("--methods", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--threads", type=int, choices=(1, 2), default=1)
    return parser.parse_args()


def main():
    arguments = parsed()
    case = json.loads(arguments.case.read_text())
    arguments.cache.mkdir(parents=True, exist_ok=True)
    logging.getLogger("amici.sim.sundials").setLevel(logging.CRITICAL)  # failures are counted, not printed
    logging.getLogger("amici.sim.sundials._swig_wrappers").setLevel(logging.CRITICAL)
    model, compile_s = build(case, arguments.cache.resolve())
    if arguments.merge:
        case = case | {"conditions": [merged(c) for c in case["conditions"]]}
    of_case = partial(Objective, case, model, *data(case, model))
    p = np.array(list(case["parameters"].values()))

    value, gradient, _ = of_case("amici-forward", Mode(max_steps=100_000), 1e-10, 1e-12, arguments.threads)(p)
    if not np.isfinite(value):
        raise RuntimeError("the reference run failed")
    reference = {"value": float(value), "gradient": gradient}

    rows = []
    for setting in case["settings"]:
        tolerances = {"rtol": setting["rtol"], "atol": setting["atol"]}
        for method in arguments.methods:
            row = {"method": method, **tolerances, "threads": arguments.threads, "compile_s": compile_s}
            rows.append(row | {"amici_version": amici.__version__})
            make = {
                name: partial(of_case, method, mode, **tolerances, threads=arguments.threads)
                for name, mode in MODES[method].items()
            }
            objective = fastest_mode(make, p, reference, setting, rows[-1])
            if objective is not None:
                measure(objective, p, arguments.repeats, rows[-1])
    return {
        "rows": rows,
        "reference": {"rtol": 1e-10, "atol": 1e-12, "value": float(value), "gradient": gradient.tolist()},
        "parameters": list(case["parameters"]),
        "merged": arguments.merge,
        "openmp": bool(asd.compiled_with_openmp()),
        "states": model.nx_solver,
        "conservation_laws": model.ncl() if callable(model.ncl) else model.ncl,
        "amici_version": amici.__version__,
    }


if __name__ == "__main__":
    # AMICI and its compiler may print: keep standard output for the one JSON object.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            answer = main()
    except Exception as error:
        traceback.print_exc()
        answer = {"rows": [], "error": f"{type(error).__name__}: {error}", "amici_version": amici.__version__}
    print(json.dumps(answer, allow_nan=False), file=out, flush=True)
    sys.exit(1 if "error" in answer else 0)
