"""Old names, for one release: each warns and passes on to the name of today."""

import sys
from collections.abc import Callable, Mapping
from functools import cache, wraps
from importlib import import_module
from types import ModuleType
from typing import Any
from warnings import warn

MOVED = {
    "data.assay_error": "data.errors",
    "data.assays.blot": "data.assays.western_blot",
    "data.assays.coip": "data.assays.co_immunoprecipitation",
    "data.assays.copy_number": "data.assays.copies_per_cell",
    "data.assays.direct": "data.assays.direct_reading",
    "data.assays.elisa": "data.assays.immunoassay",
    "data.assays.log10_reading": "data.assays.logarithmic_reading",
    "data.assays.luciferase": "data.assays.reporter_gene",
    "data.assays.qpcr": "data.assays.quantitative_pcr",
    "data.composition": "data.quantities.composition",
    "data.folder": "data.native.folder",
    "data.literature": "data.literature_table",
    "data.petab.lint": "data.petab.findings",
    "data.priors": "data.native.prior_table",
    "data.problems": "data.files.issues",
    "data.standard_curve": "data.assays.standard_curve",
    "data.units": "data.quantities.units",
    "data.values": "data.native.values",
    "infer.curvature": "infer.optimisation.laplace",
    "infer.doses.combination": "infer.doses.drug_pairs",
    "infer.fit": "infer.calibration",
    "infer.gradient_check": "infer.checks.gradient_check",
    "infer.lock": "infer.storage.lock",
    "infer.optimise": "infer.optimisation.many_starts",
    "infer.plots.dose": "infer.plots.dose_readings",
    "infer.plots.dose_response": "infer.plots.dose_curves",
    "infer.plots.fit": "infer.plots.observable_panels",
    "infer.plots.population": "infer.plots.population_bands",
    "infer.plots.surface": "infer.plots.dose_surface",
    "infer.population": "infer.doses.population",
    "infer.posterior_file": "infer.posterior.file",
    "infer.predict": "infer.prediction.assay_curves",
    "infer.prediction.curves": "infer.prediction.assay_curves",
    "infer.problem.numpyro_model": "infer.problem.numpyro_bridge",
    "infer.reporting": "infer.reports.calibration",
    "infer.sample": "infer.sampling.nuts",
    "infer.solver_choice": "infer.checks.solver_choice",
    "infer.store": "infer.sampling.store",
    "infer.summary": "infer.posterior.summary",
    "later": "late_imports",
    "models.expressions": "models.networks.formulas",
    "models.model": "models.compiled.model",
    "models.network": "models.networks.network",
    "models.protocol": "models.protocols.protocol",
    "models.reverse_only": "models.solvers.derivatives",
    "models.sbml_read": "models.networks.sbml_read",
    "models.settings": "models.solvers.settings",
    "models.simulate": "models.simulation",
    "models.solvers.fused.build": "models.solvers.fused.compilation",
    "models.solvers.reference.inverse": "models.solvers.reference.gauss_jordan",
    "models.status": "models.solvers.status",
}


# Names that have left the module of today, too, or have another name there.
ELSEWHERE = {
    ("data.composition", "composition"): "moved.composition",
    ("data.composition", "seen"): "moved.seen",
    ("data.problems", "Problem"): "data.files.issues.Issue",
    ("data.problems", "Problems"): "data.files.issues.Issues",
    ("infer.fit", "Fit"): "infer.result.Calibration",
    ("infer.optimise", "Fits"): "infer.optimisation.fits.Fits",
    ("infer.posterior_file", "read"): "infer.read_datatree",
    ("infer.posterior_file", "save"): "infer.save_datatree",
    ("infer.population", "Correlation"): "models.variation.Correlation",
    ("infer.population", "Population"): "infer.doses.result.DoseResponse",
    ("infer.population", "SERUM"): "models.library.serum.SERUM",
    ("infer.population", "Spread"): "models.variation.Spread",
    ("infer.population", "lognormal_factors"): "models.variation.lognormal_factors",
    ("infer.population", "virtual_population"): "moved.virtual_population",
    ("infer.reporting", "posterior_tree"): "moved.posterior_tree",
    ("infer.sample", "Draws"): "infer.sampling.draws.Draws",
    ("models.model", "compile_network"): "models.compiled.from_network.compile_network",
}
# Old names of `hexamer.infer`.
OF_INFER = {
    "Fit": "infer.Calibration",
    "Population": "infer.doses.result.DoseResponse",
    "read": "infer.read_datatree",
    "save": "infer.save_datatree",
    "virtual_population": "moved.virtual_population",
}


class _Moved(ModuleType):
    """Stands in `sys.modules` under the old name. The module of today is imported when something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        old = self.__name__.removeprefix("hexamer.")
        today = ELSEWHERE.get((old, name), f"{MOVED[old]}.{name}")
        value = _look_up(today)
        if not any(value is function for function in WARNING):
            _warn(self.__name__, f"hexamer.{today.rpartition('.')[0]}")
        return value


# Old attributes of classes: the class, the attribute, the function of today.
METHODS = [
    ("infer.Problem", "load", "infer.load_problem"),
    ("infer.Problem", "numpyro_model", "infer.problem.numpyro_bridge.numpyro_model"),
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
# Attributes with another name: class, old name, name of today. Modules that `import hexamer` does not import call
# `rename_attribute` themselves.
ATTRIBUTES = [
    ("data.TableError", "problems", "issues"),
    ("models.Model", "at_rest", "for_steady_state"),
]
# Parameters with another name: the class or module, the function, the old name, the name of today.
PARAMETERS = [
    ("data", "complexes", "given", "stated"),
    ("models.Settings", "restored", "given", "solver"),
]
# Old attributes of draws, now among their facts.
OPTIONS = ("engine", "memory", "record", "threads")  # old attributes of settings, now those of their solver
FACTS = {"max_tree_depth": "max_tree_depth", "warmup_steps": "warmup_leapfrogs"}


def _warn(old: str, new: str) -> None:
    warn(f"{old} is now {new}; the old name goes with the next release", DeprecationWarning, stacklevel=3)


def _look_up(name: str) -> Any:
    module, _, attribute = f"hexamer.{name}".rpartition(".")
    return getattr(import_module(module), attribute)


def _alias_of(old: str, new: str) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        _warn(old, f"hexamer.{new}")
        return _look_up(new)(*arguments, **options)  # looked up when it is called: what it needs may be slow to import

    call.__doc__ = f"The old name of `hexamer.{new}`."
    return call


def rename_attribute(owner: type, old: str, new: str) -> None:
    """Lets the attribute `new` of a class be read by its old name, too."""

    def read(instance: Any) -> Any:
        _warn(f"{owner.__name__}.{old}", f"{owner.__name__}.{new}")
        return getattr(instance, new)

    setattr(owner, old, property(read))


def rename_names(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """A `__getattr__` for a module in which `names`, the old ones, are called after today's: their names in hexamer."""

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}", name=name, obj=sys.modules[module])
        _warn(f"{module}.{name}", f"hexamer.{names[name]}")
        return _look_up(names[name])

    return get


def rename_argument(owner: type, old: str, new: str) -> None:
    """Lets a class be made with the argument `new` by its old name, too."""
    owner.__init__ = _accept_old_name(owner.__init__, owner.__name__, old, new)


def _accept_old_name(function: Callable[..., Any], name: str, old: str, new: str) -> Callable[..., Any]:
    """`function` that takes the parameter `new` also by its old name."""

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        if old in options:
            _warn(f"{name}({old}=...)", f"{name}({new}=...)")
            options[new] = options.pop(old)
        return function(*arguments, **options)

    return call


def composition(network: Any, given: Any = None) -> Any:
    """The old name of `hexamer.data.parts_by_species`."""
    _warn("hexamer.data.composition", "hexamer.data.parts_by_species")
    return _look_up("data.parts_by_species")(network, given)


def seen(network: Any, part: str, **options: Any) -> Any:
    """The old name of `hexamer.data.total_concentration`."""
    _warn("hexamer.data.seen", "hexamer.data.total_concentration")
    return _look_up("data.total_concentration")(network, part, **options)


def _of_data(name: str) -> Any:
    """Names that `hexamer.data` had."""
    if name in ("composition", "seen"):
        return {"composition": composition, "seen": seen}[name]  # which warn when they are called
    if name == "Problem":
        _warn("hexamer.data.Problem", "hexamer.data.Issue")
        return _look_up("data.Issue")
    package = sys.modules["hexamer.data"]
    raise AttributeError(f"module {package.__name__!r} has no attribute {name!r}", name=name, obj=package)


def _fact(name: str, fact: str) -> Callable[[Any], Any]:
    def read(draws: Any) -> Any:
        _warn(f"Draws.{name}", f"Draws.facts[{fact!r}]")
        return draws.facts[fact]

    return read


def _option(name: str) -> Callable[[Any], Any]:
    def read(settings: Any) -> Any:
        _warn(f"Settings.{name}", "the class of Settings.solver" if name == "engine" else f"Settings.fused.{name}")
        return settings.stored()[name]

    return read


def posterior_tree(fit: Any, *, predictive: bool = True) -> Any:
    """The old name of `Calibration.datatree`."""
    return fit.datatree(predictive=predictive)


def virtual_population(
    source: Any,
    ligand: str,
    doses: Any,
    varies: Any,
    *,
    size: int = 1000,
    seed: int = 0,
    correlation: Any = 0.0,
    **options: Any,
) -> Any:
    """The old name of `hexamer.infer.dose_response` of an ensemble that `vary` made a population."""
    _warn("hexamer.infer.virtual_population", "hexamer.infer.dose_response(Ensemble.vary(...), ...)")
    of_source = {n: options.pop(n) for n in ("parameters", "model") if n in options}
    masses = options.get("molar_mass")
    ensemble = _look_up("infer.doses.ensemble.ensemble_of")(source, **of_source, draws=options.pop("draws", 20))
    varied = ensemble.vary(
        varies,
        size=size,
        seed=seed,
        correlation=correlation,
        molar_mass=masses if isinstance(masses, Mapping) else None,
    )
    return _look_up("infer.dose_response")(varied, ligand, doses, **options)


WARNING = (composition, seen, virtual_population)  # which warn when they are called


def _renamed_or(others: Callable[[str], Any]) -> Callable[[str], Any]:
    """Names that `hexamer.infer` had; `others` knows those of today that are imported when they are needed."""

    def get(name: str) -> Any:
        if name not in OF_INFER:
            return others(name)
        value = _look_up(OF_INFER[name])
        if not any(value is function for function in WARNING):
            _warn(f"hexamer.infer.{name}", f"hexamer.{OF_INFER[name]}")
        return value

    return get


def _bundled_or(others: Callable[[str], Any]) -> Callable[[str], Any]:
    """Bundled networks were attributes of `hexamer.models`, compiled when looked at; `others` knows all other names."""

    def get(name: str) -> Any:
        if name not in _look_up("models.bundled")():
            return others(name)
        _warn(f"hexamer.models.{name}", f"hexamer.load_model({name!r})")
        return _compiled(name)

    return get


@cache
def _compiled(name: str) -> Any:
    return _look_up("models.load_model")(name)


def register() -> None:
    """Makes the old names importable, and the old attributes of classes and of `hexamer.models` readable."""
    for owner, name, new in METHODS:
        call = _alias_of(f"{owner.rpartition('.')[2]}.{name}", new)
        setattr(_look_up(owner), name, call if name in ("numpyro_model", "to_sbml") else staticmethod(call))
    for owner, name, new in PROPERTIES:
        setattr(_look_up(owner), name, property(_alias_of(f"{owner.rpartition('.')[2]}.{name}", new)))
    for owner, name, new in ATTRIBUTES:
        rename_attribute(_look_up(owner), name, new)
    for owner, function, name, new in PARAMETERS:
        call = _accept_old_name(getattr(_look_up(owner), function), f"hexamer.{owner}.{function}", name, new)
        setattr(_look_up(owner), function, call if owner == "data" else staticmethod(call))
    import_module("hexamer.data").__dict__["__getattr__"] = _of_data
    for name, fact in FACTS.items():
        setattr(_look_up("infer.Draws"), name, property(_fact(name, fact)))
    for name in OPTIONS:
        setattr(_look_up("models.Settings"), name, property(_option(name)))
    for module, knowing in (("models", _bundled_or), ("infer", _renamed_or)):
        names = import_module(f"hexamer.{module}").__dict__
        names["__getattr__"] = knowing(names["__getattr__"])
    for old in MOVED:
        sys.modules.setdefault(f"hexamer.{old}", _Moved(f"hexamer.{old}"))
