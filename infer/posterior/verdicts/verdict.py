"""`Verdict`: the answer to one question about a posterior, with its reasons and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Verdict:
    """The answer to one question about a posterior.

    Attributes
    ----------
    name : str
        The question: `sampled`, `fits`, `identified` or `solved`.
    answer : str
        In a few words, such as `yes`, `not pSTAT3 under dose_100`, or `not judged` with the reason.
    sentences : tuple of str
        Reasons, each with what to do.
    """

    name: str
    answer: str
    sentences: tuple[str, ...] = ()

    def __repr__(self) -> str:
        answer = self.answer if len(self.answer) <= 80 else f"{self.answer[:79]}…"
        return f"Verdict({self.name!r}, {answer!r}, {len(self.sentences)} sentences)"

    def __str__(self) -> str:
        return f"{self.name}: {self.answer}"

    def with_sentences(self, sentences: Sequence[str]) -> Verdict:
        """The same verdict with more sentences.

        Parameters
        ----------
        sentences : sequence of str
            The sentences, which follow the others.
        """
        return replace(self, sentences=(*self.sentences, *sentences))


__all__ = ["Verdict"]
