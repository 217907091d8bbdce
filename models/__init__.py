"""What the biology says: reaction networks, compiled, and simulated under protocols."""

from typing import TYPE_CHECKING

from .compiled.model import Model, compile_network
from .library import bundled, il6
from .networks.formulas import FormulaError, parse_infix
from .networks.network import Network, Quantity, Reaction, Species
from .networks.sbml_read import UnsupportedModelError
from .protocols.protocol import Protocol, Step
from .simulation import Trajectories, simulate
from .solvers.derivatives import DerivativeError
from .solvers.settings import Settings
from .solvers.status import Status

if TYPE_CHECKING:
    cytokine_release: Model
    hepatocyte_core: Model
    hepg2_core: Model
    il6_classic: Model
    il6_full: Model
    il6_stat3: Model


def __getattr__(name: str) -> Model:
    """The bundled networks, compiled at first use: `hexamer.models.il6_stat3`."""
    if name not in bundled():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = Model.load(name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *bundled()})


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
    "bundled",
    "compile_network",
    "il6",
    "parse_infix",
    "simulate",
]
