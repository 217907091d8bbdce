"""COPASI's own files (.cps), read through the SBML that COPASI writes of them."""

from __future__ import annotations

from pathlib import Path

from .network import Network, UnsupportedModelError
from .sbml_read import read_sbml

_WAY_OUT = "or export SBML in COPASI (menu File, Export SBML) and give that file"


def read_copasi(file: str | Path) -> Network:
    """A `Network` from a COPASI file. Needs the extra `hexamer[copasi]`.

    Names are those that COPASI gives in SBML: what SBML does not allow in a name becomes `_`, so `IL-6` is `IL_6`. A
    reaction's own parameter `k1` is called `bind_k1` if the reaction is called `bind`. Tasks of the file, such as
    parameter estimation, and its measured data are not read.

    Parameters
    ----------
    file : str or path
        The file (`.cps`).

    Returns
    -------
    Network
        The network, without the library's facts.

    Raises
    ------
    ImportError
        If copasi-basico is not installed.
    UnsupportedModelError
        If COPASI cannot read the file or write it as SBML, or for what `read_sbml` refuses.
    FileNotFoundError
        For a missing file.
    """
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"there is no COPASI file {path}")
    return read_sbml(_as_sbml(path), str(path))


def _as_sbml(path: Path) -> str:
    try:
        import basico
    except ImportError:
        raise ImportError(
            f"{path} can be read once copasi-basico is installed: pip install 'hexamer[copasi]', {_WAY_OUT}"
        ) from None
    if (model := basico.load_model(str(path))) is None:
        raise UnsupportedModelError(f"{path} cannot be read by COPASI {basico.__version__}: save it anew in COPASI")
    try:
        text = basico.save_model_to_string(type="sbml", model=model)
    finally:
        basico.remove_datamodel(model)
    if not text:
        raise UnsupportedModelError(f"{path}: COPASI cannot write this model as SBML: see its menu File, Export SBML")
    return text
