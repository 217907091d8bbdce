"""The YAML file of a PEtab v1 problem: the files that it names, once it is known that all of that can be read.

Source: PEtab v1 data format, https://petab.readthedocs.io/en/latest/v1/documentation_data_format.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .yaml_file import Files, entries_of, unknown_key, unreadable

if TYPE_CHECKING:
    import jsonschema


def files_of_v1(path: Path, config: Mapping[str, Any]) -> Files:
    """The files that the YAML file names. Refuses by name what this reader does not support."""
    if issues := _unsupported(config) or _malformed(config):
        raise unreadable(path, issues)
    tables, part = config["parameter_file"], config["problems"][0]
    named = {
        "condition": part["condition_files"],
        "observable": part["observable_files"],
        "measurement": part["measurement_files"],
        "parameter": [*tables] if isinstance(tables, list) else [tables],
    }
    return Files(
        version=1,
        path=path,
        model=part["sbml_files"][0],
        model_id="",
        tables={kind: [path.parent / file for file in files] for kind, files in named.items()},  # pyright: ignore[reportArgumentType]
        notes=("visualization tables are not read",) if part.get("visualization_files") else (),
    )


def _unsupported(config: Mapping[str, Any]) -> list[str]:
    """Features of PEtab YAML files that this reader does not support."""
    messages: list[str] = []
    if config.get("extensions"):
        messages.append(f"PEtab extensions are not supported: {', '.join(map(str, config['extensions']))}")
    parts = config.get("problems")
    parts = parts if isinstance(parts, list) else []
    if len(parts) > 1:
        messages.append(f"it holds {len(parts)} problems: give each a YAML file of its own")
    for part in (p for p in parts if isinstance(p, dict)):
        if mappings := entries_of(part.get("mapping_files")):
            messages.append(f"mapping tables are not supported: {', '.join(mappings)}")
        models = part.get("model_files")
        for name, model in models.items() if isinstance(models, dict) else ():
            language = model.get("language") if isinstance(model, dict) else None
            messages.append(f"model {name!r} in language {language!r}: only SBML is supported")
        files = entries_of(part.get("sbml_files"))
        if len(files) > 1:
            messages.append(f"it names {len(files)} models, {', '.join(files)}: only one is supported")
    return messages


_KEYS = ("format_version", "parameter_file", "problems", "extensions")
_PART = ("sbml_files", "measurement_files", "condition_files", "observable_files", "visualization_files")
_UNREAD = ("mapping_files", "model_files")  # refused by name
_TYPES = {"array": "a list, such as [name.tsv]", "object": "keys and values", "string": "text", "integer": "a number"}


def _unknown_keys(config: Mapping[str, Any]) -> list[str]:
    """Keys that PEtab v1 does not have, with the nearest that it has."""
    parts = config.get("problems")
    first = parts[0] if isinstance(parts, list) and parts and isinstance(parts[0], dict) else {}
    unknown = [("", key, _KEYS) for key in config if key not in _KEYS]
    unknown += [("problems/0/", key, _PART) for key in first if key not in (*_PART, *_UNREAD)]
    return [unknown_key(key, where, known) for where, key, known in unknown]


def _expected(error: jsonschema.ValidationError) -> str:
    """The keys or the type that PEtab's schema expects, in words."""
    if error.validator == "required":
        missing = [k for k in cast(list[str], error.validator_value) if k not in cast(dict, error.instance)]
        return f"missing {'key' if len(missing) == 1 else 'keys'} {', '.join(missing)}"
    if error.validator == "type":
        return f"expected {_TYPES.get(str(error.validator_value), error.validator_value)}"
    return "expected what PEtab v1 has there, see its documentation of the YAML file"


def _malformed(config: Mapping[str, Any]) -> list[str]:
    """Where the YAML file departs from PEtab's schema."""
    import jsonschema
    from petab.v1.yaml import validate_yaml_syntax

    if strange := _unknown_keys(config):
        return strange
    try:
        validate_yaml_syntax(dict(config))
    except jsonschema.ValidationError as error:
        where = "/".join(str(key) for key in error.absolute_path) or "top level"
        return [f"YAML file, {where}: {_expected(error)}"]
    if not config["problems"]:
        return ["YAML file: it holds no problem"]
    tables = config["parameter_file"]
    if not tables or (isinstance(tables, list) and not all(isinstance(t, str) for t in tables)):
        return [f"YAML file, parameter_file: {tables!r}; expected the name of a file, or a list of names"]
    files = config["problems"][0].items()
    return [f"YAML file: {key} names no file" for key, named in files if key != "visualization_files" and not named]
