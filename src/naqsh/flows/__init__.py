"""Maps that can be undone, and the densities that they make: the mathematics of flows."""
