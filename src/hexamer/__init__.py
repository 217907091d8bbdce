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
    from .late_imports import later
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
            CalibrationCheck,
            DoseResponse,
            Ensemble,
            Prediction,
            Summary,
            dose_response,
            loo,
            predict,
            read_posterior,
            report,
            sbc,
            summarise,
        )

    # They bring xarray or matplotlib.
    _nouns = ("Calibration", "CalibrationCheck", "DoseResponse", "Ensemble", "Prediction", "Summary")
    _verbs = ("dose_response", "loo", "predict", "read_posterior", "report", "sbc", "summarise")
    __getattr__, _ = later(__name__, dict.fromkeys((*_nouns, *_verbs), "infer"))
    moved.register()


def __dir__() -> list[str]:
    return sorted(__all__)


__version__ = "0.1.0"

__all__ = ["HexamerError", "__version__", "data", "infer", "models"]
__all__ += ["Auto", "Diffrax", "Fused", "Model", "Network", "Protocol", "Settings", "Status"]
__all__ += ["NUTS", "Calibration", "CalibrationCheck", "DoseResponse", "Draws", "Ensemble", "Fits", "Prediction"]
__all__ += ["Problem", "Summary"]
__all__ += ["dose_response", "find_map", "fit", "load_model", "load_network", "load_problem", "loo"]
__all__ += ["predict", "read_posterior", "report", "sample", "sbc", "simulate", "summarise"]
