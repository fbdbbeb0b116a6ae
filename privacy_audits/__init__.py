"""Whether the code is the mechanism that it says it is, and what an attacker learns from a table.

==================  ==============================================================================
part                what it does
==================  ==============================================================================
``audit``           one audit of one release: attacks on its table, canaries in its method
``gate``            the rule of its verdict
``report``          what it says: text, evidence, a confidential page
``attacks``         membership, copies, singling out, linkability, inference on a released table
``canaries``        planted records in one run of a method
``shadow``          attacks with shadow models, for research
``games``           the two worst neighbours, told apart by likelihood ratios
``conformance``     exact, fast tests of single mechanisms
``estimate``        from scores to bounds: the only estimators that may be used
==================  ==============================================================================

Conformance checks take the mechanism under test as a callable, so that a deliberately broken one
can be put in its place (``tests/broken``), and run on made-up tables. A figure computed from real
rows is as confidential as the rows.
"""

from __future__ import annotations
