"""The arms of IL-6 signalling, what closes each, and what signals besides them."""

from __future__ import annotations

from collections.abc import Mapping

# An arm is closed where its complex of IL-6 and receptor no longer binds gp130. kon2 is also that of soluble gp130,
# which then holds no complex: what is closed is all that the soluble complex does.
CLOSED: Mapping[str, Mapping[str, float]] = {"classic": {"kon2m": 0.0}, "trans": {"kon2": 0.0}}
"""By arm, the parameters that close it, and their values then."""

_PRESENTED = (
    "a neighbour presents IL-6, through kon2m as classic signalling does, and nothing closes classic signalling alone: "
    "say by closed= what closes each arm, such as {'classic': {'IL6R_0': 0}, 'trans': {'kon2': 0}, 'cluster': "
    "{'contact': 0}}, where IL6R_0 also takes away what the cells shed"
)
_FUSED = (
    "it needs neither receptor, and binds gp130 with kon2 as trans signalling does, which would count it as that: give "
    "IL6 alone, or say by closed= what closes each arm"
)
BESIDES: Mapping[str, str] = {
    "contact": _PRESENTED,
    "IL6R_P": _PRESENTED,
    "IL6_IL6R_P": _PRESENTED,
    "HyperIL6": _FUSED,
}
"""By parameter or species: why what closes an arm closes more than that if this one is above 0."""
