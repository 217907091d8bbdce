"""A network as functions: rates with their Jacobian, conserved sums, switches, and plans of protocols."""
