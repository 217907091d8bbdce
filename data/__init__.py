"""What was measured: tables of measurements and conditions, their units, their checks."""

from .assays import blot, copy_number, direct, qpcr
from .catalogue import bundled, load
from .dataset import Dataset, Measurement, Noise, Observable
from .folder import read_folder
from .formula import FormulaError, parse_formula
from .literature import literature
from .parameter import Parameter, Prior, Scale, to_scale
from .priors import PriorTable, read_priors
from .problems import Problem, TableError
from .published import DataNotFound, Published
from .units import UnitError, to_model
from .values import read_values

__all__ = [
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
    "Scale",
    "TableError",
    "UnitError",
    "blot",
    "bundled",
    "copy_number",
    "direct",
    "literature",
    "load",
    "parse_formula",
    "qpcr",
    "read_folder",
    "read_priors",
    "read_values",
    "to_model",
    "to_scale",
]
