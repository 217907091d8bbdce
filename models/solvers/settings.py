"""How a trajectory is solved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from jaxtyping import Array, Float

from ..listing import known_names

Solver = Literal["rodas5p", "kvaerno5", "kvaerno3", "tsit5"]
Engine = Literal["auto", "fused", "diffrax"]
Derivative = Literal["reverse", "forward"]
Precision = Literal["float64", "float32"]
Device = Literal["auto", "cpu", "gpu"]
SOLVERS: tuple[str, ...] = get_args(Solver)
ENGINES: tuple[str, ...] = get_args(Engine)
# What a precision can keep: errors fall no further below this rtol, and an atol below this may be no number in it.
LEAST_RTOL: Mapping[Precision, float] = {"float64": 0.0, "float32": 1e-5}
LEAST_ATOL: Mapping[Precision, float] = {"float64": 0.0, "float32": 1e-30}


class Tolerances(NamedTuple):
    """Error a step of one trajectory set, as data: it may differ from set to set, and be traced."""

    rtol: Float[Array, ""]
    atol: Float[Array, ""] | None  # None: from the model's own scale, see `hexamer.models.solvers.scale`


@dataclass(frozen=True)
class Settings:
    """Engine, solver and tolerances of a simulation.

    - `engine`: `fused` (compiled code for the model at hand: Rodas5P, reverse mode), `diffrax`, or `auto`: the first
      where model and settings allow it;
    - `solver`: `rodas5p` (implicit, the default: real posteriors reach stiff corners), `kvaerno5`, `kvaerno3`
      (implicit, diffrax's own), or `tsit5` (explicit, cheap where the model is not stiff);
    - `rtol`: error a step, relative to each species' size;
    - `atol`: the same in model units, for all species alike; None: each species has its own, which follows from rtol
      and from what it starts at, is set to, or soon comes to, so that no unit of concentration is a wrong one;
    - `max_steps`: of each segment of a protocol, rejected ones included;
    - `derivative`: which one is wanted, `reverse` (`jax.grad`, `jax.vjp`) or `forward` (`jax.jvp`, `jax.jacfwd`);
    - `longest_step`: as a fraction of a segment. The controller sees the state alone: a trajectory at rest whose
      sensitivities move would otherwise take steps that ruin its gradient. A smooth pulse in time that is shorter may
      be stepped over, one written with `piecewise` not;
    - `threads`: of the fused engine, for one batch; 0: as many as there are cores;
    - `record`: steps a trajectory that the fused engine keeps for the adjoint pass; it solves longer ones twice;
    - `memory`: bytes that this may take for one batch; of a larger batch nothing is kept, and in the adjoint pass it is
      solved again piece by piece. None: 4 GiB on the CPU, on a GPU a quarter of what JAX has of the card;
    - `precision`: in which the fused engine takes its steps. `float32` needs an rtol of 1e-5 or more, said by name
      (`Settings(precision="float32", rtol=1e-4)`). What goes in and comes out is float64 all the same, and
      so are time, what of rates depends on parameters alone, and the state at rest with its derivative;
    - `device`: where hexamer's own functions solve: `cpu`, `gpu`, or `auto`: calls of few trajectories on the CPU,
      others on JAX's default device. In functions of your own that JAX transforms or compiles, JAX decides, as ever.
    """

    engine: Engine = "auto"
    solver: Solver = "rodas5p"
    rtol: float = 1e-6
    atol: float | None = None
    max_steps: int = 4096
    derivative: Derivative = "reverse"
    longest_step: float = 1 / 16
    threads: int = 0
    record: int = 256
    memory: int | None = None
    precision: Precision = "float64"
    device: Device = "auto"

    def __post_init__(self) -> None:
        for name in ("rtol", "atol"):  # settings are keys of what is compiled, which an array cannot be
            if getattr(self, name) is not None:
                object.__setattr__(self, name, float(getattr(self, name)))
        if self.engine not in ENGINES:
            raise ValueError(f"unknown engine {self.engine!r}; {known_names(str(self.engine), ENGINES)}")
        if self.solver not in SOLVERS:
            raise ValueError(f"unknown solver {self.solver!r}; {known_names(str(self.solver), SOLVERS)}")
        if self.derivative not in get_args(Derivative):
            raise ValueError(f"derivative must be 'reverse' or 'forward', not {self.derivative!r}")
        if self.precision not in get_args(Precision):
            raise ValueError(f"precision must be 'float64' or 'float32', not {self.precision!r}")
        if self.device not in get_args(Device):
            raise ValueError(f"unknown device {self.device!r}; {known_names(str(self.device), get_args(Device))}")
        if self.precision == "float32" and self.engine == "diffrax":
            raise ValueError("diffrax solves in float64 here: precision='float32' is for engine='fused'")
        if not (0 < self.rtol < 1 and (self.atol is None or self.atol > 0)):
            raise ValueError(f"tolerances must be positive and rtol below 1, not rtol={self.rtol}, atol={self.atol}")
        if (why := too_fine(self.precision, self.rtol, self.atol)) is not None:
            raise ValueError(why)
        if min(self.threads, self.record, self.memory or 0) < 0:
            raise ValueError(
                f"threads, record and memory cannot be negative: {self.threads}, {self.record}, {self.memory}"
            )
        if not 1 <= self.max_steps < 2**31:
            raise ValueError(f"max_steps must be at least 1 and less than 2**31, not {self.max_steps}")
        if not 0 < self.longest_step <= 1:
            raise ValueError(f"longest_step is a fraction of a segment, not {self.longest_step}")


def too_fine(precision: Precision, rtol: float, atol: float | None) -> str | None:
    """What is wrong with tolerances that `precision` cannot keep, else None."""
    if rtol < LEAST_RTOL[precision]:
        return (
            f"rtol={rtol:g} is finer than {precision} can keep ({LEAST_RTOL[precision]:g}): "
            f"choose a coarser one (rtol=1e-4, say), or precision='float64'"
        )
    if atol is not None and atol < LEAST_ATOL[precision]:
        return f"atol={atol:g} is finer than {precision} can keep ({LEAST_ATOL[precision]:g})"
    return None
