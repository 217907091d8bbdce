"""Models that are made of parts (SBML's package `comp`): libsbml puts them together, into one model without parts.

What lies in the part `A` is called `A__name` then.
"""

from __future__ import annotations

from pathlib import Path

import libsbml

from ..listing import listed
from .network import UnsupportedModelError


def flatten(document: libsbml.SBMLDocument, where: str) -> None:
    """Puts the parts of a document together, in place.

    Raises `UnsupportedModelError` if libsbml cannot, as for a part in a file that is not there.
    """
    before = document.getNumErrors()
    options = libsbml.ConversionProperties()
    options.addOption("flatten comp", True)
    options.addOption("performValidation", False)
    options.addOption("leavePorts", False)
    options.addOption("abortIfUnflattenable", "none")
    if document.convert(options) == libsbml.LIBSBML_OPERATION_SUCCESS and document.getPlugin("comp") is None:
        return
    errors = [document.getError(i) for i in range(before, document.getNumErrors())]
    reasons = [" ".join(e.getMessage().split()) for e in errors if e.getSeverity() >= libsbml.LIBSBML_SEV_ERROR]
    missing = _missing(document)
    way_out = (
        f"put the file {listed(missing)} into the folder of the model"
        if missing
        else "join the parts in the program that wrote them, and save the model without this package"
    )
    raise UnsupportedModelError(
        f"{where} has parts (package 'comp') that libsbml does not put together: {way_out}\n  "
        + "\n  ".join(reasons[:5] or ["it does not say why"])
    )


def _missing(document: libsbml.SBMLDocument) -> list[str]:
    """The files of parts that are not there; those that are addresses (`https:…`, `urn:…`) count as missing, too."""
    plugin, folder = document.getPlugin("comp"), Path(document.getLocationURI().removeprefix("file:")).parent
    parts = [] if plugin is None else plugin.getListOfExternalModelDefinitions()
    return [source for part in parts if not (folder / (source := part.getSource())).is_file()]


__all__ = ["flatten"]
