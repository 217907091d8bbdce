"""Why libantimony cannot read a text, in plain words with the line and what stands there."""

from __future__ import annotations

import re

from .infix import FormulaError, parse_infix

_SILENT = re.compile(r'//[^\n]*|#[^\n]*|/\*.*?(?:\*/|\Z)|"(?:\\.|[^"\\])*"|```.*?(?:```|\Z)', re.DOTALL)  # not computed
_LINE = re.compile(r"^(?:Error in model string, )?line (\d+): ?")
_ELSEWHERE = re.compile(r"Error in file '([^']*)', line (\d+)")
_MODEL_LINE = re.compile(r"^\s*(?:model|module|function|end)\b")
_FORMULA = re.compile(r"Error when parsing input '(.*)' at position (\d+): (.*)")
_LOOP = re.compile(r"Loop detected: (\S+)'s definition \((.*?)\) either includes")
_SYNTAX = re.compile(r"syntax error, unexpected (.+?)(?:, expecting (.+))?$")
_BOTH = re.compile(r"The species '([^']*)' occurs in both a rule and reaction '([^']*)'")
_FUNCTION = re.compile(r"'([^']*)' was used as a function")
_WORDS = (
    (
        re.compile(r".*unknown unit definition: '([^']*)'.*"),
        r"a number is followed by '\1', as if that were its unit, and no such unit is defined; write * for a product",
    ),
    (
        re.compile(r".*'([^']*)' was used as a function.*"),
        r"'\1' is used as a function, and none is defined of this name",
    ),
    (re.compile(r"Could not open '([^']*)'.*"), r"the file '\1', which it imports, cannot be opened"),
    (re.compile(r".*module '([^']*)' already defined.*"), r"two models are called '\1'"),
    (
        re.compile(r"Unable to set the type of variable '([^']*)' to (\w+) because .* incompatible type (\w+).*"),
        r"'\1' is used as a \2, but is a \3 elsewhere",
    ),
)
_TOKENS = {
    "element name": "a name",
    "number": "a number",
    "name of an existing module": "the name of a model or function",
    "invalid token": "a character that has no meaning there",
    "end of file": "the end of the text",
    "end of string": "its end",
    "end of line": "the end of the line",
    r"'\n'": "the end of the line",
}
_RESERVED = frozenset(
    "model module end function at after in is has var const species compartment reaction gene operator DNA ext import "
    "delete unit substanceOnly formula event maximize minimize time avogadro delay pi exponentiale true false inf "
    "infinity nan notanumber abs acos arccos acosh arccosh acot arccot acoth arccoth acsc arccsc acsch arccsch asec "
    "arcsec asech arcsech asin arcsin asinh arcsinh atan arctan atanh arctanh ceil ceiling cos cosh cot coth csc csch "
    "exp factorial floor ln log log10 pow power sec sech sin sinh sqr sqrt root tan tanh and or not xor eq geq gt leq "
    "lt neq plus minus times divide piecewise lambda max min rem quotient implies rateOf normal uniform exponential "
    "gamma poisson truncatedNormal cauchy laplace lognormal rayleigh chisquare bernoulli binomial substance volume "
    "area length extent".lower().split()
)


def computed_part(text: str) -> str:
    """Antimony text with blanks for comments and names in quotes, so that places stay."""
    return _SILENT.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def why_unread(message: str, text: str) -> str:
    """An error message of libantimony on `text`, in plain words; it quotes nothing of other files."""
    message = " ".join(message.split())
    if elsewhere := _ELSEWHERE.search(message):
        return f"line {elsewhere.group(2)} of the file {elsewhere.group(1)!r}, which it imports, is not Antimony"
    match = _LINE.match(message)
    reason, line = message[match.end() :] if match else message, int(match.group(1)) if match else 0
    if unit := re.search(r"unknown unit definition: '([^']*)'", message):
        line, reason = (
            _line_of(rf"(?<![A-Za-z_])[0-9.]+(?:[eE][+-]?[0-9]+)?[ \t]*{re.escape(unit.group(1))}\b", text),
            message,
        )
    if both := _BOTH.search(reason):
        line = _line_of(rf"\b{re.escape(both.group(1))}\s*(?::=|'\s*=)", text) or line
    if function := _FUNCTION.search(reason):
        line = _line_of(rf"\b{re.escape(function.group(1))}\s*\(", text) or line
    lines = text.split("\n")
    written = lines[min(line, len(lines)) - 1] if line else ""
    words = _plain(reason, written)
    if not line:
        return words
    return f"line {line}: {words}; the line is {written.strip()[:80]!r}"


def _plain(reason: str, written: str) -> str:
    for pattern, words in _WORDS:
        if match := pattern.search(reason):
            return match.expand(words)
    if "SBML error(s) when creating" in reason:
        return _of_libsbml(reason)
    if "memory exhausted" in reason:
        return "a formula is nested too deeply"
    if "Unable to set a unit definition" in reason:
        return "a name is also that of a unit, or follows a number as its unit; rename it, or write * for a product"
    if loop := _LOOP.search(reason):
        name, formula = loop.groups()
        return f"{name} depends on itself: {formula}, which gives it, uses {name}, or a name that depends on {name}"
    if formula := _FORMULA.search(reason):
        return _of_formula(*formula.groups())
    syntax = _SYNTAX.search(reason)
    if syntax is None:
        return reason.rstrip(".")
    return _of_syntax(*syntax.groups()) + _reserved(written, reason)


def _of_libsbml(reason: str) -> str:
    """The fault of a whole model, in the sentence of libsbml's message that names something in it."""
    if both := _BOTH.search(reason):
        name, reaction = both.groups()
        which = "a reaction" if reaction.startswith("_J") else f"the reaction {reaction}"
        return (
            f"{name} is given by a rule and changed by {which}; remove one of the two, or write ${name} in the reaction"
        )
    if unknown := re.search(r"uses '([^']*)' that is not the id of", reason):
        return f"a formula uses {unknown.group(1)!r}, and nothing of this name is defined"
    sentences = dict.fromkeys(re.findall(r"Reference: L\dV\d[^.]*?[\d.]+\d ([A-Z][^.]*(?:\.\d[^.]*)*)", reason))
    return "; ".join(s.strip() for s in sentences if "flattened" not in s) or "it makes no valid SBML"


def _of_formula(formula: str, position: str, reason: str) -> str:
    """Why a formula cannot be read: by our own reader where it finds a reason, too."""
    try:
        parse_infix(formula)
    except FormulaError as error:
        return str(error)
    syntax = _SYNTAX.search(reason)
    words = _of_syntax(*syntax.groups()) if syntax else reason
    return f"cannot read the formula {formula!r}: at column {position}, {words}"


def _of_syntax(token: str, expected: str | None) -> str:
    wanted = [_token(t) for t in re.split(r",? or ", expected)] if expected else []
    instead = f" where {' or '.join(dict.fromkeys(wanted))} was expected" if wanted else ", which cannot stand there"
    if token in ("end of file", "$end"):
        return f"the text ends{instead if wanted else ''}; is 'end' missing, or a bracket?"
    if _token(token) == "the end of the line" and not wanted:
        return "the line is not a whole statement"
    return f"{_token(token)} stands{instead}" if wanted else f"{_token(token)} cannot stand where it does"


def _token(token: str) -> str:
    token = token.strip()
    return _TOKENS.get(token, token if token.startswith("'") else repr(token))


def _reserved(written: str, reason: str) -> str:
    words = re.findall(r"[A-Za-z_][A-Za-z0-9_]*", _MODEL_LINE.sub("", _SILENT.sub("", written)))
    reserved = sorted({w for w in words if w.lower() in _RESERVED})
    if reserved:
        return f"; reserved words of Antimony in it, which cannot be names: {', '.join(reserved)}"
    if "name of an existing module" in reason:
        return "; a name of a model or function cannot be used for something in it"
    return ""


def _line_of(pattern: str, text: str) -> int:
    """The first line that holds `pattern`, comments left out; 0 if there is none."""
    computed = computed_part(text)
    match = re.search(pattern, computed)
    return computed.count("\n", 0, match.start()) + 1 if match else 0


__all__ = ["why_unread"]
