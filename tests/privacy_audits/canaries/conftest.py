"""Fixtures of the canary tests."""

from __future__ import annotations

from tests.privacy_audits.conftest import one_thread

__all__ = ["one_thread"]
