"""The YAML file of a PEtab v2 problem: the files that it names, once it is known that all of that can be read.

Source: PEtab v2 data format, https://petab.readthedocs.io/en/latest/v2/documentation_data_format.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .table_cells import TableKind
from .yaml_file import Files, unknown_key, unreadable

_REQUIRED = ("parameter_files", "model_files", "measurement_files", "observable_files")
_TABLES: Mapping[str, TableKind] = {
    "condition_files": "condition",
    "experiment_files": "experiment",
    "mapping_files": "mapping",
    "observable_files": "observable",
    "measurement_files": "measurement",
    "parameter_files": "parameter",
}
_KEYS = ("format_version", "id", *_REQUIRED, "condition_files", "experiment_files", "mapping_files", "extensions")
_V1 = {
    "problems": "PEtab v2 has its lists of files at the top level",
    "parameter_file": "PEtab v2 has a list, parameter_files",
    "sbml_files": "PEtab v2 has model_files: {model: {location: model.xml, language: sbml}}",
    "visualization_files": "PEtab v2 has no visualization tables: delete the key",
}
_LIST = "expected a list, such as [name.tsv]"


def files_of_v2(path: Path, config: Mapping[str, Any]) -> Files:
    """What the YAML file names, after refusing by name what this reader does not support."""
    if issues := [*_malformed(config)] or [*_unsupported(config)]:
        raise unreadable(path, issues)
    ((model_id, model),) = config["model_files"].items()
    extensions = config.get("extensions") or {}
    return Files(
        version=2,
        path=path,
        model=model["location"],
        model_id=model_id,
        tables={kind: [path.parent / f for f in config.get(key) or ()] for key, kind in _TABLES.items()},
        notes=(f"PEtab extensions that are not required are not read: {', '.join(extensions)}",) if extensions else (),
    )


def _malformed(config: Mapping[str, Any]) -> Iterator[str]:
    """Where the YAML file departs from PEtab's schema."""
    for key in config:
        if key in _V1:
            yield f"YAML file: unknown key {key!r} at the top level; {_V1[key]}"
        elif key not in _KEYS:
            yield unknown_key(key, "", _KEYS)
    missing = [key for key in _REQUIRED if key not in config]
    if missing:
        yield f"YAML file, top level: missing {'key' if len(missing) == 1 else 'keys'} {', '.join(missing)}"
    for key in (k for k in _TABLES if config.get(k) is not None):
        if not (isinstance(config[key], list) and all(isinstance(file, str) for file in config[key])):
            yield f"YAML file, {key}: {_LIST}"
    for key in (k for k in _REQUIRED if k in config and not config[k]):
        yield f"YAML file: {key} names no file"
    models = config.get("model_files")
    if models and not isinstance(models, dict):
        yield "YAML file, model_files: expected keys and values, such as {model: {location: model.xml, language: sbml}}"
    for name, model in models.items() if isinstance(models, dict) else ():
        lacking = [
            k for k in ("location", "language") if not (isinstance(model, dict) and isinstance(model.get(k), str))
        ]
        if lacking:
            yield f"YAML file, model_files/{name}: missing {' and '.join(lacking)}, which are text"
    if not isinstance(config.get("extensions") or {}, dict):
        yield "YAML file, extensions: expected keys and values"


def _unsupported(config: Mapping[str, Any]) -> Iterator[str]:
    """What a PEtab YAML file may ask for and this reader does not support."""
    for name, extension in (config.get("extensions") or {}).items():
        if not isinstance(extension, dict) or extension.get("required", True):
            yield f"PEtab extensions that are required are not supported: {name}"
    models = config["model_files"]
    if len(models) > 1:
        yield f"it names {len(models)} models, {', '.join(models)}: only one is supported"
    for name, model in models.items():
        if model["language"].lower() != "sbml":
            yield f"model {name!r} in language {model['language']!r}: only SBML is supported"
