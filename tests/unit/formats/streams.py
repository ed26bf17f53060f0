"""Arrow streams as Arrow's own library writes and reads them."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import ipc


def stream(table: pa.Table, **options: Any) -> bytes:
    """Write a table as a stream, with options of `RecordBatchStreamWriter.write_table` and of the format."""
    target = io.BytesIO()
    most = options.pop("max_chunksize", None)
    with ipc.new_stream(target, table.schema, options=ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=most)
    return target.getvalue()


def stream_of(columns: Mapping[str, Sequence[Any]], **types: pa.DataType) -> bytes:
    """Write columns as a stream; Arrow finds the types of those that have none here."""
    return stream(pa.table({name: pa.array(values, types.get(name)) for name, values in columns.items()}))


def read_stream(content: bytes) -> pa.Table:
    """Read a stream, and see that all of it is as the format says."""
    table = ipc.open_stream(content).read_all()
    table.validate(full=True)
    return table
