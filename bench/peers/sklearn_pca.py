"""scikit-learn's PCA by any of its solvers (svd_solver=)."""

import sklearn
from exchange import Call, np, vectors, write_factors
from sklearn.decomposition import PCA

call = Call()
a, row_ids = vectors(call)
settings = {"n_components": call.setting("k", 64), "random_state": 0}
settings["svd_solver"] = call.setting("svd_solver", "covariance_eigh")
if settings["svd_solver"] == "randomized":
    settings["iterated_power"] = call.setting("n_iter", 4)
pca = PCA(**settings)
u = pca.fit_transform(a) / pca.singular_values_
call.lap("solve")
write_factors(call, row_ids, u, pca.singular_values_, np.arange(a.shape[1]), pca.components_.T)
call.done(f"scikit-learn {sklearn.__version__}")
