"""PCA by hand: the Gram matrix of centred float32 vectors, and its eigenvectors in float64."""

from exchange import Call, np, vectors, write_factors

call = Call()
a, row_ids = vectors(call)
k = call.setting("k", 64)
mean = a.mean(axis=0, dtype=np.float64)
gram = (a.T @ a).astype(np.float64) - len(a) * np.outer(mean, mean)
values, v = np.linalg.eigh(gram)
s, v = np.sqrt(values[::-1][:k]), v[:, ::-1][:, :k]
u = (a @ v.astype(np.float32) - (mean @ v).astype(np.float32)) / s.astype(np.float32)
call.lap("solve")
write_factors(call, row_ids, u, s, np.arange(a.shape[1]), v)
call.done(f"numpy {np.__version__}")
