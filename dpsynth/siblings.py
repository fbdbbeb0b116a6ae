"""Keep ``import benchmarks`` meaning the package beside this one.

opacus 1.6 installs a top-level package ``benchmarks`` of its own. Where dpsynth is installed
editable, ``site-packages`` comes first and that one would be found. Only this case is put right:
a package of that name in somebody's own project stays what it is.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

_NAME = "benchmarks"
_TRESPASSER = "opacus"


class Siblings:
    """A finder that answers for one name, and only where opacus would."""

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where our package is, or ``None`` to let others look."""
        if name != _NAME or path is not None:
            return None
        found = PathFinder.find_spec(name)
        if found is None or not _is_of_opacus(found.origin):
            return None
        ours = _ours()
        return spec_from_file_location(
            _NAME, ours / "__init__.py", submodule_search_locations=[str(ours)]
        )


def install() -> None:
    """Ask this finder first, and forget a wrong package that was imported before."""
    if Siblings not in sys.meta_path:
        sys.meta_path.insert(0, Siblings)
    known = sys.modules.get(_NAME)
    if known is not None and _is_of_opacus(getattr(known, "__file__", None)):
        # Its parts as well: ours have the same names.
        for name in [name for name in sys.modules if name.partition(".")[0] == _NAME]:
            del sys.modules[name]


def _ours() -> Path:
    return Path(__file__).resolve().parents[1] / _NAME


def _is_of_opacus(origin: str | None) -> bool:
    if origin is None:
        return False
    folder = Path(origin).resolve().parent
    return folder != _ours() and (folder.parent / _TRESPASSER).is_dir()
