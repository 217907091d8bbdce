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
    score,
)
from .assays.standard_curve import ReadBack, StandardCurve, StandardCurveError, fit_standard_curve
from .catalogue import bundled, load
from .dataset import Censored, Dataset, Measurement, Observable
from .earlier_result import EarlierResultError
from .errors import AssayError
from .files.issues import Issue, TableError
from .formula import FormulaError, parse_formula
from .joint_prior import JointPrior
from .literature_table import literature
from .native.folder import read_folder
from .native.prior_table import PriorTable, priors_from_result, read_priors
from .native.values import read_values
from .noise import Noise, noise_of
from .parameter import Parameter
from .prior import Prior
from .published import DataNotFound, Published
from .quantities.composition import complexes, parts_by_species, total_concentration
from .quantities.units import UnitError, to_model
from .scale import Scale, to_scale

# Data sets, and reading them:
__all__ = ["Censored", "DataNotFound", "Dataset", "Measurement", "Observable", "Published"]
__all__ += ["bundled", "literature", "load", "read_folder", "read_values"]
# Parameters:
__all__ += [
    "JointPrior",
    "Noise",
    "Parameter",
    "Prior",
    "PriorTable",
    "Scale",
    "noise_of",
    "priors_from_result",
    "read_priors",
]
__all__ += ["to_scale"]
# Assays:
__all__ += ["blot", "blot_ratio", "coip", "copy_number", "direct", "elisa", "flow_cytometry", "log10_expression"]
__all__ += ["log10_reading", "logit", "luciferase", "luminex", "phosphorylation_degree", "qpcr", "score"]
__all__ += ["ReadBack", "StandardCurve", "fit_standard_curve"]
# Formulas, complexes, units:
__all__ += ["complexes", "parse_formula", "parts_by_species", "to_model", "total_concentration"]
# Errors:
__all__ += [
    "AssayError",
    "EarlierResultError",
    "FormulaError",
    "Issue",
    "StandardCurveError",
    "TableError",
    "UnitError",
]
