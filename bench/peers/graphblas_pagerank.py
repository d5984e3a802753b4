"""PageRank by power iteration on SuiteSparse:GraphBLAS; dangling mass is spread uniformly."""

import graphblas as gb
from exchange import Call, edges, np, write_scores
from graphblas import Matrix, Vector, binary, monoid, semiring

call = Call()
kind = gb.dtypes.lookup_dtype(call.setting("dtype", "float32"))
dtype = np.dtype(kind.np_type)
src, dst, ids = edges(call)
n = len(ids)
degree = np.bincount(src, minlength=n).astype(dtype)
ones = np.ones(len(src), dtype)
transposed = Matrix.from_coo(
    dst.astype(np.uint64), src.astype(np.uint64), ones, nrows=n, ncols=n, dtype=kind, dup_op=binary.plus
)
call.lap("load")
tol = call.setting("tol", 1e-6)
inverse = Vector.from_dense(np.divide(1, degree, out=np.zeros(n, dtype), where=degree > 0))
dangling = Vector.from_dense((degree == 0).astype(dtype))
x = Vector.from_dense(np.full(n, 1 / n, dtype))
for iteration in range(1000):
    lost = float(x.ewise_mult(dangling, binary.times).reduce(monoid.plus).value)
    scaled = x.ewise_mult(inverse, binary.times).new()
    new = Vector.from_dense(np.full(n, (0.85 * lost + 0.15) / n, dtype))
    flow = transposed.mxv(scaled, semiring.plus_times).new()
    new(accum=binary.plus) << flow.apply(binary.times, right=dtype.type(0.85))
    gap = new.ewise_add(x, binary.minus).new()
    change = float(gap.apply(gb.unary.abs).new().reduce(monoid.plus).value)
    x = new
    if change <= tol:
        break
call.lap("solve")
write_scores(call, ids, x.to_dense())
call.done(f"python-graphblas {gb.__version__}", iterations=iteration + 1)
