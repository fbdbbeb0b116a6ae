"""The files of a release that follow from its manifest, its schema and its published evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dpsynth.errors import require_extra
from dpsynth.evidence import Evidence
from dpsynth.release import layout
from dpsynth.release.croissant import to_croissant
from dpsynth.release.datasheet import to_datasheet
from dpsynth.release.guarantee import text as guarantee_text
from dpsynth.release.page import to_html
from dpsynth.release.registry import to_registry
from dpsynth.schema import Schema

_NEEDED = {
    "jsonschema": "A manifest",
    "jinja2": "The public page of a release",
    "yaml": "The registry draft of a release",
}


def require_tools() -> None:
    """Make sure that a release can be written and verified, before anything is spent.

    Raises
    ------
    MissingExtraError
        If the extra ``report`` is not installed.
    """
    for module, purpose in _NEEDED.items():
        require_extra(module, extra="report", purpose=purpose)


def rendered(
    manifest: Mapping[str, Any], schema: Schema, evidence: Sequence[Evidence]
) -> dict[str, str]:
    """Return the texts by file name. The same input gives the same bytes.

    Parameters
    ----------
    manifest : mapping
        The manifest of the release.
    schema : Schema
        The released schema.
    evidence : sequence of Evidence
        What may be published, in the order of the manifest.
    """
    files = {
        layout.CROISSANT: to_croissant(manifest, schema),
        layout.DATASHEET: to_datasheet(manifest, schema),
        layout.REPORT: to_html(manifest, schema, evidence),
        layout.GUARANTEE: guarantee_text(manifest),
    }
    if manifest["publication"] is not None:
        files[layout.REGISTRY] = to_registry(manifest)
    return files
