"""Bounds that everybody knows: ``source = "preset:NAME"`` supplies them where none are given."""

from __future__ import annotations

PRESETS: dict[str, tuple[float, float]] = {
    "human_age": (0, 120),
    "percent": (0, 100),
    "share": (0, 1),
    "month": (1, 12),
    "day_of_month": (1, 31),
    "hour": (0, 23),
    "weekday": (1, 7),
    "body_height_cm": (20, 280),
    "body_weight_kg": (0, 650),
    "body_temperature_c": (25, 45),
}
