"""What the biology says: reaction networks, compiled, and simulated under protocols."""

from typing import TYPE_CHECKING

from ..late_imports import later
from .library import bundled, il6
from .load import load_model, load_network
from .networks.antimony_read import read_antimony
from .networks.copasi import read_copasi
from .networks.formulas import FormulaError, parse_infix
from .networks.network import Constraint, Network, Quantity, Reaction, Species, UnsupportedModelError
from .networks.sbml_read import read_sbml
from .networks.sbml_write import write_sbml
from .protocols.protocol import Protocol, Step
from .solvers.solver import Auto, Diffrax, Fused
from .solvers.status import Status

if TYPE_CHECKING:
    from .compiled.from_function import compile_function
    from .compiled.from_network import compile_network
    from .compiled.model import Model
    from .simulation import Trajectories, simulate
    from .solvers.derivatives import DerivativeError
    from .solvers.settings import Settings

# Networks and data are read without JAX and diffrax, which take a second to import.
__getattr__, __dir__ = later(
    __name__,
    {
        "DerivativeError": "solvers.derivatives",
        "Model": "compiled.model",
        "Settings": "solvers.settings",
        "Trajectories": "simulation",
        "compile_function": "compiled.from_function",
        "compile_network": "compiled.from_network",
        "simulate": "simulation",
    },
)

__all__ = [
    "Auto",
    "Constraint",
    "DerivativeError",
    "Diffrax",
    "FormulaError",
    "Fused",
    "Model",
    "Network",
    "Protocol",
    "Quantity",
    "Reaction",
    "Settings",
    "Species",
    "Status",
    "Step",
    "Trajectories",
    "UnsupportedModelError",
    "bundled",
    "compile_function",
    "compile_network",
    "il6",
    "load_model",
    "load_network",
    "parse_infix",
    "read_antimony",
    "read_copasi",
    "read_sbml",
    "simulate",
    "write_sbml",
]
