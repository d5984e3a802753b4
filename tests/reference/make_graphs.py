"""Computes PageRank and personalized PageRank that the tests compare against.

    python make_graphs.py DATA_DIR

Each entry of graphs.json is solved by scipy (direct for small graphs, power iteration to an L1
change below 1e-15 otherwise) and, where its dangling rule allows it, compared with networkx and
igraph. Only the largest scores are kept; generated graphs carry their edges.
"""

import json
import random
import sys
from pathlib import Path

import igraph
import networkx
import numpy as np
import pyarrow.parquet as pq
import scipy
import scipy.sparse as sp

DAMPING = 0.85
KEPT = 30
HERE = Path(__file__).parent

# name: (file, weight column, undirected, dangling)
REAL = {
    "karate": ("karate", None, False, "restart"),
    "karate/weighted": ("karate", "weight", False, "restart"),
    "email-Eu-core": ("email-Eu-core", None, False, "restart"),
    "email-Eu-core/self-loop": ("email-Eu-core", None, False, "self-loop"),
    "wiki-Vote": ("wiki-Vote", None, False, "restart"),
    "wiki-Vote/uniform": ("wiki-Vote", None, False, "uniform"),
    "ca-GrQc": ("ca-GrQc", None, False, "restart"),
    "cora/undirected": ("cora", None, True, "restart"),
    "wikipedia-pos/undirected": ("wikipedia-pos", None, True, "restart"),
    "wikipedia-pos": ("wikipedia-pos", None, False, "restart"),
    "blogcatalog": ("blogcatalog", None, False, "restart"),
    "debian-bookworm_depends/weighted": ("debian-bookworm_depends", "weight", False, "restart"),
    "debian-bookworm_provides": ("debian-bookworm_provides", None, False, "restart"),
    "wordnet30": ("wordnet30", None, False, "restart"),
    "cnr-2000": ("cnr-2000", None, False, "restart"),
}


def generated():
    """Small graphs with everything that can go wrong: sinks, loops, parallel edges, islands."""
    rng = random.Random(7)
    weights = [w / 8 for w in range(1, 40)]

    def edges(n, m, name):
        return [(name(rng.randrange(n)), name(rng.randrange(n)), rng.choice(weights)) for _ in range(m)]

    number = lambda i: 1000 + 7 * i
    text = lambda i: f"node-{i:03}é"
    sinks = [e for e in edges(60, 240, number) if e[0] % 5]
    for dangling in ("restart", "uniform", "self-loop"):
        yield f"generated/sinks/{dangling}", sinks, True, False, dangling
    yield "generated/sinks/unweighted", sinks, False, False, "restart"
    yield "generated/text", edges(80, 300, text), True, False, "restart"
    yield "generated/undirected", edges(50, 120, number), True, True, "restart"
    path = [(i, i + 1, 1.0) for i in range(20)] + [(30, 30, 1.0), (31, 32, 2.0)]
    yield "generated/path-and-islands", path, True, False, "restart"


def matrix(src, dst, weight, undirected):
    """The weighted adjacency matrix; weights are rounded to float32 as rankmill stores them."""
    ids = sorted(set(src) | set(dst))
    place = {vertex: i for i, vertex in enumerate(ids)}
    rows = np.array([place[v] for v in src])
    cols = np.array([place[v] for v in dst])
    values = np.asarray(weight, dtype=np.float32).astype(np.float64)
    if undirected:
        once = rows != cols
        rows, cols = np.concatenate([rows, cols[once]]), np.concatenate([cols, rows[once]])
        values = np.concatenate([values, values[once]])
    n = len(ids)
    return ids, sp.coo_array((values, (rows, cols)), shape=(n, n)).tocsr()


def solve(a, start, dangling):
    """x = (1 − d)·start + d·Mᵀx."""
    n = a.shape[0]
    strength = a.sum(axis=1)
    sinks = strength == 0
    p = sp.diags_array(1 / np.where(sinks, 1, strength)) @ a
    if dangling == "self-loop":
        p = p + sp.diags_array(sinks.astype(float))
    jump = {"restart": start, "uniform": np.full(n, 1 / n), "self-loop": np.zeros(n)}[dangling]
    if n <= 2000:
        m = p.toarray() + np.outer(sinks, jump)
        return np.linalg.solve(np.eye(n) - DAMPING * m.T, (1 - DAMPING) * start)
    pt = p.T.tocsr()
    x = start.copy()
    for _ in range(1000):
        following = (1 - DAMPING) * start + DAMPING * (pt @ x + x[sinks].sum() * jump)
        following /= following.sum()
        change, x = np.abs(following - x).sum(), following
        if change < 1e-15:
            break
    return x


def compare(ids, a, start, x, dangling):
    """What networkx and igraph say of the same question, as an L1 distance."""
    if dangling == "self-loop" or len(ids) > 20_000:
        return {}
    start = {i: s for i, s in enumerate(start) if s > 0}
    jump = {i: 1 / len(ids) for i in range(len(ids))} if dangling == "uniform" else start
    g = networkx.from_scipy_sparse_array(a, create_using=networkx.DiGraph)
    found = networkx.pagerank(g, DAMPING, personalization=start, dangling=jump, tol=1e-17 * 10, max_iter=2000)
    distances = {"networkx": float(sum(abs(found[i] - x[i]) for i in range(len(ids))))}
    uniform = len(start) == len(ids)
    if dangling == "restart":
        coo = a.tocoo()
        g = igraph.Graph(n=len(ids), edges=list(zip(*coo.coords)), directed=True)
        reset = None if uniform else [start.get(i, 0.0) for i in range(len(ids))]
        method = g.pagerank if reset is None else g.personalized_pagerank
        arguments = {} if reset is None else {"reset": reset}
        found = np.array(method(damping=DAMPING, weights=list(coo.data), **arguments))
        distances["igraph"] = float(np.abs(found - x).sum())
    return distances


def leading(ids, x):
    order = sorted(range(len(ids)), key=lambda i: (-x[i], i))[:KEPT]
    return {"ids": [str(ids[i]) for i in order], "scores": [float(x[i]) for i in order]}


def entry(ids, a, source, undirected, dangling):
    n = len(ids)
    uniform = np.full(n, 1 / n)
    x = solve(a, uniform, dangling)
    picks = [ids[n // 7], ids[n // 2], ids[int(np.argmax(a.sum(axis=1)))], ids[int(np.argmin(a.sum(axis=1)))]]
    checks = [compare(ids, a, uniform, x, dangling)]
    personal = {}
    for pick in dict.fromkeys(picks):
        start = np.zeros(n)
        start[ids.index(pick)] = 1.0
        scores = solve(a, start, dangling)
        checks.append(compare(ids, a, start, scores, dangling))
        personal[str(pick)] = leading(ids, scores)
    agreed = {name: max(c[name] for c in checks if name in c) for name in {k for c in checks for k in c}}
    assert all(distance < 1e-9 for distance in agreed.values()), agreed
    return {
        "input": source | {"undirected": undirected, "dangling": dangling},
        "vertices": n,
        "edges": int(a.nnz),
        "pagerank": leading(ids, x),
        "ppr": personal,
        "agreed": dict(sorted(agreed.items())),
    }


def main(data):
    entries = {}
    for name, edges, weighted, undirected, dangling in generated():
        src, dst, weight = zip(*edges)
        weight = weight if weighted else [1.0] * len(edges)
        ids, a = matrix(src, dst, weight, undirected)
        source = {"edges": [list(edge) for edge in edges]} | ({"weight": "weight"} if weighted else {})
        entries[name] = entry(ids, a, source, undirected, dangling)
    for name, (file, column, undirected, dangling) in REAL.items():
        table = pq.read_table(data / "graphs" / f"{file}.parquet")
        src, dst = (table.column(c).to_pylist() for c in ("src", "dst"))
        weight = table.column(column).to_pylist() if column else [1.0] * len(src)
        ids, a = matrix(src, dst, weight, undirected)
        source = {"file": f"graphs/{file}.parquet"} | ({"weight": column} if column else {})
        entries[name] = entry(ids, a, source, undirected, dangling)
        print(name, entries[name]["agreed"], flush=True)
    made = {"numpy": np, "scipy": scipy, "networkx": networkx, "igraph": igraph}
    answer = {"versions": {name: module.__version__ for name, module in made.items()}, "graphs": entries}
    (HERE / "graphs.json").write_text(json.dumps(answer, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
