"""The engine under AddressSanitizer and UBSan, without a GPU: its kernels, and the CPU's in 4 and 8 lanes.

    python -m benchmarks.gpu_sanitize [--models hepg2_core il6_stat3 switched events] [--precisions float64 float32]

`gpu_driver.cu` gives every array its exact size on the heap and fills it with NaN. Cases: doses to cells with and
without a steady state before, and protocols of all kinds at sets of parameters some of which fail; steps kept, and too
many to be kept. A finding, another status or step, or a value or gradient that is off ends it with exit status 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

from hexamer import Fused, Model, Protocol, Settings
from hexamer.models import compile_network, load_model, read_antimony

from .gpu_driver import SANITIZED, DriverCase, DriverFailed, Off, Row, build, dose_case, mixed_case, run, source_of

LANES = (1, 4, 8)
ROOM = (256, 9)  # steps a course that are kept
MAX_STEPS = 200
# How many times as far off a build may be as rounding makes the CPU's own numbers, or in float32 as these are off.
ALLOWED = {"float64": 10, "float32": 3}
MOST = {"float64": 3e-8, "float32": 3e-2}  # and no more than that

SWITCHED = """
model switched
  species R = 0; P = 1; Q = 0; on = 5; off = 20; k = 0.3; d = 0.1; IL6 = 1;
  dose := piecewise(IL6, time >= on && time < off, 0);
  J0: -> R; k*dose; J1: R -> ; d*R; J2: P -> Q; k*P*R/(1 + P); J3: Q -> P; d*Q; J4: -> P; d; J5: P ->; d*P*P;
end
"""

EVENTS = """
model events
  species R = 0; P = 1; Q = 0; t1 = 4; t2 = 12; gain = 0.5; left = 0.3; k = 0.3; d = 0.1; IL6 = 1;
  J0: -> R; k*IL6; J1: R -> ; d*R; J2: P -> Q; k*P*R/(1 + P); J3: Q -> P; d*Q;
  first: at (time >= t1), priority=2: P = P + gain*IL6, k = 0.2;
  second: at 3 after (time >= t1), fromTrigger=true: R = 0.5*R;
  third: at (time >= t2): Q = left*Q, R = R + Q;
end
"""
TEXTS = {"switched": SWITCHED, "events": EVENTS}

MIXED: Mapping[str, Sequence[Protocol]] = {
    "il6_stat3": [
        Protocol.equilibrated("dose").add("IL6", 0.48),
        Protocol("no rest").add("IL6", 0.48).add("sIL6R", 2.0),
        Protocol.equilibrated("set", k_tl=0.0).add("HyperIL6", 0.2).set(at=15, k_jak=0.0),
        Protocol.equilibrated("pulse").pulse("IL6", 0.6, start=0.0, stop=20.0),
    ],
    "hepg2_core": [
        Protocol.equilibrated("dose").set(IL6=10.0),
        Protocol("no rest").set(IL6=10.0),
        Protocol.equilibrated("set", IL6=0.5).set(at=5, IL6=40.0).set(at=16, CHX=1.0, pR=0.0),
    ],
    "switched": [
        Protocol("plain"),
        Protocol("set").set(at=7, k=1.0, R=0.5),
        Protocol.equilibrated("rest", d=0.3).add("P", 0.4, at=3),
    ],
    "events": [
        Protocol("plain"),
        Protocol("set").set(at=7, d=0.2, R=0.5),
        Protocol.equilibrated("rest", IL6=0.5).add("P", 0.4, at=3),
    ],
}


def model_of(name: str) -> Model:
    return compile_network(read_antimony(TEXTS[name])) if name in TEXTS else load_model(name)


def settings_of(precision: str, **more) -> Settings:
    if precision == "float64":
        return Settings(Fused(), **more)
    return Settings(Fused(precision="float32"), rtol=1e-4, atol=1e-6, **more)


def cases_of(name: str, model: Model, precision: str) -> dict[str, DriverCase]:
    plain = settings_of(precision)
    # In float32 the numbers compared with are of many more steps, which must not end for want of them.
    short = settings_of(precision, max_steps=MAX_STEPS) if precision == "float64" else plain
    return {
        "course": dose_case(model, plain, equilibrated=False, sets=8),
        "rest": dose_case(model, plain, equilibrated=True, sets=8),
        "mixed": mixed_case(model, short, MIXED[name]),
    }


def good(row: Row, precision: str, rounding: Off) -> bool:
    """No other status, rows or (in float64) steps; and off by what rounding may do, as `DriverCase.write` tells."""
    value, gradient = row["value_off"], row.get("gradient_off", 0.0 if row["unrecorded"] else None)
    if row["other_status"] or row["other_rows"] or value is None or gradient is None:
        return False
    many, most = ALLOWED[precision], MOST[precision]
    near = value <= min(most, many * rounding.value) and gradient <= min(most, many * rounding.gradient)
    return near and (precision == "float32" or not row["other_steps"])


def rows(models: Sequence[str], precisions: Sequence[str], lanes: Sequence[int], folder: Path) -> Iterator[Row]:
    """A row for each build and case; `finding` says what a sanitizer said."""
    for name, precision in product(models, precisions):
        model, files = model_of(name), {}
        for case, what in cases_of(name, model, precision).items():
            file = folder / f"{name}_{precision}_{case}.bin"
            files[case] = file, what.write(file, tight=precision == "float32")
        for width in lanes:
            of = {"model": name, "precision": precision, "lanes": width}
            source = source_of(model, lanes=width, single=precision == "float32")
            try:
                program = build(folder, f"{name}_{precision}_{width}", source, cuda=False, flags=SANITIZED)
            except DriverFailed as failed:
                yield of | {"finding": str(failed), "good": False}
                continue
            for case, room in product(files, ROOM):
                row, began = of | {"case": case, "room": room}, time.perf_counter()
                try:
                    file, rounding = files[case]
                    row |= run(program, file, sets=12 if case == "mixed" else 8, capacity=room)
                    row["good"] = good(row, precision, rounding)
                except DriverFailed as failed:
                    row |= {"finding": str(failed), "good": False}
                yield row | {"seconds": time.perf_counter() - began}


def line(row: Row) -> str:
    if "finding" in row:
        return f"{row['model']} {row['precision']} lanes {row['lanes']} {row.get('case', '')}: {row['finding']}"
    gradient = row.get("gradient_off")  # of courses that are all recorded
    return (
        f"{row['model']:12} {row['precision']} lanes {row['lanes']} {row['case']:7} room {row['room']:3}: "
        f"{row['trajectories']:3} courses, {row['unrecorded']:3} not recorded, value off {row['value_off'] or 0:.1e}, "
        f"gradient {'not compared' if gradient is None else f'off {gradient:.1e}'}, {row['seconds']:.1f} s"
        f"{'' if row['good'] else '  NOT GOOD'}"
    )


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.gpu_sanitize", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=list(MIXED), default=list(MIXED))
    parser.add_argument("--precisions", nargs="+", choices=["float64", "float32"], default=["float64", "float32"])
    parser.add_argument("--lanes", nargs="+", type=int, choices=LANES, default=list(LANES))
    options = parser.parse_args()
    bad = all_of_them = 0
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(options.models, options.precisions, options.lanes, Path(folder)):
            print(line(row), flush=True)
            bad += not row["good"]
            all_of_them += 1
    if bad:
        sys.exit(f"{bad} of {all_of_them} cases are not good")
    print(f"all {all_of_them} cases are good: no finding, and the CPU's numbers")


if __name__ == "__main__":
    main()
