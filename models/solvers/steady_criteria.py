"""When a state counts as steady, the same for every engine; see `hexamer.models.solvers.reference.steady_state`."""

THRESHOLD = 1e-3  # of the steady-state residual; at 1 the state is still off by 2e-4
HORIZON = 1e8  # time allowed to reach it; with steps beyond 1e9 conserved moieties would drift by 1e-5
STRICTEST = 1e-6  # relative tolerance; a constant rate k leaves k/(STRICTEST k HORIZON) = 10 THRESHOLD at the end
NEWTON_ITERATIONS = 4
ON_THE_WAY_RTOL = 1e-3  # at least, while the state is sought; what is found is polished
SINGULAR = 1e-10  # rate below which nothing changes within HORIZON, so that it counts as conserved
DRIFT = 1e-2  # relative, beside the absolute tolerance: what a conserved species may seem to have moved on the way
