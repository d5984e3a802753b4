"""Computes the leading singular values of real matrices that the tests compare against.

    python make_references.py DATA_DIR [NAME ...]

DATA_DIR holds the datasets as Parquet (interactions/, graphs/, termdoc/, dense/, suitesparse/).
Only numbers are kept, in values.json. With names, only entries that begin with one are computed.
"""

import sys
import time
from pathlib import Path

import numpy as np
from sklearn.decomposition import PCA

import spectrum
from matrices import centred, read_sparse, read_vectors, squared_norm
from transforms import TRANSFORMS, apply

TRANSFORM_LEADING = 20
DENSE = ("digits_rows", "iris_rows", "orl_rows", "samson_rows", "mnist-t10k_rows")
SUITESPARSE = ("bcsstk15", "west0067", "lp_afiro", "jagmesh7", "LFAT5", "karate")
WORDNET = Path(__file__).parents[2] / "examples/wordnet/relations.parquet"


def columns(row, col, value=None):
    """The columns of a sparse input; without a value every row of the file counts one."""
    return {"row": row, "col": col} | ({"value": value} if value else {})


# name: (file, columns, transform). `ones` sums repeated pairs, `binary` has none to sum.
SPARSE = (
    {
        "ml-latest-small/rating": ("interactions/ml-latest-small", columns("user", "item", "rating"), ""),
        "ml-latest-small/binary": (
            "interactions/ml-latest-small",
            columns("user", "item", "rating"),
            "binary",
        ),
        "amazon-book-kgat_train/binary": ("interactions/amazon-book-kgat_train", columns("user", "item"), ""),
        "amazon-book-kgat_train_str/binary": (
            "interactions/amazon-book-kgat_train_str",
            columns("user", "item"),
            "",
        ),
        "gowalla_train/binary": ("interactions/gowalla_train", columns("user", "item"), ""),
        "wiki-Vote/binary": ("graphs/wiki-Vote", columns("src", "dst"), ""),
        "blogcatalog/binary": ("graphs/blogcatalog", columns("src", "dst"), ""),
        "cnr-2000/binary": ("graphs/cnr-2000", columns("src", "dst"), ""),
        "wordnet30/ones": ("graphs/wordnet30", columns("src", "dst"), ""),
        "debian-bookworm_depends/weight": (
            "graphs/debian-bookworm_depends",
            columns("src", "dst", "weight"),
            "",
        ),
        "cranfield/count": ("termdoc/cranfield", columns("doc", "term", "count"), ""),
        "20news-bydate/count": ("termdoc/20news-bydate", columns("doc", "term", "count"), ""),
    }
    | {f"{name}/value": (f"suitesparse/{name}", columns("row", "col", "value"), "") for name in SUITESPARSE}
    | {
        f"cranfield/{names}": ("termdoc/cranfield", columns("doc", "term", "count"), names)
        for names in [*TRANSFORMS, "tfidf,l2-rows"]
    }
)


def entry(matrix, source, values, fro2, count=spectrum.LEADING):
    """One entry of values.json."""
    found, method = spectrum.leading(values, count)
    return {
        "input": source,
        "shape": matrix.shape,
        "nnz": matrix.nnz,
        "fro2": fro2,
        "singular_values": found.tolist(),
        "method": method,
        "versions": spectrum.versions(),
    }


def sparse_entry(name, path, source):
    """The reference of (row, col, value) triples after their transform."""
    matrix = read_sparse([path], source["row"], source["col"], source.get("value"))
    values = apply(matrix.values, source.get("transform", ""))
    count = TRANSFORM_LEADING if name.startswith("cranfield/") and "transform" in source else spectrum.LEADING
    return entry(matrix, source, values, squared_norm(values), count)


def centred_sparse_entry(path, source):
    """The reference of a sparse matrix minus its column means."""
    matrix = read_sparse([path], source["row"], source["col"], source["value"])
    fro2 = squared_norm(matrix.values, centre=True)
    return entry(matrix, source | {"centre": True}, centred(matrix.values), fro2)


def dense_entries(name, path):
    """The references of stored vectors: raw, and with column means subtracted (PCA)."""
    matrix = read_vectors([path], "row", "vec")
    source = {"file": f"dense/{name}.parquet", "id": "row", "vector": "vec"}
    raw = entry(matrix, source, matrix.values, squared_norm(matrix.values))
    shifted = centred(matrix.values)
    pca = entry(matrix, source | {"centre": True}, shifted, squared_norm(shifted))
    return {f"{name}/raw": raw, f"{name}/centred": pca | {"sklearn_pca": principal(matrix.values)}}


def principal(values):
    """What scikit-learn's full PCA says of the same matrix."""
    model = PCA(svd_solver="full").fit(values)
    return {
        "explained_variance_ratio": model.explained_variance_ratio_[: spectrum.LEADING].tolist(),
        "singular_values": model.singular_values_[: spectrum.LEADING].tolist(),
    }


def jobs(data_dir):
    """Yields (name, function that returns entries)."""
    for name in DENSE:
        yield name, lambda name=name: dense_entries(name, data_dir / f"dense/{name}.parquet")
    for name, (file, names, transform) in SPARSE.items():
        source = {"file": f"{file}.parquet"} | names | ({"transform": transform} if transform else {})
        path = data_dir / source["file"]
        yield name, lambda name=name, path=path, source=source: {name: sparse_entry(name, path, source)}
    ratings = {"file": "interactions/ml-latest-small.parquet"} | columns("user", "item", "rating")
    yield (
        "ml-latest-small/rating,centred",
        lambda: {"ml-latest-small/rating,centred": centred_sparse_entry(data_dir / ratings["file"], ratings)},
    )
    relations = {"file": "examples/wordnet/relations.parquet"} | columns("source", "target", "weight")
    yield (
        "examples/wordnet",
        lambda: {"examples/wordnet": sparse_entry("examples/wordnet", WORDNET, relations)},
    )


def report(name, found, seconds):
    """Prints how hard an entry is: its decay and the relative gap at k = 64."""
    s = np.array(found["singular_values"])
    hardness = (
        f"s64/s1 {s[63] / s[0]:.3g}  gap {(s[63] - s[64]) / s[63]:.2e}" if len(s) > 64 and s[63] else ""
    )
    print(f"{name:36} {found['shape']} {seconds:6.1f} s  {hardness}", flush=True)


def main():
    data_dir, wanted = Path(sys.argv[1]), tuple(sys.argv[2:])
    for name, compute in jobs(data_dir):
        if wanted and not name.startswith(wanted):
            continue
        started = time.monotonic()
        entries = compute()
        spectrum.update(entries)
        for key, found in entries.items():
            report(key, found, time.monotonic() - started)


if __name__ == "__main__":
    main()
