"""Networks of IL-6 signalling, composed of modules written in Antimony."""

from __future__ import annotations

from importlib.resources import files

from .compose import compose

COMPOSITIONS: dict[str, tuple[str, ...]] = {"il6_stat3": ("receptor", "stat3")}
STANDALONE = ("hepg2_core",)


def bundled() -> tuple[str, ...]:
    """Names of the bundled networks."""
    return (*COMPOSITIONS, *STANDALONE)


def antimony_of(name: str) -> str:
    """The Antimony text of a bundled network."""
    if name in COMPOSITIONS:
        return compose(list(COMPOSITIONS[name])).replace("model " + "_".join(COMPOSITIONS[name]), f"model {name}", 1)
    if name in STANDALONE:
        return files(__name__).joinpath("cores", f"{name}.ant").read_text()
    raise ValueError(f"unknown network {name!r}; bundled: {', '.join(bundled())}")
