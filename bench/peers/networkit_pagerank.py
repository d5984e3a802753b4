"""NetworKit's PageRank; its tolerance is on the L1 norm of a step, sinks are spread uniformly."""

import networkit as nk
from exchange import Call, edges, np, write_scores

call = Call()
src, dst, ids = edges(call)
graph = nk.GraphFromCoo((src.astype(np.uint64), dst.astype(np.uint64)), n=len(ids), directed=True)
call.lap("load")
pagerank = nk.centrality.PageRank(
    graph, 0.85, call.setting("tol", 1e-6), distributeSinks=nk.centrality.SinkHandling.DistributeSinks
)
pagerank.norm = nk.centrality.Norm.L1_NORM
pagerank.run()
call.lap("solve")
scores = np.asarray(pagerank.scores())
write_scores(call, ids, scores / scores.sum())
call.done(f"networkit {nk.__version__}")
