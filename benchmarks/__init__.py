"""What a synthetic table is still good for.

Figures are computed from real rows: they are confidential, outside the guarantee, and never part of
a release.
"""
