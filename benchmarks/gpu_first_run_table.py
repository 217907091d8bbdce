"""The lines of a first run, as a person reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]

LEGEND = """\
alone: the kernels without JAX (gpu_driver.cu); by JAX: what a user calls.
course: from the model's initial values; rest: a steady state before. float64 and float32 stand with their rtol.
warps: groups of 32 threads that share a multiprocessor.
value_off, gradient_off: largest relative difference from the CPU's numbers in float64 at the same tolerances; in lines
that run alone and in float32, from the CPU's at rtol 1e-10. With _cpu: from the CPU's at the same tolerances and
precision. "right" answers the question of its line."""
DRY = "DRY RUN on the CPU: it tells whether all of it runs and is right, and no times"


def table(lines: Sequence[Row], *, dry: bool) -> str:
    return "\n".join(f"{line['line']:70} {_describe_line(line, dry=dry)}".rstrip() for line in lines)


def _describe_line(line: Row, *, dry: bool) -> str:
    if "not_installed" in line:
        return f"FAILED  {line['not_installed']} is not installed"
    if "error" in line:
        return f"FAILED  {line['error']}"
    if "left_out" in line:
        return f"left out after {line['left_out']:g} minutes"
    if "break_even" in line:
        if dry:
            return "not told by a dry run"
        least, most = line["break_even"], line["timed_up_to"]
        faster = f"from {least} trajectories on" if least else f"at none up to {most} trajectories"
        taken = line["taken_for_it"]
        return (
            f"the GPU is faster {faster} than {line['cores']} cores; hexamer takes it to be "
            f"{f'from {taken} on' if taken else 'so at none'} (models/solvers/placement.py)"
        )
    right = "" if "good" not in line else "right   " if line["good"] else "WRONG   "
    offs = [k for k in ("value_off", "gradient_off", "value_off_cpu", "gradient_off_cpu") if k in line]
    errors = "  ".join(f"{k} {'none' if line[k] is None else f'{line[k]:.1e}'}" for k in offs)
    if "compile_s" in line and "seconds" not in line:
        seconds = f"compiled in {line['compile_s']:.0f} s  "
    elif "seconds" not in line:
        seconds = ""
    else:
        seconds = "" if dry else f"{1e3 * line['seconds']:10.2f} ms  "
    return f"{right}{seconds}{errors}" or "ran"


def tally(lines: Sequence[Row]) -> str:
    right, wrong = (sum(line.get("good") is good for line in lines) for good in (True, False))
    failed = sum("error" in line or "not_installed" in line for line in lines)
    left_out = sum("left_out" in line for line in lines)
    return f"{right} right, {wrong} wrong, {failed} failed, {left_out} left out for want of time"
