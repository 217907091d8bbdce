"""Networks and models by name or by file: the one place that knows both the formats and the library."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .library.catalogue import bundled, find
from .library.constants import drugs
from .library.facts import with_facts
from .listing import did_you_mean
from .networks.antimony_read import read_antimony
from .networks.copasi import read_copasi
from .networks.network import Network
from .networks.sbml_read import read_sbml

if TYPE_CHECKING:
    from .compiled.model import Model

READERS: Mapping[str, Callable[[Path], Network]] = {
    ".ant": read_antimony,
    ".xml": read_sbml,
    ".sbml": read_sbml,
    ".cps": read_copasi,
}


def load_network(source: str | Path) -> Network:
    """A reaction network: a bundled one by name, or a file.

    What the library knows of names that stand in the network (`Network.facts`), such as molar masses, comes with it,
    from a file, too.

    Parameters
    ----------
    source : str or path
        A name, such as `il6_stat3`, or a file: Antimony (`.ant`), SBML (`.xml`, `.sbml`) or COPASI (`.cps`,
        which needs the extra `hexamer[copasi]`). A name may compose modules, drugs and a cell type:
        `il6_stat3+tocilizumab+T_cell`.

    Returns
    -------
    Network
        The network.

    Raises
    ------
    ValueError
        For an unknown name or part.
    FileNotFoundError
        For a missing file.
    UnsupportedModelError
        For a file that cannot be read whole.
    ImportError
        For a COPASI file without copasi-basico.

    Examples
    --------
    >>> len(load_network("hepg2_core").species)
    12
    """
    path = Path(source)
    if path.suffix not in READERS:
        if (network := find(str(source))) is not None:
            return network
        raise ValueError(
            f"unknown network {str(source)!r}: give one of {', '.join(bundled())}, parts joined by '+', "
            f"or a file ending in .ant, .xml, .sbml or .cps{did_you_mean(str(source), bundled())}"
        )
    if not path.is_file():
        raise FileNotFoundError(f"there is no network file {path}")
    return with_facts(READERS[path.suffix](path))


def load_model(source: str | Path | Network, *, independent: Collection[str] = ()) -> Model:
    """A network compiled for simulation.

    Parameters
    ----------
    source : str, path or Network
        A name or a file, as for `load_network`, or a `Network`.
    independent : collection of str
        Parameters that an initial assignment would compute, and that are to be independent; see `compile_network`.

    Returns
    -------
    Model
        The compiled model.

    Raises
    ------
    ValueError, FileNotFoundError, UnsupportedModelError
        As `load_network` and `compile_network` do.

    Examples
    --------
    >>> load_model("il6_stat3").species[:3]
    ('IL6', 'IL6R', 'gp130')
    """
    from .compiled.from_network import compile_network  # needs JAX, which takes half a second to import

    network = source if isinstance(source, Network) else load_network(source)
    return compile_network(network, independent=independent)


def model_with(drug: str) -> str | None:
    """The name of a bundled model with a drug; None if the library does not have the drug.

    >>> model_with("siltuximab")
    'il6_stat3+siltuximab'
    """
    return f"il6_stat3+{drug}" if drug in drugs() else None
