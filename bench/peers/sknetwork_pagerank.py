"""scikit-network's PageRank by power iteration."""

import sknetwork
from exchange import Call, edges, np, write_scores
from scipy.sparse import csr_matrix
from sknetwork.ranking import PageRank

call = Call()
src, dst, ids = edges(call)
adjacency = csr_matrix((np.ones(len(src), np.float32), (src, dst)), shape=(len(ids), len(ids)))
call.lap("load")
scores = PageRank(0.85, solver="piteration", n_iter=100, tol=call.setting("tol", 1e-6)).fit_predict(adjacency)
call.lap("solve")
write_scores(call, ids, scores)
call.done(f"scikit-network {sknetwork.__version__}")
