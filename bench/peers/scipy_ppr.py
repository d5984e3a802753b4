"""Exact personalized PageRank of many sources at once on a scipy CSR matrix (columns=16 at a time).

Dangling mass returns to the source. Writes the 100 highest scores of each source.
"""

import pyarrow as pa
import pyarrow.parquet as pq
import scipy
from exchange import Call, best, edges, np, write_best

call = Call()
dtype = np.dtype(call.setting("dtype", "float64"))
width, tol = call.setting("columns", 16), call.setting("tol", 1e-8)
src, dst, ids = edges(call)
n = len(ids)
degree = np.bincount(src, minlength=n).astype(dtype)
transposed = scipy.sparse.csr_matrix((np.ones(len(src), dtype), (dst, src)), shape=(n, n))
inverse = np.divide(1, degree, out=np.zeros(n, dtype), where=degree > 0)[:, None]
dangling = degree == 0
wanted = pq.read_table(call.setting("sources", ""))["source"].combine_chunks()
places = pa.compute.index_in(wanted, ids).to_numpy()
call.lap("load")
tables = []
for start in range(0, len(places), width):
    here = places[start : start + width]
    columns = np.arange(len(here))
    x = np.zeros((n, len(here)), dtype)
    x[here, columns] = 1
    for iteration in range(1000):
        lost = x[dangling].sum(axis=0)
        new = dtype.type(0.85) * (transposed @ (x * inverse))
        new[here, columns] += dtype.type(0.85) * lost + dtype.type(0.15)
        change = np.abs(new - x).sum(axis=0).max()
        x = new
        if change * 0.85 / 0.15 <= tol:
            break
    tables += [best(ids, place, x[:, column]) for column, place in enumerate(here)]
call.lap("solve")
write_best(call, tables)
call.done(f"scipy {scipy.__version__}")
