"""Settings that say everything that is wrong with them, and write themselves down."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpsynth.errors import UsageError
from dpsynth.sections import Fits, Problems, explain, meanings, parse, render


@dataclass(frozen=True, slots=True, kw_only=True)
class Oven:
    """How bread is baked.

    Parameters
    ----------
    heat : float
        Degrees. Hot ovens
        burn.
    loaves, rolls : int
        How many.
    name : str
        What stands on the door.
    door : {"open", "shut"}
        State of it.
    book : path, optional
        Recipes.
    tags : tuple of str
        Words.
    lit : bool
        Whether it burns.

    Notes
    -----
    heat : none
        Not a parameter.
    """

    heat: float
    loaves: int = 2
    rolls: int | None = None
    name: str = 'a "b" \\ ü'
    door: Literal["open", "shut"] = "shut"
    book: Path | None = None
    tags: tuple[str, ...] = ()
    lit: bool = False

    def __post_init__(self) -> None:
        if self.heat > 300:
            raise UsageError("heat must be at most 300.", fix="open the door.")


def read(table: object) -> tuple[Oven | None, list[str]]:
    problems = Problems()
    return parse(Oven, table, where="[oven]", problems=problems), problems.found


def test_types_are_taken_at_their_word() -> None:
    oven, found = read({"heat": 200, "book": "a/b.txt", "tags": ["x"], "rolls": 3})
    assert found == []
    assert oven == Oven(heat=200.0, book=Path("a/b.txt"), tags=("x",), rolls=3)
    assert isinstance(oven.heat, float)


def test_every_problem_is_named_with_its_fix() -> None:
    oven, found = read(
        {"loaves": "two", "hext": 1, "door": "ajar", "lit": 1, "rolls": True, "tags": [1]}
    )
    assert oven is None
    text = "\n".join(found)
    for part in (
        "unknown key 'hext'. Fix: did you mean 'heat'?",
        "'heat' is missing. Fix: add heat = 0.1",
        "[oven] loaves: it must be a whole number.",
        "[oven] door: it must be one of 'open', 'shut'.",
        "[oven] lit: it must be true or false.",
        "[oven] rolls: it must be a whole number.",
        "[oven] tags: it must be a list, each a text.",
    ):
        assert part in text, part
    assert len(found) == 7
    assert "two" not in text
    with pytest.raises(UsageError, match="7 problems"):
        Problems(found).raise_any("oven.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What goes in, from a file that does not say who wrote it."""

    author: str
    grams: Mapping[str, Annotated[float, Fits(lambda grams: grams > 0, "above 0", "80.0")]]
    minutes: tuple[int, ...] = ()


def test_ranges_mappings_and_what_no_file_may_state() -> None:
    def taken(table: object) -> tuple[Recipe | None, list[str]]:
        problems, given = Problems(), {"author": "me"}
        recipe = parse(Recipe, table, where="[[recipe]] 1", problems=problems, given=given)
        return recipe, problems.found

    recipe, found = taken({"grams": {"rye": 500}, "minutes": [3, 4]})
    assert found == []
    assert recipe == Recipe(author="me", grams={"rye": 500.0}, minutes=(3, 4))
    assert taken({"grams": {"rye": 0}, "minutes": [3, True], "author": "you"})[1] == [
        "[[recipe]] 1: unknown key 'author'. Fix: use grams, minutes.",
        "[[recipe]] 1 grams: it must be keys, each with a number above 0. Fix: for example { … }.",
        "[[recipe]] 1 minutes: it must be a list, each a whole number. Fix: for example [1].",
    ]


def test_what_a_template_leaves_open_is_not_published() -> None:
    _, found = read({"heat": 1.0, "name": "…", "tags": ["…"]})
    assert [line.partition(": ")[2] for line in found] == [
        "it is still to be filled in. Fix: write what is true."
    ] * 2


def test_ranges_are_those_of_the_dataclass() -> None:
    oven, found = read({"heat": 301})
    assert oven is None
    assert found == ["[oven]: heat must be at most 300. Fix: open the door."]
    assert read(3)[1][0].startswith("[oven]: it must be a section.")


def test_comments_come_from_the_docstring() -> None:
    assert meanings(Oven)["heat"] == "Degrees. Hot ovens burn."
    assert meanings(Oven)["rolls"] == "How many."
    text = explain(Oven, name="oven", given={"heat": 180.0})
    assert text.startswith(
        "# How bread is baked.\n[oven]\n# Degrees. Hot ovens burn.\nheat = 180.0"
    )
    assert '# book = "…"' in text
    assert read(tomllib.loads(text)["oven"])[0] == Oven(heat=180.0)


@given(
    st.builds(
        Oven,
        heat=st.floats(0, 300),
        loaves=st.integers(0, 10**9),
        rolls=st.none() | st.integers(0, 9),
        name=st.text(
            st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="…"),
            min_size=1,
        ),
        door=st.sampled_from(["open", "shut"]),
        tags=st.lists(st.sampled_from(["a", "b c"])).map(tuple),
        lit=st.booleans(),
    )
)
def test_what_is_written_reads_back(oven: Oven) -> None:
    assert read(tomllib.loads(render(oven, name="oven"))["oven"])[0] == oven


def test_origins_stand_behind_the_values() -> None:
    text = render(Oven(heat=9.0), name="oven", origins={"heat": "flag"})
    assert "heat = 9.0  # flag" in text
    assert "loaves = 2  # default" in text
    assert "# rolls is not set  # default" in text
