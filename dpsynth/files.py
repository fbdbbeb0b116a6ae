"""Reading and writing tables as files; what is refused here is form, never a value.

Messages of the parsers below are dropped on purpose: they quote cells.
"""

from __future__ import annotations

import codecs
import csv
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from dpsynth.errors import DataError, IntegrityError, UsageError

Source = str | os.PathLike[str] | pd.DataFrame | pa.Table

_CHUNK = 1 << 20

# Arrow's default turns a column of integers or booleans that has a null into floats or objects:
# one row would change how all others are read, and 64-bit keys above 2**53 would run together.
_EXACT: dict[pa.DataType, Any] = {
    pa.bool_(): pd.BooleanDtype(),
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}
_SUFFIXES = (".csv", ".parquet")


def refuse_existing(path: Path) -> None:
    """Raise if a file would be overwritten."""
    if path.exists():
        raise _exists(path)


def require_writable(path: Path) -> None:
    """Refuse, before anything is spent, a file that could not be written at the end.

    Missing folders are made.

    Raises
    ------
    IntegrityError
        If the file exists.
    UsageError
        If it cannot be written where it should stand.
    """
    refuse_existing(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError:
        raise UsageError(
            f"cannot write {str(path)!r}.", fix="name a place in a folder that can be written."
        ) from None


def require_outputs(*, page: Path | None, output: Path | None) -> None:
    """Refuse a page and evidence that could not be written at the end, or are one file.

    Raises
    ------
    IntegrityError
        If one of them exists.
    UsageError
        If one of them cannot be written, or both are the same.
    """
    for path in (page, output):
        if path is not None:
            require_writable(path)
    if page is not None and output is not None and page.resolve() == output.resolve():
        raise UsageError("page and evidence are one file.", fix="give two names.")


def _exists(path: Path) -> IntegrityError:
    return IntegrityError(
        f"{str(path)!r} exists and is not overwritten.",
        code="DPS601",
        fix="choose another name or move the old one away.",
    )


def write_bytes(path: Path, content: bytes, *, mode: int = 0o644, replace: bool = False) -> None:
    """Write a file in one step: it is there whole or not at all.

    Raises
    ------
    IntegrityError
        If the file exists and is not to be replaced.
    UsageError
        If the folder cannot be written.
    """
    if not replace:
        refuse_existing(path)
    try:
        handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except OSError:
        raise UsageError(
            f"cannot write into {str(path.parent)!r}.", fix="make the folder writable."
        ) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(scratch, mode)
        if replace:
            os.replace(scratch, path)
        else:
            # A hard link fails where the name was taken meanwhile; a rename would replace it.
            os.link(scratch, path)
    except FileExistsError:
        raise _exists(path) from None
    finally:
        Path(scratch).unlink(missing_ok=True)


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """Return a table as CSV in UTF-8, lines ended by LF.

    Raises
    ------
    DataError
        If a column mixes types that cannot be written.
    """
    try:
        return frame.to_csv(index=False, lineterminator="\n").encode("utf-8")
    except (ValueError, TypeError):
        raise _unwritable(".csv") from None


def parquet_bytes(frame: pd.DataFrame, marks: Mapping[str, str]) -> bytes:
    """Return a table as a Parquet file whose metadata holds ``marks``.

    Raises
    ------
    DataError
        If a column mixes types, or names repeat.
    """
    sink = pa.BufferOutputStream()
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False)
        known = table.schema.metadata or {}
        pyarrow.parquet.write_table(table.replace_schema_metadata({**known, **marks}), sink)
    except (pa.ArrowException, ValueError, TypeError):
        raise _unwritable(".parquet") from None
    return sink.getvalue().to_pybytes()


def write_frame(frame: pd.DataFrame, path: str | Path, *, mode: int = 0o644) -> None:
    """Write a table as .csv or .parquet; an existing file is not replaced."""
    path = Path(path)
    if path.suffix not in _SUFFIXES:
        raise UsageError(f"cannot write {path.suffix!r} files.", fix="end in .csv or .parquet.")
    if path.suffix == ".csv":
        content = csv_bytes(frame)
    else:
        content = parquet_bytes(frame, {})
    write_bytes(path, content, mode=mode)


def _unwritable(suffix: str) -> DataError:
    return DataError(
        f"the table cannot be written as {suffix}: a column mixes types, or names repeat.",
        code="DPS259",
        fix="give every column one type and a name of its own.",
    )


def column_types(source: object) -> dict[str, str | None]:
    """Return the names of a table and the kind that each dtype suggests; no value is read.

    Returns
    -------
    dict
        Name to ``"integer"``, ``"real"``, ``"boolean"``, ``"datetime"``, ``"categorical"``,
        ``"unusable"`` or ``None`` where nothing is known (CSV).

    Raises
    ------
    DataError
        If the source is no readable table, or names repeat.
    """
    if _is_frame(source):
        types = {str(name): _pandas_kind(dtype) for name, dtype in source.dtypes.items()}
        names = [str(name) for name in source.columns]
    elif _is_arrow(source):
        types = {field.name: _arrow_kind(field.type) for field in source.schema}
        names = source.schema.names
    else:
        path = _existing(source)
        if path.suffix == ".parquet":
            schema = _parquet(path).schema_arrow
            types = {field.name: _arrow_kind(field.type) for field in schema}
            names = schema.names
        else:
            names = csv_header(path)
            types = dict.fromkeys(names)
    for name in names:
        if names.count(name) > 1:
            raise DataError(
                "the name occurs more than once in the table.",
                column=name,
                code="DPS254",
                fix="rename the columns so that every name is unique.",
            )
    return types


def check_form(source: Source, columns: Sequence[str]) -> None:
    """Refuse a source whose rows cannot be read, without looking at what they say.

    Raises
    ------
    DataError
        If a CSV file is not UTF-8 or not rectangular, or the table has no rows.
    """
    if _is_frame(source) or _is_arrow(source):
        empty = len(source) == 0
    else:
        path = _existing(source)
        if path.suffix == ".parquet":
            empty = _parquet(path).metadata.num_rows == 0
        else:
            _check_utf8(path)
            empty = not _has_lines(path)
            if not empty:
                _csv_batches(path, columns)
    if empty:
        raise DataError(
            "the table has no rows.", code="DPS255", fix="give a table with at least one row."
        )


def read_columns(source: Source, columns: Sequence[str]) -> pd.DataFrame:
    """Return the named columns: text from CSV, their own types otherwise."""
    if _is_frame(source):
        frame = source.copy(deep=False)
        frame.columns = [str(name) for name in frame.columns]
        return frame[list(columns)].reset_index(drop=True)
    try:
        if _is_arrow(source):
            return _to_pandas(source.select(list(columns)))
        path = _existing(source)
        if path.suffix == ".parquet":
            return _to_pandas(_parquet(path).read(columns=list(columns)))
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            "rows of the table cannot be decoded.",
            code="DPS259",
            fix="the file may be damaged: write it anew.",
        ) from None
    batches = list(_csv_batches(path, columns))
    schema = pa.schema([(name, pa.string()) for name in columns])
    return pa.Table.from_batches(batches, schema=schema).to_pandas()


def _to_pandas(table: pa.Table) -> pd.DataFrame:
    # Without the pandas metadata: it would turn stored columns into an index.
    return table.to_pandas(types_mapper=_EXACT.get, ignore_metadata=True)


def read_frame(path: str | Path) -> pd.DataFrame:
    """Read a whole table: text from CSV, its own types from Parquet."""
    return read_columns(path, list(column_types(path)))


def csv_header(path: Path) -> list[str]:
    """Return the names in the first line of a CSV file."""
    with path.open("rb") as file:
        first = file.readline()
    try:
        header = next(csv.reader([first.decode("utf-8-sig")]), [])
    except UnicodeDecodeError:
        raise _not_utf8(path) from None
    except csv.Error:
        raise _no_table(path) from None
    if not header or not any(name.strip() for name in header):
        raise _no_table(path, "has no header line")
    if any("\x00" in name for name in header):
        raise _no_table(path)
    return header


def _no_table(path: Path, what: str = "is neither UTF-8 CSV nor Parquet") -> DataError:
    return DataError(
        f"{str(path)!r} {what}.",
        code="DPS252",
        fix="give a CSV file in UTF-8 with a header line, or a Parquet file.",
    )


def _not_utf8(path: Path) -> DataError:
    return DataError(
        f"{str(path)!r} is not valid UTF-8.",
        code="DPS253",
        fix="convert it, for example with: iconv -f latin1 -t utf-8.",
    )


def _is_frame(source: object) -> TypeGuard[pd.DataFrame]:
    return isinstance(source, pd.DataFrame)


def _is_arrow(source: object) -> TypeGuard[pa.Table]:
    return isinstance(source, pa.Table)


def _existing(source: object) -> Path:
    if not isinstance(source, str | os.PathLike):
        raise UsageError(
            "a table must be a path, a pandas DataFrame or a pyarrow Table, "
            f"not {type(source).__name__}."
        )
    path = Path(source)
    if path.suffix not in _SUFFIXES:
        raise DataError(
            f"{str(path)!r} is neither .csv nor .parquet.",
            code="DPS252",
            fix="convert the table to CSV or Parquet.",
        )
    if not path.is_file() or not os.access(path, os.R_OK):
        raise DataError(
            f"there is no readable file {str(path)!r}.", code="DPS251", fix="check path and rights."
        )
    return path


def _parquet(path: Path) -> pyarrow.parquet.ParquetFile:
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (pa.ArrowException, OSError):
        raise _no_table(path) from None


def _check_utf8(path: Path) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise _not_utf8(path) from None


def _has_lines(path: Path) -> bool:
    with path.open("rb") as file:
        file.readline()
        return any(line.strip() for line in file)


def _csv_batches(path: Path, columns: Sequence[str]) -> list[pa.RecordBatch]:
    text = {name: pa.string() for name in columns}
    try:
        with pyarrow.csv.open_csv(
            path,
            parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                include_columns=list(columns), column_types=text, strings_can_be_null=False
            ),
        ) as reader:
            return list(reader)
    except pa.ArrowException:
        raise DataError(
            f"{str(path)!r} is not a rectangular CSV table: its lines differ in length or are cut.",
            code="DPS256",
            fix="write it anew with every line as long as the header, quoting where needed.",
        ) from None


def _pandas_kind(dtype: Any) -> str | None:  # noqa: ANN401 - pandas has no common type
    if isinstance(dtype, pd.CategoricalDtype):
        return "categorical"
    if pd.api.types.is_bool_dtype(dtype):
        return "boolean"
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return "datetime"
    if pd.api.types.is_integer_dtype(dtype):
        return "integer"
    if pd.api.types.is_float_dtype(dtype):
        return "real"
    if isinstance(dtype, pd.ArrowDtype):
        return _arrow_kind(dtype.pyarrow_dtype)
    if pd.api.types.is_string_dtype(dtype):
        return "categorical"
    if pd.api.types.is_object_dtype(dtype):
        return None
    return "unusable"


def _arrow_kind(dtype: pa.DataType) -> str | None:
    types = pa.types
    if types.is_dictionary(dtype) or types.is_string(dtype) or types.is_large_string(dtype):
        return "categorical"
    if types.is_boolean(dtype):
        return "boolean"
    if types.is_timestamp(dtype) or types.is_date(dtype):
        return "datetime"
    if types.is_integer(dtype):
        return "integer"
    if types.is_floating(dtype) or types.is_decimal(dtype):
        return "real"
    if types.is_null(dtype):
        return None
    return "unusable"
