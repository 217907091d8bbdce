"""The assays that `problem.toml` may name: a line for each."""

from __future__ import annotations

from collections.abc import Mapping

from .assay import Assay
from .blot import BLOT, BLOT_RATIO
from .coip import COIP
from .copy_number import COPY_NUMBER
from .direct import DIRECT
from .elisa import ELISA
from .flow import FLOW_CYTOMETRY, LUMINEX
from .log10_reading import LOG10_READING
from .luciferase import LUCIFERASE
from .mass_spec import PHOSPHORYLATION_DEGREE
from .qpcr import QPCR, QPCR_CT

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
)

ASSAYS: Mapping[str, Assay] = {assay.name: assay for assay in _ALL}
