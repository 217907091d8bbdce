"""How trajectories are solved: settings, outcomes, and two engines."""
