"""Runs a page of the documentation as its reader does: block after block, in one folder.

Blocks of ``console`` and ``python`` are run. An ``output`` block after one states what it prints,
where ``…`` stands for whatever varies. A ``toml`` block with a title is a file to save, or lines of
a file to change. Comments before a block say what does not show: ``<!-- exit 4 -->``,
``<!-- not executed: reason -->``, and ``<!-- copy FILE -->`` for a linked file that is saved.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dpsynth.cli import main
from dpsynth.sections import to_toml

_BLOCK = re.compile(
    r'(?:^<!-- (?P<note>[^>]*?) -->\n)?^```(?P<kind>\w*)(?: title="(?P<title>[^"]*)")?\n'
    r"(?P<body>.*?)^```$|^<!-- copy (?P<copy>\S+) -->$",
    re.M | re.S,
)
_PYTHON = 'python() { "$PYTHON" "$@"; }\n'
"""The reader's python is ours."""


@dataclass(frozen=True)
class Block:
    """What stands between two fences, or a note to copy a file."""

    kind: str
    body: str
    note: str = ""
    title: str = ""
    line: int = 0

    @property
    def exit_code(self) -> int:
        found = re.fullmatch(r"exit (\d+)", self.note)
        return int(found[1]) if found else 0

    @property
    def is_run(self) -> bool:
        return self.kind in ("console", "python") and not self.note.startswith("not executed")


def blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a page."""
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        if found["copy"]:
            yield Block("copy", found["copy"], line=line)
        else:
            parts = (found["kind"], found["body"], found["note"] or "", found["title"] or "")
            yield Block(*parts, line=line)


def commands(body: str) -> list[str]:
    """Return the commands of a block without comments; a backslash goes on in the next line."""
    lines = body.replace("\\\n", " ").splitlines()
    return [stripped for line in lines if (stripped := re.sub(r"(^|\s+)#.*", "", line).strip())]


def matches(stated: str, printed: str) -> bool:
    """Whether an output is the stated one, where ``…`` stands for anything."""
    pattern = ""
    for line in stated.strip().splitlines():
        words = " ".join(line.split())
        if words == "…":
            pattern += r"(?:.*\n)*"
        elif words:
            pattern += re.escape(words).replace("…", ".*") + r"\n"
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in lines if line)) is not None


@dataclass
class Reader:
    """Does what a page says, in the folder where the process stands.

    Parameters
    ----------
    page : Path
        The page.
    """

    page: Path
    names: dict[str, object] = field(default_factory=dict)
    printed: str | None = None
    run: int = 0

    def follow(self) -> None:
        """Do all of it; any surprise is an AssertionError that names the line."""
        for block in blocks(self.page.read_text(encoding="utf-8")):
            where = f"{self.page.name}:{block.line}"
            if block.kind == "copy":
                shutil.copy(self.page.parent / block.body, block.body)
            elif block.kind == "toml" and block.title.endswith(": change these lines"):
                change_lines(Path(block.title.partition(":")[0]), block.body)
            elif block.title:
                Path(block.title).write_text(block.body, encoding="utf-8")
            elif block.is_run:
                self.printed = self._python(block) if block.kind == "python" else _console(block)
                self.run += 1
            elif block.kind == "output":
                assert self.printed is not None, f"{where}: output of nothing"
                assert matches(block.body, self.printed), f"{where}: printed\n{self.printed}"
                self.printed = None

    def _python(self, block: Block) -> str:
        out = io.StringIO()
        code = "\n" * block.line + block.body
        with contextlib.redirect_stdout(out):
            exec(compile(code, self.page.name, "exec"), self.names)
        return out.getvalue()


def _console(block: Block) -> str:
    printed = ""
    *before, last = commands(block.body)
    for command, expected in [(line, 0) for line in before] + [(last, block.exit_code)]:
        code, out, told = run_command(command)
        assert code == expected, f"{command}: exit code {code}\n{told}"
        printed += out
    return printed


def run_command(command: str) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr; our own command runs in this process."""
    if not command.startswith("dpsynth "):
        environment = os.environ | {"PYTHON": sys.executable}
        ended = subprocess.run(
            ["bash", "-c", _PYTHON + command], capture_output=True, text=True, env=environment
        )
        return ended.returncode, ended.stdout, ended.stderr
    out, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
        code = main(shlex.split(command)[1:])
    return code, out.getvalue(), told.getvalue()


def change_lines(file: Path, lines: str) -> None:
    """Put the values of a TOML text where the file has those keys, open ones included."""
    text = file.read_text(encoding="utf-8")
    for section, values in tomllib.loads(lines).items():
        start = re.search(rf"^\[{section}\]$", text, re.M)
        assert start, f"{file} has no [{section}]"
        end = re.compile(r"^\[", re.M).search(text, start.end())
        head, tail = text[: start.end()], text[end.start() :] if end else ""
        part = text[start.end() : end.start() if end else None]
        for key, value in values.items():
            line = f"{key} = {to_toml(value)}"
            part, hits = re.subn(rf"^(?:# )?{key} = .*$", lambda _, to=line: to, part, flags=re.M)
            assert hits == 1, f"{file} has no {section}.{key} to change"
        text = head + part + tail
    file.write_text(text, encoding="utf-8")
