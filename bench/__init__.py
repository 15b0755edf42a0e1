"""The benchmark: every figure that this project promises, each beside its floor or its peer in the same run."""
