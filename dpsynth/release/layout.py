"""Names of the files of a release."""

from __future__ import annotations

CSV = "synthetic.csv"
PARQUET = "synthetic.parquet"
SCHEMA = "schema.toml"
MANIFEST = "manifest.json"
CROISSANT = "croissant.json"
REGISTRY = "dp-registry.yaml"
DATASHEET = "DATASHEET.md"
REPORT = "report.html"
GUARANTEE = "GUARANTEE.txt"
EVIDENCE = "evidence"
"""Folder of the evidence that may be published."""
SUMS = "SHA256SUMS"
SIGNATURE = "SHA256SUMS.sig"
"""Detached signature; the one file that ``SHA256SUMS`` does not list."""
