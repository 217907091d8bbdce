# pyright: reportMissingImports=false
"""How AMICI can be set to find a steady state, and to differentiate it and the course after it: `MODES`."""

from dataclasses import dataclass

import amici.sim.sundials as asd

C, S = asd.SteadyStateComputationMode, asd.SteadyStateSensitivityMode
Internal = asd.InternalSensitivityMethod
FORWARD, ADJOINT = asd.SensitivityMethod.forward, asd.SensitivityMethod.adjoint


@dataclass(frozen=True)
class Mode:
    """How AMICI is set: see `MODES` for the reasons."""

    computation: object = C.integrationOnly
    sensitivity: object = S.newtonOnly
    pre: object = FORWARD  # sensitivities of the pre-equilibration; adjoint needs an adjoint simulation
    internal: object = Internal.simultaneous
    newton_steps: int = 0
    newton_check: bool = True
    factor: float = 1.0  # steady-state tolerances over the integration's
    max_steps: int = 10_000


# Steady state by integration until the Newton step is below the tolerances of the integration
# (`newton_check`). The default criterion of AMICI is the size of dx/dt against tolerances 100 times
# wider, and stops too early by the slowest time scale; "defaults" keeps it, to show. Newton's method
# from the start of the model is tried first where `newton_steps` are given. Sensitivities of the steady
# state follow from the implicit function theorem ("implicit") or are integrated along. Adjoint runs
# allocate `max_steps` checkpoints each, which costs more than the integration if there are many; 1000 is
# also the limit on steps then.
_NEWTON = {"computation": C.integrateIfNewtonFails, "newton_steps": 100}
_DEFAULTS = {"sensitivity": S.integrateIfNewtonFails, "newton_check": False, "factor": 100.0}
MODES = {
    "amici-forward": {
        "integrate, implicit, simultaneous": Mode(),
        "integrate, implicit, staggered": Mode(internal=Internal.staggered),
        "integrate, implicit, staggered1": Mode(internal=Internal.staggered1),
        "newton else integrate, implicit, staggered1": Mode(internal=Internal.staggered1, **_NEWTON),
        "newton only, implicit, staggered1": Mode(
            computation=C.newtonOnly, newton_steps=100, internal=Internal.staggered1
        ),
        "integrate, integrate, simultaneous": Mode(sensitivity=S.integrationOnly, newton_check=False, factor=1e-3),
        "defaults": Mode(**_DEFAULTS),
    },
    "amici-adjoint": {
        "integrate, implicit forward": Mode(),
        "integrate, implicit forward, 1000 checkpoints": Mode(max_steps=1000),
        "integrate, implicit adjoint": Mode(pre=ADJOINT),
        "integrate, implicit adjoint, 1000 checkpoints": Mode(pre=ADJOINT, max_steps=1000),
        "newton else integrate, implicit forward, 1000 checkpoints": Mode(max_steps=1000, **_NEWTON),
        "defaults": Mode(**_DEFAULTS),
    },
}
