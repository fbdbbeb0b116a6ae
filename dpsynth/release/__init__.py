"""Releases: folders that may leave the house, and that their recipients can check.

A release holds the synthetic table, its schema, a manifest with the whole privacy argument, what
follows from the manifest for catalogues, registries and people, evidence that may be published,
and checksums (``docs/release.md``). What was computed from real rows goes into a second,
confidential folder and is never named in the first.
"""

from __future__ import annotations

from dpsynth.release.contents import require_tools
from dpsynth.release.facts import PublicationFacts
from dpsynth.release.sealing import make_internal, refuse_existing, seal
from dpsynth.release.signing import sign
from dpsynth.release.verifying import Check, verify

__all__ = [
    "Check",
    "PublicationFacts",
    "make_internal",
    "refuse_existing",
    "require_tools",
    "seal",
    "sign",
    "verify",
]
