"""Reads a PEtab problem, of version 1 or 2, as a data set."""

from __future__ import annotations

from pathlib import Path

from ..dataset import Dataset
from .experiments import Courses
from .tables import Tables
from .yaml_file import Files, read_yaml, unreadable


def read_petab(path: str | Path) -> Dataset:
    """The PEtab problem whose YAML file lies at `path`, with its parameters and the path of its model.

    Of v1, each pair of pre-equilibration and simulation condition that a measurement names becomes a protocol, called
    after them; of v2, each experiment. Measurements at time inf have a protocol of their own, whose cells are in steady
    state. A parameter's prior is truncated by its bounds; if the table gives none it is uniform within the bounds, on
    the parameter's scale in v1 and on the linear scale in v2, and `Dataset.notes` says so. PEtab v2 has no scales of
    parameters: one whose prior, or bounds, are above 0 and span two decades or more is searched on a logarithmic
    scale. `Measurement.experiment` joins the ids of data set and replicate. With several measurement files, rows count
    on from one to the next.

    Raises ValueError, with all that was found, for a problem that is not sound and for what is not supported: PEtab
    extensions that are required, several problems or models, models other than SBML, v1's mapping tables, and changes
    by a formula of the state other than a sum with what is changed. FileNotFoundError lists the files that are missing.
    """
    path = Path(path).resolve()
    files = _files(path)
    files.check()
    tables = _tables(files)
    courses = Courses(tables)
    measurements = tuple(courses.placed(m) for m in tables.measurements)
    if courses.problems:
        raise unreadable(path, courses.problems)
    return Dataset(
        name=path.stem.lstrip("_"),
        observables=tables.observables,
        protocols=courses.protocols,
        measurements=measurements,
        tables=tables.files,
        parameters=tables.parameters,
        derived=courses.derived,
        continued=courses.continued,
        model=str(tables.model),
        source=f"PEtab v{tables.version} problem {path.name}",
        time_unit="",  # PEtab states none: times and concentrations are in the model's units by definition
        notes=(*tables.notes, *courses.notes),
    )


def _files(path: Path) -> Files:
    config = read_yaml(path)
    looks_new = "model_files" in config
    version = str(config.get("format_version", "2" if looks_new else "1" if "problems" in config else "missing"))
    match version.split(".")[0]:
        case "1":
            from .v1_yaml import files_of_v1

            return files_of_v1(path, config)
        case "2":
            from .v2_yaml import files_of_v2

            return files_of_v2(path, config)
    raise unreadable(path, [f"format_version is {version}: PEtab v1 and v2 are supported"])


def _tables(files: Files) -> Tables:
    if files.version == 1:
        from .v1 import read_v1

        return read_v1(files)
    from .v2 import read_v2

    return read_v2(files)
