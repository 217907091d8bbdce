"""What became of a trajectory. Failure is data: it is counted and reported, never scored as a fit."""

from __future__ import annotations

import enum
from collections.abc import Iterable


class Status(enum.IntEnum):
    """The outcome of one trajectory; `sentence` says what to do about a failure."""

    OK = 0
    TOO_MANY_STEPS = 1
    STEP_TOO_SMALL = 2
    NOT_FINITE = 3
    NO_STEADY_STATE = 4
    PATH_DEPENDENT = 5
    TOO_MANY_EVENTS = 6
    GRAZING_EVENT = 7

    @property
    def label(self) -> str:
        """The name in lower case, as in files."""
        return self.name.lower()

    @property
    def sentence(self) -> str:
        """A sentence on the failure and its remedy."""
        return _SENTENCES[self]

    @classmethod
    def sentences(cls, labels: Iterable[str]) -> list[str]:
        """The sentences of several outcomes.

        Parameters
        ----------
        labels : iterable of str
            Their labels.
        """
        return [cls[label.upper()].sentence for label in labels]


_SENTENCES = {
    Status.OK: "the solve succeeded",
    Status.TOO_MANY_STEPS: "the solver ran out of steps: raise max_steps, or choose an implicit solver",
    Status.STEP_TOO_SMALL: "the step became too small: the solution may blow up at these parameters",
    Status.NOT_FINITE: "the solution is not a finite number: look for a division by zero, a root or real power of a "
    "negative number, an overflow, or a constant (a Km, say) far below the absolute tolerance, over which steps go",
    Status.NO_STEADY_STATE: "pre-equilibration reached no steady state: is a species made and never removed?",
    Status.PATH_DEPENDENT: "what is left at the end of pre-equilibration depends on the way there, which is not solved "
    "exactly: let the protocol start earlier instead, as Protocol(start=-1000) does",
    Status.TOO_MANY_EVENTS: "events follow one another without end: does one make its own trigger true again?",
    Status.GRAZING_EVENT: "the trigger of an event only just becomes true, so that its moment has no derivative",
}
