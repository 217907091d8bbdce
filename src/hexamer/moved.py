"""Old names of modules, for one release: each warns and passes on to the module of today."""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any
from warnings import warn

MOVED = {
    "data.assay_error": "data.errors",
    "data.composition": "data.quantities.composition",
    "data.folder": "data.native.folder",
    "data.priors": "data.native.prior_table",
    "data.problems": "data.files.issues",
    "data.standard_curve": "data.assays.standard_curve",
    "data.units": "data.quantities.units",
    "data.values": "data.native.values",
    "infer.curvature": "infer.optimisation.laplace",
    "infer.fit": "infer.calibration",
    "infer.gradient_check": "infer.checks.gradient_check",
    "infer.lock": "infer.storage.lock",
    "infer.optimise": "infer.optimisation.many_starts",
    "infer.population": "infer.doses.population",
    "infer.posterior_file": "infer.posterior.file",
    "infer.predict": "infer.prediction.curves",
    "infer.reporting": "infer.reports.calibration",
    "infer.sample": "infer.sampling.nuts",
    "infer.solver_choice": "infer.checks.solver_choice",
    "infer.store": "infer.sampling.store",
    "infer.summary": "infer.posterior.summary",
    "models.expressions": "models.networks.formulas",
    "models.model": "models.compiled.model",
    "models.network": "models.networks.network",
    "models.protocol": "models.protocols.protocol",
    "models.reverse_only": "models.solvers.derivatives",
    "models.sbml_read": "models.networks.sbml_read",
    "models.settings": "models.solvers.settings",
    "models.simulate": "models.simulation",
    "models.status": "models.solvers.status",
}


class _Moved(ModuleType):
    """Stands in `sys.modules` under the old name. The module of today is imported when something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        new = f"hexamer.{MOVED[self.__name__.removeprefix('hexamer.')]}"
        found = getattr(import_module(new), name)
        warn(f"{self.__name__} is now {new}; the old name goes with the next release", DeprecationWarning, stacklevel=2)
        return found


def register() -> None:
    """Makes the old names importable."""
    for old in MOVED:
        sys.modules.setdefault(f"hexamer.{old}", _Moved(f"hexamer.{old}"))
