"""Named assays: what the instruments of the bench read of a model, as formulas with their noise.

A scale that differs from gel to gel or plate to plate is the placeholder `scale`, a background that does is
`offset`; each row names the parameter that fills it. A standard deviation that each row brings along is `sd`.
"""

from .blot import blot, blot_ratio
from .coip import coip
from .copy_number import copy_number
from .direct import direct
from .elisa import elisa
from .flow import flow_cytometry, luminex
from .log10_reading import log10_reading
from .luciferase import luciferase
from .mass_spec import logit, phosphorylation_degree
from .parts import OFFSET, SCALE, SD, AssayError
from .qpcr import log10_expression, qpcr

__all__ = [
    "OFFSET",
    "SCALE",
    "SD",
    "AssayError",
    "blot",
    "blot_ratio",
    "coip",
    "copy_number",
    "direct",
    "elisa",
    "flow_cytometry",
    "log10_expression",
    "log10_reading",
    "logit",
    "luciferase",
    "luminex",
    "phosphorylation_degree",
    "qpcr",
]
