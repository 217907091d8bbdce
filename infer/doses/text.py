"""Conditions and drugs written as text, for the command line."""

from __future__ import annotations

from collections.abc import Sequence

from ...models.networks.infix import read_number
from ...models.protocols.protocol import Protocol
from ...models.protocols.text import parse_protocol
from .conditions import Condition

CONDITION = (
    "'NAME: PARAMETER=VALUE, SPECIES=DOSE UNIT; STATEMENT; …', such as 'no receptor: R_0=0, sR=100 ng/ml' or "
    "'pulse: ; wash out L at 15'"
)


def parse_conditions(texts: Sequence[str]) -> dict[str, Condition]:
    """Conditions by name, in order. Raises `ValueError` with the text that cannot be read and what is expected."""
    conditions: dict[str, Condition] = {}
    for text in texts:
        name, colon, body = text.partition(":")
        name = name.strip()
        if not colon:
            raise ValueError(f"the condition {text!r} has no colon behind its name; expected {CONDITION}")
        changes, _, statements = body.partition(";")
        if not name or name in conditions:
            problem = f"two conditions are called {name!r}" if name else f"a condition has no name: {text!r}"
            raise ValueError(f"{problem}; expected {CONDITION}")
        values: dict[str, float | str] = {}
        for changed, value in (_pair(part, text) for part in changes.split(",") if part.strip()):
            if changed in values:
                raise ValueError(f"the condition {text!r} gives {changed} twice: keep one")
            values[changed] = value
        protocol = parse_protocol(statements, name=name) if statements.strip() else Protocol(name)
        # Statements with a pre-equilibration say how cells start; others do not.
        conditions[name] = Condition(values, protocol, start_from_protocol=protocol.preequilibration is not None)
    return conditions


def _pair(part: str, text: str) -> tuple[str, float | str]:
    name, equals, value = (x.strip() for x in part.partition("="))
    if not equals or not name or not value:
        raise ValueError(f"cannot read {part.strip()!r} in the condition {text!r}; expected {CONDITION}")
    number = read_number(value)
    if number is None and value.lstrip("+-").lower() in ("inf", "nan", "infinity"):
        raise ValueError(f"{name} is {value} in the condition {text!r}; expected a finite number or a dose")
    return name, value if number is None else number


def parse_drugs(texts: Sequence[str]) -> dict[str, str]:
    """Doses of drugs by name, from `NAME=DOSES`; the doses are read later. Raises `ValueError` if there are none."""
    doses_by_drug: dict[str, str] = {}
    for text in texts:
        name, equals, doses = (x.strip() for x in text.partition("="))
        if not equals or not name or not doses:
            raise ValueError(f"a drug is NAME=DOSES, such as 'antibody=0, 0.01:100:9 ug/ml', not {text!r}")
        if name in doses_by_drug:
            raise ValueError(f"the drug {name} is given twice: list its doses in one, {name}=…, …")
        doses_by_drug[name] = doses
    return doses_by_drug


__all__ = ["parse_conditions", "parse_drugs"]
