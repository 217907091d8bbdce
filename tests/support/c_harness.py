"""C text around generated functions, which a test compiles and calls."""

from __future__ import annotations

from hexamer.models.solvers.fused.source import defined, join

HARNESS = """
struct Harness {
@SOURCE@
static void read(real* v, const double* x, long count)
{
  for (long i = 0; i < count; i++) for (int l = 0; l < LANES; l++) AT(v[i], l) = x[i * LANES + l];
}
static void write(double* y, const real* v, long count)
{
  for (long i = 0; i < count; i++) for (int l = 0; l < LANES; l++) y[i * LANES + l] = AT(v[i], l);
}
@RUN@
};
"""


def harness(lanes: int, source: str, run: str, *, single: bool = False) -> str:
    types = join("lanes.h", {})
    text = HARNESS.replace("@RUN@", run).replace("@SOURCE@", f"{types}\n{source}")
    return defined(lanes, single=single) + text
