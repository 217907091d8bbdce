"""Cases of the SBML semantic test suite through libroadrunner and COPASI, beside hexamer, with a table by tag.

    python -m benchmarks.sbml_peers FOLDER --json FILE [--hexamer VERDICTS]

`docs/sbml.md` has a table of `benchmarks/results/sbml_peers.json`. FOLDER is that of `benchmarks.sbml_suite`, and right
means the same. A program that ends, or takes longer than a minute for a case, counts as failed: each has a process of
its own. VERDICTS is what `benchmarks.sbml_suite --json` wrote; without it hexamer is left out.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import multiprocessing
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from benchmarks.arguments import report_file
from benchmarks.sbml_suite import Settings, cases_in, distance, model_file, results_of, settings_file, tags_of

CONSTRUCTS: dict[str, tuple[str, ...]] = {
    "all cases": (),
    "assignment rules": ("AssignmentRule",),
    "rate rules": ("RateRule",),
    "initial assignments": ("InitialAssignment",),
    "function definitions": ("FunctionDefinition",),
    "species as amounts": ("HasOnlySubstanceUnits",),
    "volumes that change": ("NonConstantCompartment",),
    "stoichiometries by formula": (
        *("AssignedConstantStoichiometry", "AssignedVariableStoichiometry"),
        *("StoichiometryMath", "SpeciesReferenceInMath"),
    ),
    "conversion factors": ("ConversionFactors",),
    "`rateOf`": ("CSymbolRateOf",),
    "uncommon functions": ("UncommonMathML",),
    "events without delay": ("EventNoDelay",),
    "events with delay": ("EventWithDelay",),
    "events with priority": ("EventPriority",),
    "events that do not persist": ("EventIsNotPersistent",),
    "package `comp`": ("comp:Submodel",),
    "algebraic rules": ("AlgebraicRule",),
    "fast reactions": ("FastReaction",),
    "`delay`": ("CSymbolDelay",),
    "package `fbc`": ("fbc:FluxObjective",),
}
"""The rows of the table in `docs/sbml.md`: tags of the cases that count for each, all cases if there is none."""
SECONDS = 60  # for a case
KINDS = ("right", "wrong", "failed")
Course = dict[str, np.ndarray]


def by_roadrunner(file: Path, settings: Settings, times: np.ndarray) -> Course:
    import roadrunner

    roadrunner.Logger.disableLogging()
    runner = roadrunner.RoadRunner(str(file))
    species = {*runner.model.getFloatingSpeciesIds(), *runner.model.getBoundarySpeciesIds()}

    def selection(name: str) -> str:
        return f"[{name}]" if name in settings.concentration and name in species else name

    runner.integrator.relative_tolerance = min(1e-8, settings.relative * 1e-3)
    runner.integrator.absolute_tolerance = min(1e-12, settings.absolute * 1e-6)
    runner.timeCourseSelections = ["time", *(selection(n) for n in settings.variables)]
    found = np.asarray(runner.simulate(times=list(times)))
    return dict(zip(settings.variables, found.T[1:], strict=True))


def by_copasi(file: Path, settings: Settings, times: np.ndarray) -> Course:
    import basico

    if basico.load_model(str(file)) is None:
        raise RuntimeError("COPASI cannot read it")
    things = (basico.get_species, basico.get_parameters, basico.get_compartments, basico.get_reactions)
    tables = [t.reset_index() for thing in things if (t := thing()) is not None]
    shown = {i: n for t in tables for i, n in zip(t["sbml_id"], t["display_name"], strict=True) if i}
    volume = (
        dict(zip(tables[0]["sbml_id"], tables[0]["compartment"], strict=True)) if "compartment" in tables[0] else {}
    )

    def columns(name: str) -> list[str]:
        """A species is its concentration, times its volume if the case asks for the amount."""
        if name not in volume:
            suffix = {"(": ".Flux", "C": ".Volume"}.get(
                shown[name][0] if "[" in shown[name] or "(" in shown[name] else "", ""
            )
            return [shown[name] + suffix]
        concentration = f"[{shown[name]}]"
        return (
            [concentration]
            if name in settings.concentration
            else [concentration, f"Compartments[{volume[name]}].Volume"]
        )

    wanted = {name: columns(name) for name in settings.variables}
    found = basico.run_time_course_with_output(
        ["Time", *dict.fromkeys(c for cs in wanted.values() for c in cs)],
        values=list(times),
        r_tol=min(1e-8, settings.relative * 1e-3),
        a_tol=min(1e-12, settings.absolute * 1e-6),
        max_steps=1_000_000,
    )
    return {name: np.prod([found[c].to_numpy() for c in cs], axis=0) for name, cs in wanted.items()}


PROGRAMS: dict[str, Callable[[Path, Settings, np.ndarray], Course]] = {
    "roadrunner": by_roadrunner,
    "COPASI": by_copasi,
}


def judge(folder: Path, program: str) -> tuple[str, str]:
    """One of `KINDS`, and why. A variable that the program does not show counts as failed."""
    settings = Settings.read(settings_file(folder))
    times, right = results_of(folder)
    try:
        found = PROGRAMS[program](model_file(folder), settings, times)
        far = {n: float(distance(settings, right[n], found[n]).max()) for n in settings.variables}
    except Exception as error:
        return "failed", " ".join(f"{type(error).__name__}: {error}".split())[:300]
    wrong = [f"{n} by {d:.3g} tolerances" for n, d in far.items() if not d <= 1]
    return ("wrong", "; ".join(wrong)) if wrong else ("right", "")


def _serve(program: str, pipe: Connection) -> None:
    with suppress(EOFError):  # all cases are judged
        while (folder := pipe.recv()) is not None:
            pipe.send(judge(folder, program))


def judge_all(folders: Sequence[Path], program: str) -> dict[str, tuple[str, str]]:
    """By case; a process that ended or takes too long is started anew."""
    context = multiprocessing.get_context("spawn")
    worker, pipe = None, None
    found = {}
    for folder in folders:
        if worker is None or pipe is None or not worker.is_alive():
            pipe, theirs = context.Pipe()
            worker = context.Process(target=_serve, args=(program, theirs), daemon=True)
            worker.start()
            theirs.close()
        try:
            pipe.send(folder)
            found[folder.name] = pipe.recv() if pipe.poll(SECONDS) else ("failed", f"no answer in {SECONDS} s")
        except (EOFError, OSError):
            found[folder.name] = ("failed", "its process ended")
        if found[folder.name][0] == "failed" and "answer" in found[folder.name][1]:
            worker.kill()
            worker.join()
    return found


def table(tags: dict[str, tuple[str, ...]], verdicts: dict[str, dict[str, str]]) -> str:
    """By tag: the number of cases, and for each program how many are right, wrong and failed."""
    every = sorted({t for of_case in tags.values() for t in of_case})
    lines = [
        f"{'':36}{'cases':>6}" + "".join(f"{name:>18}" for name in verdicts),
        f"{'':42}" + f"{' / '.join(KINDS):>18}",
    ]
    for tag in ["all", *every]:
        cases = [c for c, of_case in tags.items() if tag == "all" or tag in of_case]
        counts = [Counter(of_program[c] for c in cases) for of_program in verdicts.values()]
        shown = [" / ".join(str(count[k]) for k in KINDS) for count in counts]
        lines.append(f"{tag:36}{len(cases):>6}" + "".join(f"{text:>18}" for text in shown))
    return "\n".join(lines)


def measured_rows(report: dict) -> list[str]:
    """The first five columns of the table in `docs/sbml.md`, a row for each construct."""
    names = ("hexamer", "roadrunner", "COPASI")
    rows = []
    for construct, tags in CONSTRUCTS.items():
        cases = [c for c, of_case in report["tags"].items() if not tags or set(tags) & set(of_case)]
        counts = [Counter(report["reasons"][name][c][0] for c in cases) for name in names]
        cells = [" / ".join(str(count[k]) for k in KINDS) for count in counts]
        rows.append(f"| {' | '.join([construct, str(len(cases)), *cells])} |")
    return rows


def versions() -> dict[str, str]:
    """The version of each program."""
    packages = {"hexamer": "hexamer", "roadrunner": "libroadrunner", "COPASI": "python-copasi"}
    return {name: importlib.metadata.version(package) for name, package in packages.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the cases")
    parser.add_argument("--json", type=report_file, help="where to write all verdicts")
    parser.add_argument("--hexamer", type=Path, help="what benchmarks.sbml_suite --json wrote")
    arguments = parser.parse_args()
    folders = cases_in(arguments.folder)
    if not folders:
        parser.error(f"there is no case in {arguments.folder}")
    tags = {f.name: tags_of(f) for f in folders}
    reasons: dict[str, dict[str, tuple[str, str]]] = {}
    if arguments.hexamer:
        ours = json.loads(arguments.hexamer.read_text())
        reasons["hexamer"] = {v["case"]: (v["kind"] if v["kind"] in KINDS else "failed", v["reason"]) for v in ours}
    reasons |= {name: judge_all(folders, name) for name in PROGRAMS}
    verdicts = {name: {c: kind for c, (kind, _) in of_program.items()} for name, of_program in reasons.items()}
    print(table(tags, verdicts))
    if arguments.json:
        report = {"versions": versions(), "reasons": reasons, "tags": tags}
        text = json.dumps(report, separators=(",", ":")).replace('],"', '],\n"') + "\n"
        arguments.json.write_text(text.replace(f"{arguments.folder}/", ""))


if __name__ == "__main__":
    main()
