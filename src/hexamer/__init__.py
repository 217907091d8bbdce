"""hexamer calibrates mechanistic models of receptor signalling with full Bayesian uncertainty.

Importing it turns on JAX's 64-bit floats, which stiff models need.
"""

import os

from . import interrupt
from .errors import HexamerError

interrupt.watch_command()

if interrupt.is_command():  # help and errors come within half a second: what is heavy is imported when it is needed
    os.environ["JAX_ENABLE_X64"] = "1"
else:
    import jax

    jax.config.update("jax_enable_x64", True)

    from . import data, infer, models, moved
    from .infer import Problem, load_problem
    from .models import Model, Network, Protocol, Settings, Status, load_model, load_network, simulate

    moved.register()

__version__ = "0.1.0"

__all__ = [
    "HexamerError",
    "Model",
    "Network",
    "Problem",
    "Protocol",
    "Settings",
    "Status",
    "__version__",
    "data",
    "infer",
    "load_model",
    "load_network",
    "load_problem",
    "models",
    "simulate",
]
