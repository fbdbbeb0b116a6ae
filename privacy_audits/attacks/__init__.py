"""What an attacker learns from one released table: attacks with a held-out control.

====================  ==========================================================  ==============
attack                asks                                                        rule
====================  ==========================================================  ==============
exact-copies          do fitted rows occur more often than held-out ones          hard
near-copies           do released rows lie right beside fitted ones more often    hard
outside-domain        do values leave the declared public domain                  hard, no chance
dcr, dcr-difference   who is close to a released row                              soft
dcr:outlying          the same among the most outlying records                    soft
domias, gen-lra       where is the release denser than the population             soft
marginals             whose cells do the measured marginals favour                soft
rare-combinations     whose rare combinations of three columns occur              soft
singling-out          what do predicates isolate that isolate a released row      soft
linkability           do two halves of a record lead to one released row          soft
inference             is a secret guessed from the nearest released row           soft
reconstruction        is it solved for from released counts                       soft
screening             distances to the closest record                             none
====================  ==========================================================  ==============

A hard rule is broken without chance, or at p < 1e-7 against the claim; a membership attack that
refutes the claim at that level without an estimated variance counts as hard too. An excess of
copies that is certain but no larger than the claim allows is stated apart, for a person to judge.

Everything is a function of real rows, hence confidential: no figure may leave the house. The time
grows with the number of released rows; 4,000 targets against 30,000 take seconds.
"""

from __future__ import annotations

from privacy_audits.attacks.battery import LEAST, TARGETS, audit_table
from privacy_audits.attacks.coins import AuditSplit, Coins, Design, split_audit
from privacy_audits.attacks.marginal import Clique
from privacy_audits.attacks.proximity import Screening
from privacy_audits.attacks.reader import CoinReader, FittedRows
from privacy_audits.attacks.result import HARD, Gap, Membership, TableAudit

__all__ = [
    "HARD",
    "LEAST",
    "TARGETS",
    "AuditSplit",
    "Clique",
    "CoinReader",
    "Coins",
    "Design",
    "FittedRows",
    "Gap",
    "Membership",
    "Screening",
    "TableAudit",
    "audit_table",
    "split_audit",
]
