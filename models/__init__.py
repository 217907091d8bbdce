"""What the biology says: reaction networks, compiled, and simulated under protocols."""

from .expressions import FormulaError, parse_infix
from .model import Model, compile_network
from .network import Network, Quantity, Reaction, Species
from .protocol import Protocol, Step
from .reverse_only import DerivativeError
from .sbml_read import UnsupportedModelError
from .settings import Settings
from .simulate import Trajectories, simulate
from .status import Status

__all__ = [
    "DerivativeError",
    "FormulaError",
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
    "compile_network",
    "parse_infix",
    "simulate",
]
