"""What the rule for absolute tolerances costs in steps, and what it leaves in errors.

    python -m benchmarks.absolute_tolerance --json FILE [--floors F …] [--only NAME …]

Rules, all at rtol 1e-6: `fixed` (1e-8 in the model's unit, the default until the absolute tolerance followed its
scale), `faint` (1e-16 of the largest value of the model), and `own F` (F · rtol · each species' own scale, see
`hexamer.models.solvers.scale`; F = 1 is 1e-6 of the smallest start).

Bundled networks: a dose of IL-6 (if it is a species) to cells as they are and to cells in steady state; the error is
the largest of a course relative to its largest value. Problems, bundled and PEtab (if HEXAMER_DATA has them), at their
nominal values: the largest relative error of a predicted row. Each against rtol 1e-10.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import hexamer
from hexamer import Fused
from hexamer.data import bundled as bundled_problems
from hexamer.data import read_values
from hexamer.data.published import VARIABLE
from hexamer.models import Protocol, Settings, bundled, load_model, simulate
from hexamer.models.solvers import scale

from .measures import machine

TIMES = [0.0, 1.0, 5.0, 15.0, 30.0, 60.0, 180.0]
DOSE = 0.476  # nM of IL-6, 10 ng/ml
TIGHT = {"rtol": 1e-10, "max_steps": 100_000}
FLOORS = (1.0, 1e-2, 1e-3, 1e-4)
SLOW = ("Chen",)  # 500 species

Course = Callable[..., tuple[np.ndarray, int]]  # settings -> values (last axis: times or rows), steps


def network(name: str, equilibrated: bool) -> Course:
    model = load_model(name)
    protocol = Protocol.equilibrated() if equilibrated else Protocol()
    protocol = protocol.add("IL6", DOSE) if "IL6" in model.species else protocol
    values = {n: 1.0 for n, v in zip(model.parameters, model.defaults, strict=True) if np.isnan(v)}

    def course(**changes: Any) -> tuple[np.ndarray, int]:
        out = simulate(model, values, protocol, TIMES, settings=Settings(Fused(), **changes))
        return np.asarray(out.y[0]).T, int(out.steps[0])

    return course


def problem(source: str) -> Course:
    loaded = hexamer.load_problem(source)
    truth = Path(__file__).parent.parent / "data" / "bundled_problems" / source / "truth.csv"
    known = {n: p.value for n, p in loaded.parameters.items() if p.value is not None}
    known |= {n: v for n, v in (read_values(truth) if truth.is_file() else {}).items() if n in loaded.parameters}
    complete = all(n in known for n in loaded.names)
    v = jnp.array([known[n] for n in loaded.names]) if complete else loaded.values(jnp.zeros(len(loaded.space)))

    def course(**changes: Any) -> tuple[np.ndarray, int]:
        readout = jax.jit(loaded.with_settings(**{"max_steps": 100_000, **changes}).read)(v)
        return np.asarray(readout.mean)[:, None], int(np.sum(readout.steps))

    return course


def error(y: np.ndarray, reference: np.ndarray) -> float:
    """The largest; without what is the rounding of other numbers (1e-33 beside 1e3)."""
    size = np.max(np.abs(reference), axis=1, keepdims=True)
    counts = size > 1e-25 * np.nanmax(size)
    return float(np.nanmax(np.where(counts, np.abs(y - reference) / np.where(counts, size, 1.0), 0.0)))


def sources(root: Path | None) -> Iterator[tuple[str, Callable[[], Course]]]:
    for name in bundled():
        for equilibrated in (False, True):
            label = "in steady state" if equilibrated else "as it is"
            yield f"{name}, {label}", lambda n=name, e=equilibrated: network(n, e)
    petab = sorted((root / "petab").glob("*/*.yaml")) if root else []
    for name in (*bundled_problems(), *map(str, petab)):
        if not any(s in name for s in SLOW):
            yield Path(name).stem, lambda n=name: problem(n)


def row(name: str, make: Callable[[], Course], floors: tuple[float, ...]) -> dict[str, Any]:
    """Steps and error of every rule. Compiled code holds the floor, so each has a model of its own."""
    course = make()
    reference, _ = course(**TIGHT)
    largest = float(np.nanmax(np.abs(reference)))
    rules: dict[str, Any] = {}
    for rule, atol in (("fixed", 1e-8), ("faint", 1e-16 * largest)):
        y, steps = course(atol=atol)
        rules[rule] = {"steps": steps, "error": error(y, reference)}
    default = scale.FLOOR
    for floor in floors:
        scale.FLOOR = {**default, "float64": floor}
        y, steps = make()()
        rules[f"own {floor:g}"] = {"steps": steps, "error": error(y, reference)}
    scale.FLOOR = default
    return {"name": name, "rules": rules}


def main() -> None:
    import os

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--floors", type=float, nargs="+", default=FLOORS)
    parser.add_argument("--only", nargs="+", help="names that begin so")
    arguments = parser.parse_args()
    root = Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None
    rows: list[dict[str, Any]] = []
    for name, make in sources(root):
        if arguments.only and not name.startswith(tuple(arguments.only)):
            continue
        try:
            rows.append(row(name, make, tuple(arguments.floors)))
        except (ValueError, FileNotFoundError) as why:
            rows.append({"name": name, "left_out": str(why).splitlines()[0]})
        cells = [f"{rule} {x['steps']} ({x['error']:.0e})" for rule, x in rows[-1].get("rules", {}).items()]
        print(f"{name}:", "; ".join(cells) or rows[-1]["left_out"], flush=True)
        if arguments.json:
            default = scale.FLOOR["float64"]
            arguments.json.write_text(
                json.dumps({"machine": machine(), "default": default, "rows": rows}, indent=1) + "\n"
            )


if __name__ == "__main__":
    main()
