"""All attacks on one released table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from dpsynth.errors import DataError
from dpsynth.files import Source, read_columns
from dpsynth.privacy import Budget, PrivacyUnit
from dpsynth.schema import Schema
from dpsynth.table import conform, preflight, unit_codes, violations
from privacy_audits.attacks.coding import Block, Coding, Columns, group_rows, value_codes
from privacy_audits.attacks.coins import Coins
from privacy_audits.attacks.comparison import Comparison
from privacy_audits.attacks.density import Domias, GenLRA
from privacy_audits.attacks.inference import linear_reconstruction, nearest_inference
from privacy_audits.attacks.linkability import linkability
from privacy_audits.attacks.marginal import Clique, Marginals
from privacy_audits.attacks.membership import Judge
from privacy_audits.attacks.proximity import CalibratedProximity, Proximity, outlying, screening
from privacy_audits.attacks.rare import RareCombinations, exact_copies, near_copies
from privacy_audits.attacks.result import Gap, Membership, TableAudit
from privacy_audits.attacks.singling_out import singling_out
from privacy_audits.estimate.one_run import COINS

IntArray = npt.NDArray[np.int64]

TARGETS = 2_000
"""Most targets on each side, and most reference rows."""

LEAST = 40
"""Fewest units on each side: with fewer, no attack can say anything."""

HEURISTIC = ("HEURISTIC: no coins were recorded; members and non-members are exchangeable",)

_OUTLYING_SHARE = 0.01
_LEAST_OUTLYING = 40
_COMBINATIONS = 60


def audit_table(
    synthetic: Source,
    fit: Source,
    holdout: Source,
    schema: Schema,
    *,
    coins: Coins | None = None,
    claim: Budget | None = None,
    cliques: Sequence[Clique] | None = None,
    targets: int = TARGETS,
    alpha: float = 0.05,
    few: bool = False,
    rng: np.random.Generator,
) -> TableAudit:
    """Attack a released table with the rows that were fitted and rows that were not.

    Parameters
    ----------
    synthetic : path, DataFrame or Arrow table
        The released table.
    fit, holdout : path, DataFrame or Arrow table
        Rows that were fitted, and rows held out before, with the unit's column if there is one.
        Half of the held-out rows serve as reference, unless coins say which.
    schema : Schema
        Public facts.
    coins : Coins, optional
        Recorded coins of :func:`split_audit`; without them one-run bounds are heuristic.
    claim : Budget, optional
        The (ε, δ) that is claimed; without it nothing is compared with a cap.
    cliques : sequence of Clique, optional
        Marginals that the method measured; every single column without them.
    targets : int
        Most targets on each side.
    alpha : float
        One-sided level of the bounds.
    few : bool
        Whether too few units for any attack leave the audit without one, instead of an error: an
        error would tell how many there are.
    rng : numpy.random.Generator
        Draws rows, projections and predicates.

    Raises
    ------
    DataError
        If the tables do not have the form of the schema, the coins belong to other tables, too
        few units are held out, or a named unit has rows in both real tables.

    Privacy
    -------
    Reads real rows: the result is confidential. Of every unit one row, drawn at random, stands
    for the unit.
    """
    bare = replace(schema, columns=schema.modelled, unit=PrivacyUnit())
    with _reading("released"):
        preflight(synthetic, bare)
        frame = read_columns(synthetic, [column.name for column in bare.columns])
        released = conform(frame, bare)
    with _reading("fitted"):
        fitted = _Side.read(fit, schema, rng)
    with _reading("held-out"):
        held_out = _Side.read(holdout, schema, rng)
    if coins is not None:
        coins.check(fitted=fitted.rows, held_out=held_out.rows)
    roles = _roles(fitted, held_out, coins, targets=targets, rng=rng)
    if roles is None:
        if not few:
            raise DataError(
                f"an audit needs at least {LEAST} units fitted, held out as non-members and held "
                "out as reference.",
                code="DPS413",
                fix="hold out more of the table before the fit.",
            )
        return TableAudit(
            membership=(),
            gaps=(),
            outside_domain=tuple(violations(frame, bare)),
            screening=None,
            randomised=coins is not None,
            claim=claim,
            alpha=alpha,
            members=0,
            others=0,
            reference=0,
        )
    _require_apart(fitted, held_out, schema)
    tables = [released, fitted.columns, held_out.columns]
    exact = value_codes(schema, tables)
    neutral = {name: values[roles.reference] for name, values in held_out.columns.items()}
    coding = Coding.fit(schema, reference=neutral, others=tables)
    blocks = [coding.block(table) for table in tables]
    # In a random order: what is tied must not be taken in the order of the two sides.
    order = rng.permutation(len(roles.members) + len(roles.others))
    inside = order < len(roles.members)
    rows = np.concatenate([exact[1][roles.members], exact[2][roles.others]])[order]
    comparison = Comparison(
        synthetic=blocks[0],
        reference=blocks[2].take(roles.reference),
        targets=Block.joined([blocks[1].take(roles.members), blocks[2].take(roles.others)]).take(
            order
        ),
        layout=coding.layout,
        rng=rng,
    )
    if cliques is None:
        marginals = Marginals.one_way(coding.layout.names)
    else:
        marginals = Marginals(cliques=tuple(cliques))
    judge = Judge(
        inside=inside,
        groups=group_rows([rows])[0],
        claim=claim,
        assumptions=HEURISTIC if coins is None else COINS,
        alpha=alpha,
    )
    gaps = [
        exact_copies(*exact, claim=claim),
        near_copies(comparison, inside, judge.groups, claim=claim),
        *_gaps(schema, comparison, blocks, inside, claim=claim, rng=rng),
    ]
    return TableAudit(
        membership=tuple(_membership(comparison, marginals, judge, rng=rng)),
        gaps=tuple(found for found in gaps if found is not None),
        outside_domain=tuple(violations(frame, bare)),
        screening=screening(
            blocks[0],
            comparison.targets.take(inside),
            comparison.targets.take(~inside),
            rng=rng,
        ),
        randomised=coins is not None,
        claim=claim,
        alpha=alpha,
        members=len(roles.members),
        others=len(roles.others),
        reference=len(roles.reference),
    )


@contextmanager
def _reading(table: str) -> Iterator[None]:
    """Say in an error which of the three tables it is about."""
    try:
        yield
    except DataError as error:
        error.message = f"the {table} table: {error.message}"
        raise


def _membership(
    comparison: Comparison, marginals: Marginals, judge: Judge, *, rng: np.random.Generator
) -> Iterator[Membership]:
    rare = RareCombinations.draw(len(comparison.layout.names), count=_COMBINATIONS, rng=rng)
    for attack in (
        Proximity(),
        CalibratedProximity(),
        Domias(),
        GenLRA(),
        marginals,
        rare,
    ):
        yield judge(attack.name, attack.scores(comparison), rng=rng)
    chosen = outlying(comparison, share=_OUTLYING_SHARE, least=_LEAST_OUTLYING)
    judge = judge.among(chosen)
    if judge.two_sided:
        scores = Proximity().scores(comparison)[chosen]
        yield judge(f"{Proximity.name}:outlying", scores, rng=rng)


def _gaps(
    schema: Schema,
    comparison: Comparison,
    blocks: Sequence[Block],
    inside: npt.NDArray[np.bool_],
    *,
    claim: Budget | None,
    rng: np.random.Generator,
) -> Iterator[Gap | None]:
    layout, targets, few = comparison.layout, comparison.targets, comparison.few
    secret = (schema.target or schema.modelled[-1]).name
    yield singling_out(blocks[0], targets, inside, claim=claim, rng=rng)
    yield linkability(few, targets, inside, claim=claim, rng=rng)
    yield nearest_inference(few, targets, inside, layout=layout, secret=secret, claim=claim)
    if secret not in layout.numeric:
        yield linear_reconstruction(*blocks, layout=layout, secret=secret, claim=claim, rng=rng)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Side:
    """A real table, one row per privacy unit."""

    columns: Columns
    keys: pd.DataFrame
    places: IntArray
    rows: int

    @classmethod
    def read(cls, source: Source, schema: Schema, rng: np.random.Generator) -> Self:
        preflight(source, schema)
        frame = read_columns(source, [column.name for column in schema.columns])
        units = unit_codes(frame, schema)
        order = rng.permutation(np.flatnonzero(units >= 0))
        places = np.sort(order[np.unique(units[order], return_index=True)[1]])
        kept = frame.iloc[places]
        keys = kept[[] if schema.unit.column is None else [schema.unit.column]]
        return cls(columns=conform(kept, schema), keys=keys, places=places, rows=len(frame))


def _require_apart(fitted: _Side, held_out: _Side, schema: Schema) -> None:
    """Refuse units on both sides: who was fitted is no control, and hides what the fit shows."""
    if schema.unit.column is None:
        return
    units = unit_codes(pd.concat([fitted.keys, held_out.keys]), schema)
    if np.unique(units).size < units.size:
        raise DataError(
            "a privacy unit has rows among the fitted and among the held-out ones.",
            code="DPS414",
            fix="split the table by unit, before the fit.",
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class _Roles:
    """Which fitted rows are members, which held-out rows are not, and which are reference."""

    members: IntArray
    others: IntArray
    reference: IntArray


def _roles(
    fitted: _Side,
    held_out: _Side,
    coins: Coins | None,
    *,
    targets: int,
    rng: np.random.Generator,
) -> _Roles | None:
    mine, theirs = (rng.permutation(len(side.places)) for side in (fitted, held_out))
    if coins is None:
        half = len(theirs) // 2
        # Equal sizes: a guess without knowledge must be right half of the time.
        size = min(len(mine), half, targets)
        members, others, reference = mine[:size], theirs[:size], theirs[half:][:targets]
    else:
        members = mine[np.isin(fitted.places[mine], coins.members)]
        audited = np.isin(held_out.places[theirs], coins.others)
        others, reference = theirs[audited], theirs[~audited][:targets]
        # The cut must not look at the coins: a fair coin for every record that stays.
        kept = np.sort(rng.permutation(len(members) + len(others))[: 2 * targets])
        members, others = (
            members[kept[kept < len(members)]],
            others[kept[kept >= len(members)] - len(members)],
        )
    if min(len(members), len(others), len(reference)) < LEAST:
        return None
    return _Roles(members=members, others=others, reference=reference)
