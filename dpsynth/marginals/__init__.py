"""Methods that measure marginals."""
