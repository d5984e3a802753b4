"""Facebook's fbpca.pca without centring: randomized subspace iteration with LU."""

import fbpca
from exchange import Call, np, ratings, write_factors

call = Call()
np.random.seed(0)
a, row_ids, column_ids = ratings(call)
u, s, vt = fbpca.pca(a, k=call.setting("k", 64), raw=True, n_iter=call.setting("n_iter", 4))
call.lap("solve")
write_factors(call, row_ids, u, s, column_ids, vt.T)
call.done("fbpca 1.0")
