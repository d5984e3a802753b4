"""How good an answer is, against a reference made once by a slow and exact method.

Runs in the peers' environment: judge.py reference KIND INPUT FILE key=value… | judge.py check KIND
OUTPUT FILE. `check` prints one line of JSON with the error. Shares no code with rankmill.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "peers"))

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def reference_svd(call):
    """ARPACK in float64 to machine precision."""
    from exchange import ratings
    from scipy.sparse.linalg import svds

    a, _, _ = ratings(call, np.float64)
    sigma = svds(a, k=call.setting("k", 64), tol=0, return_singular_vectors=False, random_state=1)
    return {"sigma": np.sort(sigma)[::-1]}


def reference_pca(call):
    """Eigenvalues of the centred Gram matrix, all in float64."""
    from exchange import vectors

    a, _ = vectors(call)
    mean = a.mean(axis=0, dtype=np.float64)
    gram = np.zeros((a.shape[1],) * 2)
    for start in range(0, len(a), 20_000):
        part = a[start : start + 20_000].astype(np.float64) - mean
        gram += part.T @ part
    return {"sigma": np.sqrt(np.linalg.eigvalsh(gram)[::-1][: call.setting("k", 64)])}


def reference_pagerank(call):
    """Power iteration in float64 until a step moves less than 1e-14; dangling mass is uniform."""
    import scipy.sparse as sp
    from exchange import edges

    src, dst, ids = edges(call)
    n = len(ids)
    degree = np.bincount(src, minlength=n).astype(np.float64)
    transposed = sp.csr_matrix((np.ones(len(src)), (dst, src)), shape=(n, n))
    inverse = np.divide(1, degree, out=np.zeros(n), where=degree > 0)
    x = np.full(n, 1 / n)
    for _ in range(400):
        new = 0.85 * (transposed @ (x * inverse)) + (0.85 * x[degree == 0].sum() + 0.15) / n
        change = np.abs(new - x).sum()
        x = new
        if change < 1e-14:
            break
    return {"ids": ids.to_numpy(zero_copy_only=False), "scores": x}


def reference_ppr(call):
    """Power iteration in float64 of every source until a step moves less than 1e-13."""
    import scipy.sparse as sp
    from exchange import edges

    src, dst, ids = edges(call)
    n = len(ids)
    degree = np.bincount(src, minlength=n).astype(np.float64)
    transposed = sp.csr_matrix((np.ones(len(src)), (dst, src)), shape=(n, n))
    inverse = np.divide(1, degree, out=np.zeros(n), where=degree > 0)[:, None]
    names = pq.read_table(call.setting("sources", ""))["source"].combine_chunks()
    names = names[: call.setting("first", len(names))]
    places = pa.compute.index_in(names, ids).to_numpy()
    tops = []
    for start in range(0, len(places), 16):
        here = places[start : start + 16]
        x = np.zeros((n, len(here)))
        columns = np.arange(len(here))
        x[here, columns] = 1
        for _ in range(400):
            new = 0.85 * (transposed @ (x * inverse))
            new[here, columns] += 0.85 * x[degree == 0].sum(axis=0) + 0.15
            change = np.abs(new - x).sum(axis=0).max()
            x = new
            if change < 1e-13:
                break
        tops += [np.argsort(-x[:, column], kind="stable")[:100] for column in columns]
        values = np.stack([x[top, column] for column, top in enumerate(tops[-len(here) :])])
        scores = values if start == 0 else np.concatenate([scores, values])
    plain = ids.to_numpy(zero_copy_only=False)
    return {"sources": plain[places], "targets": plain[np.stack(tops)], "scores": scores}


def check_sigma(output, reference):
    """The largest relative error of a singular value."""
    table = pq.read_table(output / "singular_values.parquet").sort_by("component")
    found, wanted = table["value"].to_numpy(), reference["sigma"]
    if len(found) != len(wanted):
        return {"error": float("inf"), "why": f"{len(found)} values instead of {len(wanted)}"}
    return {"error": float(np.max(np.abs(found - wanted) / wanted))}


def check_pagerank(output, reference):
    """The L1 distance of the scores."""
    table = read(output, "scores")
    order = pa.compute.index_in(pa.array(reference["ids"]), table["id"].combine_chunks())
    scores = table["score"].to_numpy()[order.to_numpy()]
    return {"error": float(np.abs(scores - reference["scores"]).sum())}


def check_ppr(output, reference):
    """The largest error of a score among the hundred highest of each source (0 where missing)."""
    found, sources = scores_of(output, reference)
    worst, missed = 0.0, 0
    for source, targets, scores in zip(reference["sources"], reference["targets"], reference["scores"]):
        if int(source) not in sources:
            continue
        errors = [abs(found.get((int(source), int(t)), 0.0) - s) for t, s in zip(targets, scores)]
        missed = max(missed, sum((int(source), int(t)) not in found for t in targets))
        worst = max(worst, sum(errors))
    return {"error": worst, "missed_of_100": missed}


def check_top(output, reference):
    """The share of the hundred best that is missing, over the sources that were answered."""
    found, sources = scores_of(output, reference)
    missed = [
        (int(source), int(target)) not in found
        for source, targets, scores in zip(reference["sources"], reference["targets"], reference["scores"])
        for target, score in zip(targets, scores)
        if int(source) in sources and score > 0
    ]
    return {"error": sum(missed) / len(missed)}


def scores_of(output, reference):
    """Scores by (source, target) of the reference's sources, and those of them that were answered."""
    table = read(output, "scores")
    table = table.filter(pa.compute.is_in(table["source"], pa.array(reference["sources"])))
    found = zip(table["source"].to_pylist(), table["target"].to_pylist(), table["score"].to_pylist())
    found = {(source, target): score for source, target, score in found}
    sources = {source for source, _ in found}
    if not sources:
        raise SystemExit("none of the reference's sources was answered")
    return found, sources


def read(output, name):
    place = output / name
    return pq.read_table(place if place.exists() else output / f"{name}.parquet")


REFERENCES = {
    "svd": reference_svd,
    "pca": reference_pca,
    "pagerank": reference_pagerank,
    "ppr": reference_ppr,
    "top": reference_ppr,
}
CHECKS = {"svd": check_sigma, "pca": check_sigma, "pagerank": check_pagerank, "ppr": check_ppr, "top": check_top}


def main():
    action, kind, place, file = sys.argv[1:5]
    if action == "check":
        print(json.dumps(CHECKS[kind](Path(place), np.load(file))))
        return
    from exchange import Call

    sys.argv = ["judge.py", place, str(Path(file).parent), *sys.argv[5:]]
    np.savez(file, **REFERENCES[kind](Call()))


main()
