"""Public docstrings are in numpydoc's form, name every parameter, and give each number a unit."""

from __future__ import annotations

import enum
import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

import pytest
from numpydoc.docscrape import NumpyDocString

pytestmark = pytest.mark.tier("check")

FACES = ("hexamer", "hexamer.infer", "hexamer.models", "hexamer.data", "hexamer.infer.plots")

# Annotations of numbers that are measured or computed; counts, seeds and positions are integers and need no unit.
NUMBER = re.compile(r"\b(float|Float|ndarray|ArrayLike|Formula|DosesLike|Masses|Value|Z)\b")

UNIT = re.compile(
    r"\b(dimensionless|units?|fractions?|percent|nM|min|minutes?|seconds?|ng/ml|kDa|g/mol|kg|l/h|zmol|cycles?|bytes"
    r"|nats|decades)\b"
)

CASES = [(face, name) for face in FACES for name in importlib.import_module(face).__all__]


@pytest.mark.parametrize(("face", "name"), CASES)
def test_docstring(face: str, name: str) -> None:
    thing = getattr(importlib.import_module(face), name)
    problems: list[str] = []
    if inspect.isclass(thing):
        problems = list(_problems_of_class(name, thing))
    elif inspect.isfunction(thing):
        problems = list(_problems_of_function(name, thing))
    assert not problems, "\n  ".join(["docstrings in numpydoc's form (see CONTRIBUTING.md):", *problems])


def test_what_is_missing_is_named() -> None:
    """The check itself: each mistake gives a sentence with the function, the parameter, and what is missing."""

    def bad(dose: float, time: float, seed: int) -> float:
        """A response.

        Parameters
        ----------
        dose : float
            How much of the ligand.
        time : float
            When it is read, in min.
        sead : int
            Of the noise.
        """
        return dose * time * seed

    assert list(_problems_of_function("bad", bad)) == [
        "bad: the signature has 'seed', and the section Parameters does not describe it",
        "bad: the docstring describes 'sead', which the signature does not have",
        "bad: 'dose' is a number (float): its description needs a unit, or the word 'dimensionless'",
        "bad: it returns float, and there is no section Returns",
    ]


def _problems_of_function(name: str, function: Callable) -> Iterator[str]:
    doc = _parsed(function)
    yield from _problems_of_summary(name, doc)
    yield from _problems_of_parameters(name, _arguments(function), _entries(doc, "Parameters"))
    returned = inspect.signature(function).return_annotation
    if returned not in (None, "None"):
        text = " ".join(f"{entry.type} {' '.join(entry.desc)}" for entry in doc["Returns"])
        if not text:
            yield f"{name}: it returns {_shown(returned)}, and there is no section Returns"
        elif _lacks_unit(returned, text):
            yield f"{name}: it returns {_shown(returned)}: the section Returns needs a unit, or 'dimensionless'"


def _problems_of_class(name: str, cls: type) -> Iterator[str]:
    """Of the class, its fields or the arguments that make it, its properties, and its methods' arguments.

    Arguments that several methods share may be described once, in the class's section Other Parameters.
    """
    doc = _parsed(cls)
    yield from _problems_of_summary(name, doc)
    entries = _entries(doc, "Parameters") | _entries(doc, "Attributes")
    annotations: dict[str, object] = dict(inspect.get_annotations(cls))
    if "__init__" in vars(cls) and not issubclass(cls, enum.Enum) and not getattr(cls, "_is_protocol", False):
        made_of = _arguments(cls.__init__, skip=1)
    else:
        made_of = {n: annotations[n] for n in getattr(cls, "_fields", ())}
    others = {n: annotations.get(n, "") for n in entries if n not in made_of and (n in annotations or hasattr(cls, n))}
    yield from _problems_of_parameters(name, made_of | others, entries)
    shared, taken = _entries(doc, "Other Parameters"), set()
    for key, member in vars(cls).items():
        function = _function_of(member)
        if key.startswith("_") or key in entries or function is None or function.__module__ == "hexamer.moved":
            continue  # the last are names of earlier releases
        if isinstance(member, property | cached_property):
            yield from _problems_of_property(f"{name}.{key}", function)
        else:
            skip = 0 if isinstance(member, staticmethod) else 1
            taken |= _arguments(function, skip=skip).keys()
            yield from _problems_of_method(f"{name}.{key}", function, shared, skip)
    for unused in (n for n in shared if n not in taken):
        yield f"{name}: the section Other Parameters describes {unused!r}, which no public method takes"


def _function_of(member: object) -> Callable | None:
    """The function behind a property or method; None for anything else."""
    if isinstance(member, property):
        return member.fget
    if isinstance(member, cached_property):
        return member.func
    function = getattr(member, "__func__", member)
    return function if inspect.isfunction(function) else None


def _problems_of_method(name: str, method: Callable, shared: Mapping[str, str], skip: int) -> Iterator[str]:
    arguments, doc = _arguments(method, skip=skip), _parsed(method)
    yield from _problems_of_summary(name, doc)
    own = _entries(doc, "Parameters")
    yield from _problems_of_parameters(name, arguments, {n: t for n, t in shared.items() if n in arguments} | own)


def _problems_of_property(name: str, function: Callable) -> Iterator[str]:
    returned, text = inspect.signature(function).return_annotation, inspect.getdoc(function) or ""
    if not text:
        yield f"{name}: it has no docstring"
    elif _lacks_unit(returned, text):
        yield f"{name} is a number ({_shown(returned)}): its docstring needs a unit, or the word 'dimensionless'"


def _problems_of_summary(name: str, doc: NumpyDocString) -> Iterator[str]:
    summary = " ".join(doc["Summary"])
    if not summary.endswith("."):
        yield f"{name}: the docstring starts with {summary!r}; expected one sentence and an empty line"


def _problems_of_parameters(name: str, arguments: Mapping[str, object], described: Mapping[str, str]) -> Iterator[str]:
    for missing in (n for n in arguments if n not in described):
        yield f"{name}: the signature has {missing!r}, and the section Parameters does not describe it"
    for unknown in (n for n in described if n not in arguments):
        yield f"{name}: the docstring describes {unknown!r}, which the signature does not have"
    for argument, annotation in arguments.items():
        if _lacks_unit(annotation, described.get(argument)):
            need = "its description needs a unit, or the word 'dimensionless'"
            yield f"{name}: {argument!r} is a number ({_shown(annotation)}): {need}"


def _lacks_unit(annotation: object, text: str | None) -> bool:
    return text is not None and bool(NUMBER.search(_shown(annotation))) and not UNIT.search(text)


def _shown(annotation: object) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _parsed(thing: object) -> NumpyDocString:
    return NumpyDocString(inspect.getdoc(thing) or "")


def _entries(doc: NumpyDocString, section: str) -> dict[str, str]:
    """Type and description by name; an entry may name several, `rtol, atol : float`."""
    return {
        name.strip(): f"{entry.type} {' '.join(entry.desc)}"
        for entry in doc[section]
        for name in entry.name.replace("*", "").split(",")
    }


def _arguments(function: Callable, *, skip: int = 0) -> dict[str, object]:
    """Annotations by name, without the first `skip` arguments (`self`)."""
    parameters = list(inspect.signature(function).parameters.values())[skip:]
    return {p.name: p.annotation for p in parameters}
