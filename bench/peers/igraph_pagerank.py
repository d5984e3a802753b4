"""igraph's PageRank by PRPACK."""

import igraph
from exchange import Call, edges, np, write_scores

call = Call()
src, dst, ids = edges(call)
graph = igraph.Graph(n=len(ids), edges=np.stack([src, dst], axis=1), directed=True)
call.lap("load")
scores = graph.pagerank(damping=0.85, implementation="prpack")
call.lap("solve")
write_scores(call, ids, scores)
call.done(f"igraph {igraph.__version__}")
