"""Named assays: what the instruments of the bench read of a model, as formulas with their noise.

A scale that differs from gel to gel or plate to plate is the placeholder `scale`, a background that does is
`offset`; each row names the parameter that fills it. A standard deviation that each row brings along is `sd`.

`ASSAYS` are those that `problem.toml` may name.
"""

from __future__ import annotations

from collections.abc import Mapping

from .assay import Assay
from .co_immunoprecipitation import COIP, coip
from .copies_per_cell import COPY_NUMBER, copy_number
from .direct_reading import DIRECT, direct
from .flow import FLOW_CYTOMETRY, LUMINEX, flow_cytometry, luminex
from .immunoassay import ELISA, elisa
from .logarithmic_reading import LOG10_READING, log10_reading
from .mass_spec import PHOSPHORYLATION_DEGREE, logit, phosphorylation_degree
from .parts import OFFSET, SCALE, SD, AssayError
from .quantitative_pcr import QPCR, QPCR_CT, log10_expression, qpcr
from .reporter_gene import LUCIFERASE, luciferase
from .scored_bands import SCORE, score
from .western_blot import BLOT, BLOT_RATIO, blot, blot_ratio

_ALL = (
    BLOT,
    QPCR,
    QPCR_CT,
    BLOT_RATIO,
    COIP,
    LUCIFERASE,
    ELISA,
    FLOW_CYTOMETRY,
    LUMINEX,
    PHOSPHORYLATION_DEGREE,
    COPY_NUMBER,
    DIRECT,
    LOG10_READING,
    SCORE,
)
ASSAYS: Mapping[str, Assay] = {assay.name: assay for assay in _ALL}

__all__ = [
    "ASSAYS",
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
    "score",
]
