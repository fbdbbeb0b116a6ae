"""Read a table for a fit, and hold units out by recorded coins."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dpsynth.schema import Schema
from dpsynth.table import Source, TableReader
from privacy_audits.attacks.coins import Coins, Design, split_audit


class CoinReader(TableReader):
    """Reads a table once, after the spend is booked; holds units out for audit and evaluation.

    Parameters
    ----------
    source : path, DataFrame or Arrow table
        The sensitive table.
    schema : Schema
        Public facts.
    design : Design
        Chances to be an audit record, and to be held out for comparison.

    Attributes
    ----------
    fitted, held_out : DataFrame
        What was handed to the fit and what was kept back; set by :meth:`read`. Sensitive.
    coins : Coins
        Who was an audit record, and on which side. Sensitive.

    Privacy
    -------
    Every unit draws its part by itself from the noise source of the fit: one person more or less
    changes one person's part only. Whoever knows the coins knows who was fitted.
    """

    def __init__(self, source: Source, schema: Schema, *, design: Design) -> None:
        super().__init__(source, schema)
        self._design = design
        self.fitted: pd.DataFrame
        self.held_out: pd.DataFrame
        self.coins: Coins

    def _rows(self, rng: np.random.Generator) -> Source:
        parts = split_audit(self.source, self.schema, design=self._design, rng=rng)
        self.fitted, self.held_out, self.coins = parts.fitted, parts.held_out, parts.coins
        return self.fitted


class FittedRows(TableReader):
    """Reads, for a further purchase, what a :class:`CoinReader` gave to the fit.

    Parameters
    ----------
    reader : CoinReader
        After it was read.

    Notes
    -----
    The ledger recognises the whole table, of which these rows are a part.
    """

    def __init__(self, reader: CoinReader) -> None:
        super().__init__(reader.source, reader.schema)
        self._fitted = reader.fitted

    def _rows(self, rng: np.random.Generator) -> Source:
        del rng
        return self._fitted
