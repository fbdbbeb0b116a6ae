"""The command line: thin commands over the library.

stdout carries the result, stderr the messages and the progress. Exit codes: 0 ok, 1 internal
error, 2 usage or configuration, 3 schema or data refused, 4 budget refused, 5 validation gate
failed, 6 integrity or overwrite refused, 130 interrupted.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from dpsynth.errors import DPSynthError, UsageError, require_extra

cyclopts = require_extra("cyclopts", extra="cli", purpose="The command line")

_HELP = """Synthetic tables with a differential privacy proof attached.

Example: dpsynth demo -o demo-release

Exit codes: 0 ok, 1 internal error, 2 usage or configuration, 3 schema or data refused,
4 budget refused, 5 validation gate failed, 6 integrity or overwrite refused, 130 interrupted.
"""


# Every command module needs it.
from dpsynth.cli import (  # noqa: E402
    auditing,
    benching,
    evaluating,
    fitting,
    ledgers,
    releasing,
    schemas,
)
from dpsynth.cli.console import say  # noqa: E402


def _version() -> str:
    from dpsynth import __version__

    return __version__


app = cyclopts.App(name="dpsynth", help=_HELP, version=_version)
app.command(schemas.app)
app.command(fitting.plan)
app.command(fitting.fit)
app.command(fitting.sample)
app.command(auditing.audit)
app.command(auditing.split)
app.command(evaluating.evaluate)
app.command(releasing.init)
app.command(releasing.release)
app.command(releasing.verify)
app.command(releasing.sign)
app.command(releasing.demo)
app.command(benching.bench)
app.command(ledgers.app)


def main(tokens: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        command, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
        command(*bound.args, **bound.kwargs)
    except cyclopts.CycloptsError as error:
        say(f"error: DPS500 {error}")
        return UsageError.exit_code
    except DPSynthError as error:
        say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say("interrupted; what was booked stays booked")
        return 130
    except BrokenPipeError:
        return 1
    except Exception as error:  # the last resort: name the place, never the values
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        say(f"error: DPS001 internal error ({type(error).__name__} at {place}).")
        return 1
    return 0


def run() -> None:
    """Entry point of the ``dpsynth`` command."""
    sys.exit(main())
