"""What every peer does around its solver: read Parquet, turn ids into indices, write Parquet.

A peer is called as `PEER.py INPUT OUTPUT key=value…` and prints one line of JSON: the seconds of
its parts, and its version. Results lie as rankmill's do: `left`, `right` (id, vector),
`singular_values` (component, value); `scores` (id, score).
"""

import json
import os
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


class Call:
    """The arguments of one call, and a stopwatch for its parts."""

    def __init__(self):
        self.input, self.output = sys.argv[1:3]
        self.settings = dict(setting.split("=", 1) for setting in sys.argv[3:])
        self.seconds = {}
        self._lap = time.perf_counter()
        os.makedirs(self.output, exist_ok=True)

    def setting(self, name, default):
        """A setting, of the type of its default."""
        return type(default)(self.settings.get(name, default))

    def lap(self, part):
        """Books the time since the last lap on `part`."""
        now = time.perf_counter()
        self.seconds[part] = now - self._lap
        self._lap = now

    def done(self, version, **more):
        print(json.dumps({"seconds": self.seconds, "version": version, **more}))


def encode(column):
    """Indices 0, 1, 2, … in place of ids, and the ids."""
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    return encoded.indices.to_numpy(zero_copy_only=False), encoded.dictionary


def ratings(call, dtype=np.float32):
    """The sparse matrix of a table (row, column, value): CSR, ids of rows, ids of columns."""
    import scipy.sparse as sp

    names = [call.setting("row", "user"), call.setting("col", "item"), call.setting("value", "rating")]
    table = pq.read_table(call.input, columns=names)
    rows, row_ids = encode(table[names[0]])
    columns, column_ids = encode(table[names[1]])
    values = table[names[2]].to_numpy().astype(dtype, copy=False)
    shape = (len(row_ids), len(column_ids))
    matrix = sp.csr_matrix((values, (rows, columns)), shape=shape)
    call.lap("load")
    return matrix, row_ids, column_ids


def vectors(call):
    """The dense matrix of a table (id, vector), and its ids."""
    table = pq.read_table(call.input, columns=["id", "vector"])
    lists = table["vector"].combine_chunks()
    if isinstance(lists, pa.ChunkedArray):
        lists = pa.concat_arrays(lists.chunks)
    matrix = lists.flatten().to_numpy().reshape(len(lists), -1)
    call.lap("load")
    return matrix, table["id"]


def edges(call):
    """Sources and targets of all edges as indices into one table of ids."""
    return joint(pq.read_table(call.input, columns=["src", "dst"]))


def joint(table):
    """Two columns of ids as indices into one table of ids."""
    one, other = table.columns[:2]
    indices, ids = encode(pa.chunked_array(one.chunks + other.chunks))
    count = table.num_rows
    return indices[:count], indices[count:], ids


def write_factors(call, row_ids, u, s, column_ids, v):
    """`u` is m×k, `v` is n×k."""
    def table(ids, factor):
        flat = pa.array(np.ascontiguousarray(factor, dtype=np.float32).ravel())
        return pa.table({"id": ids, "vector": pa.FixedSizeListArray.from_arrays(flat, factor.shape[1])})

    pq.write_table(table(row_ids, u), os.path.join(call.output, "left.parquet"))
    pq.write_table(table(column_ids, v), os.path.join(call.output, "right.parquet"))
    values = {"component": np.arange(len(s), dtype=np.int32), "value": np.asarray(s, dtype=np.float64)}
    pq.write_table(pa.table(values), os.path.join(call.output, "singular_values.parquet"))
    call.lap("write")


def best(ids, source, scores):
    """The table of the 100 highest scores of a source."""
    top = np.argsort(-scores, kind="stable")[:100]
    return pa.table({"source": pa.repeat(ids[int(source)], len(top)), "target": ids.take(pa.array(top)), "score": scores[top]})


def write_best(call, tables):
    pq.write_table(pa.concat_tables(tables), os.path.join(call.output, "scores.parquet"))
    call.lap("write")


def write_scores(call, ids, scores):
    table = pa.table({"id": ids, "score": np.asarray(scores, dtype=np.float64)})
    pq.write_table(table, os.path.join(call.output, "scores.parquet"))
    call.lap("write")
