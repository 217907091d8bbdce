"""COPASI's own files (.cps), read through the SBML that COPASI writes of them."""

from __future__ import annotations

import locale
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import libsbml

from ..listing import listed
from .network import Network, UnsupportedModelError
from .sbml_read import read_sbml

log = logging.getLogger(__name__)

_LEVEL, _VERSION = 3, 1  # in level 2, all events persist, and none fires at the start
_NAMED = 5  # species that a note lists
_WAY_OUT = "or export SBML in COPASI (menu File, Export SBML) and give that file"
_UNSAID = "nothing; see its menu File, Export SBML"


def read_copasi(file: str | Path) -> Network:
    """A `Network` from a COPASI file. Needs the extra `hexamer[copasi]`.

    Names are those that COPASI gives in SBML: what SBML does not allow in a name becomes `_`, so `IL-6` is `IL_6`. A
    reaction's own parameter `k1` is called `bind_k1` if the reaction is called `bind`. Tasks of the file, such as
    parameter estimation, and its measured data are not read.

    In a compartment whose volume is a formula, or changes, COPASI writes species as amounts; a note names them. Their
    names then are amounts, also where COPASI shows a concentration.

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
    network = read_sbml(_as_sbml(path), str(path))
    if amounts := {n: s.compartment for n, s in network.species.items() if s.amount}:
        name, volume = next(iter(amounts.items()))
        log.warning(
            "%s: COPASI writes %s as amounts here, not concentrations: the concentration of %s is %s/%s",
            *(path, listed(list(amounts), _NAMED), name, name, volume),
        )
    return network


@contextmanager
def kept_locale() -> Iterator[None]:
    """COPASI sets the locale C, after which Python would read and write files as ASCII; here it is set back."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        yield
    finally:
        locale.setlocale(locale.LC_ALL, before)


@kept_locale()
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
        text = basico.save_model_to_string(type="sbml", model=model, sbml_level=_LEVEL, sbml_version=_VERSION)
        why = "" if text else _said()
        events = basico.get_events(model=model)
        priorities = {} if events is None else {str(n): str(p) for n, p in events["priority"].items()}
    finally:
        basico.remove_datamodel(model)
    if not text:
        raise UnsupportedModelError(
            f"{path}: COPASI cannot write this model as SBML, which hexamer needs; it says:\n  {why or _UNSAID}"
        )
    return _with_priorities(text, priorities, path) if any(priorities.values()) else text


def _with_priorities(text: str, priorities: dict[str, str], path: Path) -> str:
    """The SBML with the events' priorities, by the events' names in COPASI, which leaves them out."""
    document = libsbml.readSBMLFromString(text)
    for event in document.getModel().getListOfEvents():
        if priority := priorities.get(event.getName()):
            try:
                float(priority)
            except ValueError:
                what = f"{path}: the event {event.getName()} has the priority {priority}"
                raise UnsupportedModelError(f"{what}, which COPASI does not write as SBML: make it a number") from None
            event.createPriority().setMath(libsbml.parseL3Formula(priority))
    return libsbml.writeSBMLToString(document)


def _said() -> str:
    """What COPASI says of the last thing that it did, without its headings, which have the time."""
    from COPASI import CCopasiMessage

    lines = [line.strip() for line in CCopasiMessage.getAllMessageText().splitlines()]
    return "\n  ".join(line for line in lines if line and not line.startswith(">"))
