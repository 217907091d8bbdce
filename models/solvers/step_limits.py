"""The shortest steps of both engines. Apart from the controller, which brings diffrax."""

SHORTEST = 1e-14  # of a segment: the shortest step
TINY = 1e-9  # of a segment: a refused step that may be taken for an error that is rounding

__all__ = ["SHORTEST", "TINY"]
