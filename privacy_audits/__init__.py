"""Whether the code is the mechanism that it says it is, and what an attacker learns from a table.

:mod:`privacy_audits.conformance` holds exact, fast tests of single mechanisms. They take the
mechanism under test as a callable, so that a deliberately broken one can be put in its place
(``tests/broken``), and they run on made-up tables: a figure computed from real rows is as
confidential as the rows.
"""

from __future__ import annotations
