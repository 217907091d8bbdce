"""Formulas written as text, such as `Vc*cpS` or `sqrt(sd^2 + (rel*cpS)^2)`: read whole, or refused with the place.

The grammar is SBML's infix notation (libsbml's L3 parser), less what is read in two ways: a number followed by a name
(there a number with a unit, elsewhere a product), a bare `log`, `&&` beside `||` without brackets, and capitals
(`PI`, `TIME`), which are names here. Nothing is ever evaluated as Python.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, cast

import sympy

from .dialects import INSTEAD, MATHEMATICS, PETAB, RELATIONS, SBML, Dialect
from .operations import FormulaError, Operand, check_result, number_operand, operate, symbol

DEEPEST = 60
"""How many levels of brackets and operators a formula may have."""

LONGEST = 2_000
"""How many numbers, names and operators a formula may have."""

_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)"
    r"|(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<operator>&&|\|\||[=!<>]=|[-+*/^(),<>!])"
)
_MEANT = {
    **dict.fromkeys("\u2212\u2010\u2011\u2012\u2013\u2014\u2015\ufe63\uff0d", "-"),
    **dict.fromkeys("\u00b7\u22c5\u00d7\u2217\u2219\u2022\u2715\uff0a", "*"),
    **dict.fromkeys("\u00f7\u2215\u2044\uff0f", "/"),
    **{c: f"^{i}" for i, c in enumerate("\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079")},
    "\u2264": "<=",
    "\u2265": ">=",
    "\u2260": "!=",
    "\u221a": "sqrt()",
    "%": "a remainder with floor(), x - y*floor(x/y)",
    "=": "==",
    "&": "&&",
    "|": "||",
    "[": "(",
    "]": ")",
    "{": "(",
    "}": ")",
}
_VALUES = {"pi": math.pi, "exponentiale": math.e}
_NOT_FINITE = ("inf", "infinity", "nan", "notanumber")


class Token(NamedTuple):
    kind: str
    text: str
    at: int


def parse_infix(text: str, names: Collection[str] = (), *, dialect: Dialect = SBML) -> sympy.Expr:
    """The sympy expression of a formula; its names are symbols without assumptions.

    `log10`, `ln`, `exp`, `sqrt`, `abs`, `min`, `max`, `piecewise(value, condition, …, otherwise)` are known, and `pi`,
    `true` and `false`. `time` is a name like others: only a model can say what it means; see `bind_time`.

    Parameters
    ----------
    text : str
        The formula.
    names : collection of str
        Names of a model, which take precedence over `pi`, `true` and `false`.
    dialect : Dialect
        The functions and constants that are known; SBML's by default.

    Returns
    -------
    sympy.Expr
        The expression.

    Raises
    ------
    FormulaError
        With the formula, the column and what was expected, if it cannot be read to its end.
    """
    text = str(text)
    return cast(sympy.Expr, _Parser(text, frozenset(names), dialect).formula())  # a condition is an expression too


def read_number(text: str) -> float | None:
    """The number that `text` is, None if it is not a number. Raises `FormulaError` for one that floats cannot hold.

    Unlike `float`, this knows no `1_000`, no digits outside ASCII, and neither `inf` nor `nan`.
    """
    bare = text.strip(" \t")
    match = _TOKEN.fullmatch(bare.lstrip("+-"))
    if match is None or match.lastgroup != "number" or len(bare) - len(match.group()) > 1:
        return None
    value = number_operand(float(match.group()), match.group()).value or 0.0
    return -value if bare.startswith("-") else value


def quoted(text: str, at: int | None = None) -> str:
    """`text`, or the part of a long one around position `at`."""
    if len(text) <= 100:
        return repr(text)
    start = max(0, min((at or 0) - 40, len(text) - 80))
    return f"{'…' if start else ''}{text[start : start + 80]!r}{'…' if start + 80 < len(text) else ''}"


def character(c: str) -> str:
    """A character with its code, and what it is called, for those who cannot see the difference."""
    name = unicodedata.name(c, "").lower()
    return repr(c) if c.isascii() and c.isprintable() else f"{c!r} (U+{ord(c):04X}{f', {name}' if name else ''})"


def replacement_of(c: str) -> str | None:
    """What to write in place of a character that stands for another, None if that is unknown."""
    if c.isspace() or unicodedata.category(c) == "Cf":
        return "a plain space, or nothing"
    plain = _MEANT.get(c) or unicodedata.normalize("NFKC", c)
    return plain if plain.isascii() and plain != c else None


class _Parser:
    def __init__(self, text: str, names: frozenset[str], dialect: Dialect):
        self.text, self.names, self.dialect = text, names, dialect
        self.tokens = self.split()
        self.next, self.depth = 0, 0

    def refuse(self, at: int, reason: str) -> FormulaError:
        return FormulaError(f"cannot read the formula {quoted(self.text, at)}: at column {at + 1}, {reason}")

    def split(self) -> list[Token]:
        tokens: list[Token] = []
        at = 0
        while at < len(self.text):
            match = _TOKEN.match(self.text, at) or self.foreign_name(at)
            if match is None:
                raise self.refuse(at, self.unknown(at))
            kind, text = (match.lastgroup or "name"), match.group()
            if kind != "space":
                tokens.append(Token(kind, text, at))
            at = match.end()
            if len(tokens) > LONGEST:
                raise self.refuse(at, f"it is too long: more than {LONGEST} numbers, names and operators")
        return [*tokens, Token("end", "the end", len(self.text))]

    def foreign_name(self, at: int) -> re.Match[str] | None:
        """A name outside ASCII, such as a Greek letter: only where a model has exactly this one."""
        match = re.compile(r"[^\W\d]\w*").match(self.text, at)
        return match if match is not None and match.group() in self.names else None

    def depth_at(self, at: int) -> int:
        """How many brackets are open before a position."""
        return self.text.count("(", 0, at) - self.text.count(")", 0, at)

    def unknown(self, at: int) -> str:
        c = self.text[at]
        better = replacement_of(c)
        if c == ";" and self.depth_at(at):
            better = "a comma between the arguments of a function"
        return f"{character(c)} has no meaning in a formula" + (f"; write {better}" if better else "")

    @property
    def here(self) -> Token:
        return self.tokens[self.next]

    def take(self, *texts: str) -> Token | None:
        token = self.here
        if token.kind == "operator" and token.text in texts:
            self.next += 1
            return token
        return None

    def expected(self, what: str) -> FormulaError:
        token, before = self.here, self.tokens[self.next - 1] if self.next else None
        if before is not None and before.kind == "number" and token.kind in ("name", "number"):
            if before.at + len(before.text) == token.at:
                both = before.text + token.text
                return self.refuse(
                    before.at, f"{both!r} is neither a number nor a name; a product is written as in 2*x"
                )
            return self.refuse(
                token.at,
                f"{token.text!r} follows the number {before.text}; "
                f"write {before.text}*{token.text} for a product; a number has no unit here",
            )
        if what == "an operator" and (token.kind in ("name", "number") or token.text == "("):
            return self.refuse(token.at, f"an operator is missing before {token.text!r}; a product is written with *")
        if token.text == "*" and before is not None and before.text == "*" and before.at + 1 == token.at:
            return self.refuse(before.at, "'**' has no meaning; write ^ for a power, as in x^2")
        shown = token.text if token.kind == "end" else repr(token.text)
        return self.refuse(token.at, f"{what} was expected, not {shown}")

    def build_at(self, at: int, build: Callable[[], Operand]) -> Operand:
        try:
            return build()
        except FormulaError as error:
            raise self.refuse(at, str(error)) from None

    def operate(self, name: str, operands: Sequence[Operand], at: int) -> Operand:
        return self.build_at(at, lambda: operate(name, operands))

    def formula(self) -> sympy.Basic:
        if self.here.kind == "end":
            raise FormulaError(f"cannot read the formula {self.text!r}: it is empty")
        result = self.junction()
        if self.here.kind != "end":
            raise self.expected("an operator")
        try:
            check_result(result.expression)
        except FormulaError as error:
            raise FormulaError(f"cannot read the formula {quoted(self.text)}: {error}") from None
        return result.expression

    def junction(self) -> Operand:
        """Comparisons joined by && or by ||."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.refuse(self.here.at, f"it is nested too deeply: more than {DEEPEST} levels")
        operands, joint = [self.comparison()], None
        while token := self.take("&&", "||"):
            if joint is not None and token.text != joint.text:
                raise self.refuse(token.at, "&& and || stand side by side; say with brackets which comes first")
            joint = token
            operands.append(self.comparison())
        self.depth -= 1
        if joint is None:
            return operands[0]
        return self.operate("and" if joint.text == "&&" else "or", operands, joint.at)

    def comparison(self) -> Operand:
        left = self.sum()
        pairs = []
        while token := self.take(*RELATIONS):
            if pairs and self.dialect is PETAB:
                raise self.refuse(token.at, "a second comparison follows the first; join two with &&")
            right = self.sum()
            pairs.append((token, self.operate(RELATIONS[token.text], [left, right], token.at)))
            left = right
        if not pairs:
            return left
        return pairs[0][1] if len(pairs) == 1 else self.operate("and", [o for _, o in pairs], pairs[1][0].at)

    def sum(self) -> Operand:
        terms, first = [self.product()], None
        while token := self.take("+", "-"):
            first = first or token
            term = self.product()
            terms.append(term if token.text == "+" else self.operate("minus", [term], token.at))
        return terms[0] if first is None else self.operate("plus", terms, first.at)

    def product(self) -> Operand:
        factors, first = [self.signed()], None
        while token := self.take("*", "/"):
            first = first or token
            factor = self.signed()
            one = number_operand(1.0, "1")
            factors.append(factor if token.text == "*" else self.operate("divide", [one, factor], token.at))
        return factors[0] if first is None else self.operate("times", factors, first.at)

    def signed(self) -> Operand:
        signs = []
        while token := self.take("-", "+", "!"):
            signs.append(token)
        operand = self.power()
        for token in reversed(signs):
            if token.text != "+":
                operand = self.operate("minus" if token.text == "-" else "not", [operand], token.at)
        return operand

    def power(self) -> Operand:
        base = self.primary()
        token = self.take("^")
        if token is None:
            return base
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.refuse(token.at, f"it is nested too deeply: more than {DEEPEST} levels")
        exponent = self.signed()
        self.depth -= 1
        return self.operate("power", [base, exponent], token.at)

    def primary(self) -> Operand:
        token = self.here
        if self.take("("):
            inner = self.junction()
            if not self.take(")"):
                raise self.expected("an operator")
            return inner
        if token.kind == "number":
            self.next += 1
            return self.build_at(token.at, lambda: number_operand(float(token.text), token.text))
        if token.kind != "name":
            raise self.expected("a number, a name or a bracket")
        self.next += 1
        return self.call(token) if self.take("(") else self.named(token)

    def named(self, token: Token) -> Operand:
        if token.text in self.names or token.text not in (*self.dialect.constants, *_NOT_FINITE):
            return symbol(token.text)
        if token.text in _NOT_FINITE:
            raise self.refuse(token.at, f"{token.text!r} is not a finite number")
        constant = self.dialect.constants[token.text]
        return Operand(constant, _VALUES.get(token.text))

    def call(self, token: Token) -> Operand:
        operands = []
        if not self.take(")"):
            while True:
                operands.append(self.junction())
                if self.take(")"):
                    break
                if not self.take(","):
                    raise self.expected("an operator, a comma or a bracket")
        function = self.dialect.functions.get(token.text)
        if function is None:
            product = "a product is written with *" if len(operands) == 1 and token.text not in MATHEMATICS else ""
            reason = f"the function {token.text!r} is not supported"
            raise self.refuse(token.at, "; ".join(filter(None, [reason, INSTEAD.get(token.text, product)])))
        if token.text in self.dialect.hints and len(operands) == 1:
            raise self.refuse(token.at, f"{token.text} is ambiguous; {self.dialect.hints[token.text]}")
        return self.build_at(token.at, lambda: function(operands))
