"""hexamer calibrates mechanistic models of receptor signalling with full Bayesian uncertainty.

Importing it turns on JAX's 64-bit floats, which stiff models need.
"""

from . import interrupt

interrupt.watch_command()

import jax  # noqa: E402

jax.config.update("jax_enable_x64", True)

from . import data, infer, models, moved  # noqa: E402
from .infer import Problem, load_problem  # noqa: E402
from .models import Model, Network, Protocol, Settings, Status, load_model, load_network, simulate  # noqa: E402

moved.register()

__version__ = "0.1.0"

__all__ = [
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
