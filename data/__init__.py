"""What was measured: tables of measurements and conditions, their units, their checks."""

from .assays import (
    blot,
    blot_ratio,
    coip,
    copy_number,
    direct,
    elisa,
    flow_cytometry,
    log10_expression,
    log10_reading,
    logit,
    luciferase,
    luminex,
    phosphorylation_degree,
    qpcr,
)
from .assays.standard_curve import ReadBack, StandardCurve, StandardCurveError, fit_standard_curve
from .catalogue import bundled, load
from .dataset import Censored, Dataset, Measurement, Observable
from .errors import AssayError
from .files.issues import Problem, TableError
from .formula import FormulaError, parse_formula
from .literature import literature
from .native.folder import read_folder
from .native.prior_table import PriorTable, read_priors
from .native.values import read_values
from .noise import Noise, noise_of
from .parameter import Parameter
from .prior import Prior
from .published import DataNotFound, Published
from .quantities.composition import complexes, parts_by_species, total_concentration
from .quantities.units import UnitError, to_model
from .scale import Scale, to_scale

__all__ = [
    "AssayError",
    "Censored",
    "DataNotFound",
    "Dataset",
    "FormulaError",
    "Measurement",
    "Noise",
    "Observable",
    "Parameter",
    "Prior",
    "PriorTable",
    "Problem",
    "Published",
    "ReadBack",
    "Scale",
    "StandardCurve",
    "StandardCurveError",
    "TableError",
    "UnitError",
    "blot",
    "blot_ratio",
    "bundled",
    "coip",
    "complexes",
    "copy_number",
    "direct",
    "elisa",
    "fit_standard_curve",
    "flow_cytometry",
    "literature",
    "load",
    "log10_expression",
    "log10_reading",
    "logit",
    "luciferase",
    "luminex",
    "noise_of",
    "parse_formula",
    "parts_by_species",
    "phosphorylation_degree",
    "qpcr",
    "read_folder",
    "read_priors",
    "read_values",
    "to_model",
    "to_scale",
    "total_concentration",
]
