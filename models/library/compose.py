"""Composes the IL-6 modules: several Antimony files in, one Antimony model with flat names out.

Antimony's own submodels prefix every name (`receptor__IL6R`), so modules are joined by name instead:

1. A symbol means the same thing everywhere: `IL6R` in one module is `IL6R` in all.
2. Every module declares the units and compartments it needs, word for word alike; they are kept once.
3. Every other symbol has one owner. A module borrows a symbol by naming it in its interface,
   `model stat3(act)`, and gives it a stand-in (`act = 0 nM;`), so that the file also runs alone. Where
   another module of the composition owns the symbol, the stand-in is dropped; where none does, the first
   stand-in stays, and so does the borrowing: a composition is a module again.

Whatever contradicts the rules is an error that names the symbol and the modules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_MODEL = re.compile(
    r"^[ \t]*model[ \t]+\*?(?P<name>\w+)[ \t]*(?:\((?P<interface>[^)]*)\))?[^\n]*\n"
    r"(?P<body>.*?)^[ \t]*end[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
# A string or a comment may hold a `;`, so both come before the end of a statement.
_TOKEN = re.compile(r"\"[^\"\n]*\"|//[^\n]*|#[^\n]*|/\*.*?\*/|[;\n]", re.DOTALL)
_KEYWORDS = re.compile(r"(?:(?:const|var|substanceOnly|species|compartment|formula|unit)\s+)*")
_SUBJECT = re.compile(r"\$?(?P<name>\w+)\s*(?P<verb>:=|'|=|:|\b(?:in|has|is|identity)\b|$)")


@dataclass(frozen=True)
class _Statement:
    """One statement, or the text between two (`symbols` is then empty)."""

    text: str
    keyword: str = ""
    items: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()

    @property
    def shared(self) -> bool:
        return "unit" in self.keyword or "compartment" in self.keyword

    def without(self, drop: set[str]) -> str:
        remaining = [item for item, symbol in zip(self.items, self.symbols, strict=True) if symbol not in drop]
        if len(remaining) == len(self.items):
            return self.text
        indent = self.text[: len(self.text) - len(self.text.lstrip())]
        return indent + self.keyword + ", ".join(remaining) if remaining else ""


@dataclass(frozen=True)
class _Module:
    name: str
    preamble: str
    interface: tuple[str, ...]
    statements: tuple[_Statement, ...]

    def declarations(self) -> dict[str, list[str]]:
        """What the module says about each symbol, white space aside. Units have a name space of their own."""
        said: dict[str, list[str]] = {}
        for statement in self.statements:
            for item, symbol in zip(statement.items, statement.symbols, strict=True):
                said.setdefault(symbol, []).append(statement.keyword + " ".join(item.split()))
        return said

    def shared(self) -> set[str]:
        return {symbol for statement in self.statements if statement.shared for symbol in statement.symbols}


def merge(texts: Sequence[str]) -> str:
    """One Antimony model of the given module texts, each holding exactly one `model ... end`."""
    modules = [_parse(text) for text in texts]
    names = [module.name for module in modules]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"modules: give at least one, and each once; got {names}")
    owner = _owners(modules)

    parts, borrowed, present = [], [], set()
    for module in modules:
        borrows = set(module.interface)
        drop = {s for s in borrows if s in owner or s in present} | (module.shared() & present)
        borrowed += [symbol for symbol in module.interface if symbol not in owner and symbol not in borrowed]
        present |= module.shared() | borrows
        parts.append(f"  // {'=' * 100}\n  // {module.name}\n  // {'=' * 100}\n" + _body(module, drop))
    preambles = "\n".join(module.preamble.rstrip() + "\n" for module in modules if module.preamble.strip())
    return f"{preambles}\nmodel {'_'.join(names)}({', '.join(borrowed)})\n" + "\n".join(parts) + "end\n"


def interface_of(text: str) -> tuple[str, ...]:
    """The symbols that a module borrows."""
    return _parse(text).interface


def owned_by(text: str) -> frozenset[str]:
    """The symbols that a module owns, units and compartments apart."""
    module = _parse(text)
    return frozenset(module.declarations().keys() - set(module.interface) - module.shared())


def _owners(modules: Sequence[_Module]) -> dict[str, str]:
    """The module that owns each symbol; every contradiction at once in one ValueError."""
    owner: dict[str, str] = {}
    declared = {module.name: module.declarations() for module in modules}
    problems = []
    for module in modules:
        declarations = declared[module.name]
        missing = [symbol for symbol in module.interface if symbol not in declarations]
        problems += [f"{module.name} borrows {symbol} but gives it no stand-in" for symbol in missing]
        for symbol in declarations.keys() - set(module.interface):
            if symbol not in owner:
                owner[symbol] = module.name
                continue
            other = owner[symbol]
            if symbol not in module.shared():
                problems.append(f"{symbol} is owned by {other} and by {module.name}: one should borrow it")
            elif declared[other][symbol] != declarations[symbol]:
                theirs, ours = "; ".join(declared[other][symbol]), "; ".join(declarations[symbol])
                problems.append(f"{symbol} differs: `{theirs}` in {other}, `{ours}` in {module.name}")
    if problems:
        raise ValueError("these modules do not fit together:\n  " + "\n  ".join(sorted(problems)))
    return owner


def _body(module: _Module, drop: set[str]) -> str:
    """The module's statements less the dropped ones; a line that held nothing else goes with its comment."""
    lines, line, dropped = [], "", False
    for statement in module.statements:
        text = statement.without(drop)
        dropped |= text != statement.text
        # The `;` of a dropped statement goes with it.
        orphan = text == ";" and (not line.strip() or line.rstrip().endswith(";"))
        line += "" if orphan else text
        if text == "\n":
            code = re.sub(r"//.*|#.*|/\*.*?\*/", "", line).strip(" ;\n")
            if code or not dropped:
                lines.append(line)
            line, dropped = "", False
    return re.sub(r"\n{3,}", "\n\n", "".join(lines) + line)


def _parse(text: str) -> _Module:
    matches = list(_MODEL.finditer(text))
    if len(matches) != 1:
        raise ValueError(f"a module file holds exactly one `model name(borrowed) ... end`, not {len(matches)}")
    match = matches[0]
    interface = tuple(word.strip() for word in (match["interface"] or "").split(",") if word.strip())
    return _Module(match["name"], text[: match.start()], interface, tuple(_statements(match["body"])))


def _statements(body: str) -> Iterator[_Statement]:
    """Every character of the body, in order: statements, and what stands between them."""
    start = 0
    for token in _TOKEN.finditer(body):
        if token[0].startswith('"'):
            continue
        yield _statement(body[start : token.start()])
        yield _Statement(token[0])
        start = token.end()
    yield _statement(body[start:])


def _statement(text: str) -> _Statement:
    code = text.strip()
    leading = _KEYWORDS.match(code)
    keyword = leading[0] if leading else ""
    items = _split(code[len(keyword) :]) if keyword else (code,)
    subjects = [subject for item in items if (subject := _SUBJECT.match(item))]
    # A rate (`cytosol*k*S`) or a reaction without a name declares nothing.
    if len(subjects) < len(items) or not (keyword or subjects[0]["verb"]):
        return _Statement(text)
    prefix = "unit " if "unit" in keyword else ""
    return _Statement(text, keyword, items, tuple(prefix + subject["name"] for subject in subjects))


def _split(code: str) -> tuple[str, ...]:
    """The declarations of one statement, at the commas outside parentheses."""
    items, depth, start = [], 0, 0
    for i, character in enumerate(code):
        depth += (character in "({") - (character in ")}")
        if character == "," and depth == 0:
            items.append(code[start:i].strip())
            start = i + 1
    return (*items, code[start:].strip())
