"""Ingest only: pyarrow decodes and encodes ids, scipy builds CSR. decode=1 stops after decoding."""

import pyarrow
import pyarrow.parquet as pq
import scipy.sparse as sp
from exchange import Call, encode, joint, np

call = Call()
names = [call.setting("row", "user"), call.setting("col", "item")]
value = call.setting("value", "")
table = pq.read_table(call.input, columns=names + [value] * bool(value))
call.lap("decode")
if not call.setting("decode", 0):
    if call.setting("graph", 0):
        rows, columns, row_ids = joint(table)
        column_ids = row_ids
    else:
        (rows, row_ids), (columns, column_ids) = encode(table[names[0]]), encode(table[names[1]])
    values = table[value].to_numpy() if value else np.ones(table.num_rows, np.float32)
    call.lap("encode")
    sp.csr_matrix((values, (rows, columns)), shape=(len(row_ids), len(column_ids))).sum_duplicates()
    call.lap("build")
call.done(f"pyarrow {pyarrow.__version__}", rows=table.num_rows)
