"""The tables `[joint_priors.<name>]` of `problem.toml`."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..files.issues import Issues
from ..files.toml_section import Section
from ..joint_prior import JointPrior, joint_prior_faults
from ..parameter import Parameter
from .coverage import near


def take_joint_priors(top: Section) -> dict[str, JointPrior]:
    """The joint priors by the names of their tables; what is wrong with one is complained of."""
    made: dict[str, JointPrior] = {}
    for name, section in top.sections("joint_priors").items():
        before = section.faults
        parameters, correlation = section.texts("parameters"), section.take("correlation")
        section.done()
        if section.faults > before:
            continue
        try:
            made[name] = JointPrior(parameters, correlation if isinstance(correlation, list) else ())
        except ValueError as error:
            section.complain(
                "correlation" if "correlation of" in str(error) else "parameters", f"a joint prior; {error}"
            )
    return made


def check_joint_priors(
    joint: Mapping[str, JointPrior],
    earlier: Collection[JointPrior],
    parameters: Mapping[str, Parameter],
    file: str,
    issues: Issues,
) -> None:
    """Complains of parameters that cannot be in the joint priors that name them; `earlier` are those of results."""
    for name, one in joint.items():
        column = f"joint_priors.{name}.parameters"
        unknown = [n for n in one.parameters if n not in parameters]
        for n in unknown:
            expected = f"a parameter with a row of its own in the table of priors{near(n, parameters)}"
            issues.add(file, expected, column=column, holds=repr(n))
        if not unknown:
            for fault in joint_prior_faults([one], parameters):
                issues.add(file, f"parameters with normal priors; {fault}", column=column)
    if not issues.entries and (faults := joint_prior_faults([*joint.values(), *earlier], parameters)):
        issues.add(file, "; ".join(faults), column="joint_priors")


__all__ = ["check_joint_priors", "take_joint_priors"]
