"""Makes inputs from inputs: ids as int32 or strings in zstd Parquet, or a table of sources.

Runs in the peers' environment: derive.py KIND INPUT OUTPUT.
"""

import sys

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

kind, source, output = sys.argv[1:]
reader = pq.ParquetFile(source)

if kind.endswith("sources"):
    # The first 64, or 10,000, distinct vertices with an out-edge, as the edges have them.
    count = 64 if kind == "sources" else 10_000
    firsts = pc.unique(next(reader.iter_batches(batch_size=count << 10))["src"])[:count]
    pq.write_table(pa.table({"source": firsts}), output)
    sys.exit()

writer = None
for batch in reader.iter_batches(batch_size=1 << 20):
    columns = {}
    for name, column in zip(batch.schema.names, batch.columns):
        if pa.types.is_integer(column.type) and kind == "int32-zstd":
            column = column.cast(pa.int32())
        elif pa.types.is_integer(column.type):
            digits = pc.utf8_lpad(column.cast(pa.string()), 10, "0")
            column = pc.binary_join_element_wise(name[0], digits, "-")
        columns[name] = column
    if kind == "string-zstd" and "dst" in columns:
        # Both ends of an edge are of one kind.
        columns["dst"] = pc.binary_replace_slice(columns["dst"].cast(pa.binary()), 0, 1, b"s").cast(pa.string())
    table = pa.table(columns)
    writer = writer or pq.ParquetWriter(output, table.schema, compression="zstd")
    writer.write_table(table)
writer.close()
