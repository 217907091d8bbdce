"""The YAML file of a PEtab v1 problem: what it names, once it is known that all of that can be read.

Source: PEtab v1 data format, https://petab.readthedocs.io/en/latest/v1/documentation_data_format.html.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml

from ..files.issues import Issues
from ..files.text_file import read_text
from ..native.coverage import near
from .cells import Kind

if TYPE_CHECKING:
    import jsonschema


def unreadable(path: Path, issues: list[str]) -> ValueError:
    rows = " (row 1 is the first below the header)" if any(", row " in p for p in issues) else ""
    return ValueError(f"the PEtab problem {path} cannot be read{rows}:\n  " + "\n  ".join(issues))


def read_configuration(path: Path) -> dict[str, Any]:
    """The content of the YAML file, after refusing by name what this reader does not support."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no PEtab problem at {path}: give the path of its YAML file")
    config = _yaml(path)
    if issues := _unsupported(config) or _malformed(config):
        raise unreadable(path, issues)
    files = [file for named in table_files(path, config).values() for file in named]
    files = [path.parent / file for file in config["problems"][0]["sbml_files"]] + files
    if missing := [os.path.relpath(file, path.parent) for file in files if not file.exists()]:
        raise FileNotFoundError(f"the PEtab problem {path} names missing files: {', '.join(missing)}")
    if twice := _listed_twice(path, config):
        raise unreadable(path, twice)
    if folders := [os.path.relpath(file, path.parent) for file in files if not file.is_file()]:
        raise unreadable(path, [f"{name} is a folder; expected a file" for name in folders])
    return config


def table_files(path: Path, config: Mapping[str, Any]) -> dict[Kind, list[Path]]:
    tables, part = config["parameter_file"], config["problems"][0]
    named: dict[Kind, list[str]] = {
        "condition": part["condition_files"],
        "observable": part["observable_files"],
        "measurement": part["measurement_files"],
        "parameter": [*tables] if isinstance(tables, list) else [tables],
    }
    return {kind: [path.parent / file for file in files] for kind, files in named.items()}


def _listed_twice(path: Path, config: Mapping[str, Any]) -> list[str]:
    """Tables that would count twice, also under two names."""
    issues, first = [], {}
    for kind, files in table_files(path, config).items():
        for file in files:
            name, other = os.path.relpath(file, path.parent), first.setdefault((kind, os.path.realpath(file)), file)
            if other is not file:
                same = "" if str(other) == str(file) else f", also as {os.path.relpath(other, path.parent)}"
                issues.append(f"the YAML file lists the {kind} table {name} twice{same}: keep it once")
    return issues


class _Loader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, where the standard lets the last one win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in keys:
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark)
            if isinstance(key, str):
                keys.add(key)
        return super().construct_mapping(node, deep)


def _yaml(path: Path) -> dict[str, Any]:
    issues = Issues("")
    text = read_text(path, issues)
    if text is None:
        raise unreadable(path, [*map(str, issues.entries)])
    try:
        config = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = "" if mark is None else f"line {mark.line + 1}: "
        raise unreadable(path, [f"{where}it cannot be read as YAML: {_why(error.problem or '')}"]) from None
    except (yaml.YAMLError, ValueError):
        raise unreadable(path, [f"it cannot be read as YAML: {_why('')}"]) from None
    except RecursionError:
        raise unreadable(path, ["it cannot be read as YAML: its values are nested too deeply"]) from None
    if not isinstance(config, dict):
        raise unreadable(path, ["it is no PEtab YAML file: its top level must hold keys and values"])
    return config


_WHY = {
    "stands twice": "{said}",
    "mapping values": "a colon too many, or indented unlike the lines above; put text that holds a colon in quotes",
    "found character '\\t'": "a tab; indent with blanks",
    "that cannot start": "text that starts with a mark of YAML's own, such as @, % or a backquote; put it in quotes",
    "end of stream": "a quotation mark that is not closed",
    "stream end": "a bracket that is not closed",
    "expected ','": "a bracket that is not closed, or a comma that is missing in a list",
    "block end": "a line that is indented unlike its neighbours, or a list beside keys",
    "expected ':'": "a key without a colon and a blank behind it",
    "alias": "a name behind * that no & defines; put text that starts with * in quotes",
    "constructor": "a tag, !, that a PEtab file has no use for; put text that starts with ! in quotes",
}


def _why(said: str) -> str:
    """The likely mistake in a line of YAML, from the message of its parser."""
    words = next((why for mark, why in _WHY.items() if mark in said), "")
    return words.format(said=said) if words else "see whether its brackets and quotation marks are closed"


def _unsupported(config: Mapping[str, Any]) -> list[str]:
    """What a PEtab YAML file may ask for and this reader does not support."""
    if "format_version" not in config and (strange := _unknown_keys(config)):
        return strange
    version = str(config.get("format_version", "missing"))
    if version.split(".")[0] != "1":
        return [f"format_version is {version}: only PEtab v1 is supported"]
    messages: list[str] = []
    if config.get("extensions"):
        messages.append(f"PEtab extensions are not supported: {', '.join(map(str, config['extensions']))}")
    parts = config.get("problems")
    parts = parts if isinstance(parts, list) else []
    if len(parts) > 1:
        messages.append(f"it holds {len(parts)} problems: give each a YAML file of its own")
    for part in (p for p in parts if isinstance(p, dict)):
        if mappings := _listed(part.get("mapping_files")):
            messages.append(f"mapping tables are not supported: {', '.join(mappings)}")
        models = part.get("model_files")
        for name, model in models.items() if isinstance(models, dict) else ():
            language = model.get("language") if isinstance(model, dict) else None
            messages.append(f"model {name!r} in language {language!r}: only SBML is supported")
        files = _listed(part.get("sbml_files"))
        if len(files) > 1:
            messages.append(f"it names {len(files)} models, {', '.join(files)}: only one is supported")
    return messages


def _listed(value: object) -> list[str]:
    """The entries of a list as text; nothing else is a list, which PEtab's schema says."""
    return [str(v) for v in value] if isinstance(value, list) else []


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
    return [
        f"YAML file: unknown key {str(key)[:60]!r} at {where or 'the top level'}; known there are {', '.join(known)}"
        f"{near(str(key), known)}"
        for where, key, known in unknown
    ]


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
