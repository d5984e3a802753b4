"""PageRank by power iteration on a scipy CSR matrix; dangling mass is spread uniformly."""

import scipy
from exchange import Call, edges, np, write_scores

call = Call()
dtype = np.dtype(call.setting("dtype", "float32"))
src, dst, ids = edges(call)
n = len(ids)
degree = np.bincount(src, minlength=n).astype(dtype)
transposed = scipy.sparse.csr_matrix((np.ones(len(src), dtype), (dst, src)), shape=(n, n))
call.lap("load")
damping, tol = dtype.type(0.85), call.setting("tol", 1e-6)
inverse = np.divide(1, degree, out=np.zeros(n, dtype), where=degree > 0)
dangling = degree == 0
x = np.full(n, 1 / n, dtype)
for iteration in range(1000):
    lost = x[dangling].sum(dtype=np.float64)
    new = damping * (transposed @ (x * inverse))
    new += dtype.type((0.85 * lost + 0.15) / n)
    change = np.abs(new - x).sum(dtype=np.float64)
    x = new
    if change <= tol:
        break
call.lap("solve")
write_scores(call, ids, x)
call.done(f"scipy {scipy.__version__}", iterations=iteration + 1)
