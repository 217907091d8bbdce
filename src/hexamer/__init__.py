"""hexamer calibrates mechanistic models of receptor signalling with full Bayesian uncertainty.

Importing it turns on JAX's 64-bit floats, which stiff models need.
"""

import os
from typing import TYPE_CHECKING

from . import interrupt
from .errors import HexamerError

interrupt.watch_command()

if interrupt.is_command():  # help and errors come within half a second: what is heavy is imported when it is needed
    os.environ["JAX_ENABLE_X64"] = "1"
else:
    import jax

    jax.config.update("jax_enable_x64", True)

    from . import data, infer, models, moved
    from .infer import NUTS, Draws, Fits, Problem, find_map, fit, load_problem, sample
    from .later import later
    from .models import (
        Auto,
        Diffrax,
        Fused,
        Model,
        Network,
        Protocol,
        Settings,
        Status,
        load_model,
        load_network,
        simulate,
    )

    if TYPE_CHECKING:
        from .infer import (
            Calibration,
            DoseResponse,
            Ensemble,
            Summary,
            dose_response,
            read_posterior,
            report,
            summarise,
        )

    # They bring xarray or matplotlib.
    __getattr__, _ = later(
        __name__,
        {
            "Calibration": "infer",
            "DoseResponse": "infer",
            "Ensemble": "infer",
            "Summary": "infer",
            "dose_response": "infer",
            "read_posterior": "infer",
            "report": "infer",
            "summarise": "infer",
        },
    )
    moved.register()


def __dir__() -> list[str]:
    return sorted(__all__)


__version__ = "0.1.0"

__all__ = [
    "NUTS",
    "Auto",
    "Calibration",
    "Diffrax",
    "DoseResponse",
    "Draws",
    "Ensemble",
    "Fits",
    "Fused",
    "HexamerError",
    "Model",
    "Network",
    "Problem",
    "Protocol",
    "Settings",
    "Status",
    "Summary",
    "__version__",
    "data",
    "dose_response",
    "find_map",
    "fit",
    "infer",
    "load_model",
    "load_network",
    "load_problem",
    "models",
    "read_posterior",
    "report",
    "sample",
    "simulate",
    "summarise",
]
