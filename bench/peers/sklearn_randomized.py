"""scikit-learn's randomized_svd, on sparse ratings or, with center=1, on centred dense vectors."""

import sklearn
from exchange import Call, np, ratings, vectors, write_factors
from sklearn.utils.extmath import randomized_svd

call = Call()
if call.setting("center", 0):
    a, row_ids = vectors(call)
    a = a - a.mean(axis=0, dtype=np.float64).astype(np.float32)
    column_ids = np.arange(a.shape[1])
else:
    a, row_ids, column_ids = ratings(call)
u, s, vt = randomized_svd(
    a, n_components=call.setting("k", 64), n_iter=call.setting("n_iter", 4), random_state=0
)
call.lap("solve")
write_factors(call, row_ids, u, s, column_ids, vt.T)
call.done(f"scikit-learn {sklearn.__version__}")
