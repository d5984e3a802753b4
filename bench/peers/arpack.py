"""scipy's svds by ARPACK or PROPACK (solver=), in float32 or float64 (dtype=)."""

import scipy
from exchange import Call, np, ratings, write_factors
from scipy.sparse.linalg import svds

call = Call()
a, row_ids, column_ids = ratings(call, np.dtype(call.setting("dtype", "float32")))
u, s, vt = svds(
    a,
    k=call.setting("k", 64),
    tol=call.setting("tol", 0.0),
    solver=call.setting("solver", "arpack"),
    random_state=0,
)
call.lap("solve")
write_factors(call, row_ids, u[:, ::-1], s[::-1], column_ids, vt[::-1].T)
call.done(f"scipy {scipy.__version__}")
