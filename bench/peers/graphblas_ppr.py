"""Exact personalized PageRank of many sources by batched products of SuiteSparse:GraphBLAS
(columns=16 at a time). Dangling mass returns to the source. Writes the 100 highest scores of each.
"""

import graphblas as gb
import pyarrow as pa
import pyarrow.parquet as pq
from exchange import Call, best, edges, np, write_best
from graphblas import Matrix, binary, semiring

call = Call()
width, tol = call.setting("columns", 16), call.setting("tol", 1e-8)
src, dst, ids = edges(call)
n = len(ids)
degree = np.bincount(src, minlength=n).astype(np.float64)
inverse = np.divide(1, degree, out=np.zeros(n), where=degree > 0)
# The damping and the out-degrees stand in the matrix, so that an iteration is one product.
transposed = Matrix.from_coo(
    dst.astype(np.uint64), src.astype(np.uint64), 0.85 * inverse[src], nrows=n, ncols=n, dup_op=binary.plus
)
dangling = degree == 0
wanted = pq.read_table(call.setting("sources", ""))["source"].combine_chunks()
places = pa.compute.index_in(wanted, ids).to_numpy()
call.lap("load")
tables = []
for start in range(0, len(places), width):
    here = places[start : start + width]
    columns = np.arange(len(here))
    x = np.zeros((n, len(here)))
    x[here, columns] = 1
    for iteration in range(1000):
        lost = x[dangling].sum(axis=0)
        new = transposed.mxm(Matrix.from_dense(x), semiring.plus_times).new().to_dense(fill_value=0.0)
        new[here, columns] += 0.85 * lost + 0.15
        change = np.abs(new - x).sum(axis=0).max()
        x = new
        if change * 0.85 / 0.15 <= tol:
            break
    tables += [best(ids, place, x[:, column]) for column, place in enumerate(here)]
call.lap("solve")
write_best(call, tables)
call.done(f"python-graphblas {gb.__version__}")
