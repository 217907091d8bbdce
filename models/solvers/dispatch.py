"""Which engine solves: the fused one if it can, else diffrax, with the reason logged once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, wraps

import jax
from jaxtyping import Array, Float

from ..compiled.model import Model
from ..compiled.plan import Plan
from .derivatives import reverse_only
from .fused import cuda
from .fused import engine as fused_engine
from .fused.codegen.lower import DoesNotCompile, Unsupported
from .fused.compilation import require
from .placement import default_platform
from .settings import Settings, Tolerances
from .solution import Solution
from .solver import Diffrax, Fused

log = logging.getLogger(__name__)


def falls_back[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """`function`, which is called anew if it solves a model whose code turns out not to compile.

    That is known when JAX lowers, after the engine was chosen. The model is then solved with diffrax, which is logged,
    unless the settings ask for the fused engine: that is an error with the same words.

    Traces that chose the fused engine must go. JAX can drop those of one jitted function (`clear_cache`), but it also
    keeps traces of the functions within it, such as bodies of scans, and drops these only all at once. So this process
    compiles all its functions anew at their next call, once for each model whose code does not compile.
    """

    @wraps(function)
    def calling(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except DoesNotCompile:
            jax.clear_caches()
            return function(*args, **kwargs)

    return calling


def solve(
    model: Model,
    plan: Plan,
    settings: Settings,
    values: Float[Array, " names"],
    *,
    tolerances: Tolerances | None = None,
    small_batch: bool = False,
) -> Solution:
    """Solves all protocols of `plan` for one vector of `values` (in the order of `plan.names`).

    `tolerances` stand in for those of `settings`, and have no derivative. If they make no sense (rtol not within 0
    and 1, atol not positive and finite) the trajectory fails, as `Status.NOT_FINITE`.

    `small_batch` says that few trajectories are solved at a time; each may then take more memory, for a faster adjoint
    pass. Raises `ValueError` if `settings.solver` is `Fused` and cannot solve this model here.
    """
    if settings.derivative == "reverse":
        values = reverse_only(values)
    tolerances = jax.lax.stop_gradient(tolerances)
    if uses_fused(model, settings):
        return fused_engine.solve(model, plan, settings, values, tolerances=tolerances, small_batch=small_batch)
    from .reference import engine as diffrax_engine  # half a second to import

    return diffrax_engine.solve(model, plan, settings, values, tolerances=tolerances)


def uses_fused(model: Model, settings: Settings) -> bool:
    """Whether the fused engine solves `model` under `settings`; see `solve` for what is raised."""
    if isinstance(settings.solver, Diffrax):
        return False
    try:
        _allow()
        require(model)
    except Unsupported as reason:
        if isinstance(settings.solver, Fused):
            raise
        _say_once(str(reason) + ("; in float64" if settings.precision == "float32" else ""))
        return False
    return True


def _allow() -> None:
    if (platform := default_platform()) == "cpu" or (platform == "gpu" and cuda.devices()):
        return
    why = cuda.why_none() if platform == "gpu" else f"JAX's default device here is a {platform}"
    raise Unsupported(
        f"the fused engine runs on CPUs and on CUDA GPUs: {why}. It solves on the CPU within "
        "`with jax.default_device(jax.devices('cpu')[0])`"
    )


@cache
def _say_once(reason: str) -> None:
    log.warning("solving with diffrax: %s", reason)
