"""Old names, for one release: each warns and passes on to the name of today."""

import sys
from collections.abc import Callable
from functools import cache
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


# Names that have left the module of today, too.
ELSEWHERE = {("models.model", "compile_network"): "models.compiled.from_network"}


class _Moved(ModuleType):
    """Stands in `sys.modules` under the old name. The module of today is imported when something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        old = self.__name__.removeprefix("hexamer.")
        new = f"hexamer.{ELSEWHERE.get((old, name), MOVED[old])}"
        found = getattr(import_module(new), name)
        warn(f"{self.__name__} is now {new}; the old name goes with the next release", DeprecationWarning, stacklevel=2)
        return found


# Old attributes of classes: the class, the attribute, the function of today.
METHODS = [
    ("infer.Problem", "load", "infer.load_problem"),
    ("infer.Problem", "numpyro_model", "infer.problem.numpyro_model.numpyro_model"),
    ("models.Model", "from_function", "models.compile_function"),
    ("models.Model", "load", "models.load_model"),
    ("models.Network", "from_antimony", "models.read_antimony"),
    ("models.Network", "from_sbml", "models.read_sbml"),
    ("models.Network", "load", "models.load_network"),
    ("models.Network", "to_sbml", "models.write_sbml"),
]
# Old properties: the class, the property, the function of today.
PROPERTIES = [
    ("infer.Problem", "digest", "infer.problem.identity.problem_digest"),
    ("models.Model", "digest", "models.compiled.identity.model_digest"),
]


def _warn(old: str, new: str) -> None:
    warn(f"{old} is now {new}; the old name goes with the next release", DeprecationWarning, stacklevel=3)


def _found(name: str) -> Any:
    module, _, attribute = f"hexamer.{name}".rpartition(".")
    return getattr(import_module(module), attribute)


def _passing_on(old: str, new: str) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        _warn(old, f"hexamer.{new}")
        return _found(new)(*arguments, **options)  # looked up when it is called: what it needs may be slow to import

    call.__doc__ = f"The old name of `hexamer.{new}`."
    return call


def _bundled_or(others: Callable[[str], Any]) -> Callable[[str], Any]:
    """Bundled networks were attributes of `hexamer.models`, compiled when looked at; `others` knows all other names."""

    def get(name: str) -> Any:
        if name not in _found("models.bundled")():
            return others(name)
        _warn(f"hexamer.models.{name}", f"hexamer.load_model({name!r})")
        return _compiled(name)

    return get


@cache
def _compiled(name: str) -> Any:
    return _found("models.load_model")(name)


def register() -> None:
    """Makes the old names importable, and the old attributes of classes and of `hexamer.models` readable."""
    for owner, name, new in METHODS:
        call = _passing_on(f"{owner.rpartition('.')[2]}.{name}", new)
        setattr(_found(owner), name, call if name in ("numpyro_model", "to_sbml") else staticmethod(call))
    for owner, name, new in PROPERTIES:
        setattr(_found(owner), name, property(_passing_on(f"{owner.rpartition('.')[2]}.{name}", new)))
    models = import_module("hexamer.models")
    models.__dict__["__getattr__"] = _bundled_or(models.__getattr__)
    for old in MOVED:
        sys.modules.setdefault(f"hexamer.{old}", _Moved(f"hexamer.{old}"))
