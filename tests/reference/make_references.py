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
REPOSITORY = Path(__file__).parents[2]


# name: (file, its row, column and value columns, transform). Without a value column every row of
# the file counts one: `binary` has no pair twice, `ones` sums those that occur more than once.
SPARSE = {
    "ml-latest-small/rating": ("interactions/ml-latest-small", "user item rating", ""),
    "ml-latest-small/binary": ("interactions/ml-latest-small", "user item rating", "binary"),
    "amazon-book-kgat_train/binary": ("interactions/amazon-book-kgat_train", "user item", ""),
    "amazon-book-kgat_train_str/binary": ("interactions/amazon-book-kgat_train_str", "user item", ""),
    "gowalla_train/binary": ("interactions/gowalla_train", "user item", ""),
    "wiki-Vote/binary": ("graphs/wiki-Vote", "src dst", ""),
    "blogcatalog/binary": ("graphs/blogcatalog", "src dst", ""),
    "cnr-2000/binary": ("graphs/cnr-2000", "src dst", ""),
    "wordnet30/ones": ("graphs/wordnet30", "src dst", ""),
    "debian-bookworm_depends/weight": ("graphs/debian-bookworm_depends", "src dst weight", ""),
    "cranfield/count": ("termdoc/cranfield", "doc term count", ""),
    "20news-bydate/count": ("termdoc/20news-bydate", "doc term count", ""),
}
SPARSE |= {f"{name}/value": (f"suitesparse/{name}", "row col value", "") for name in SUITESPARSE}
SPARSE |= {
    f"cranfield/{names}": ("termdoc/cranfield", "doc term count", names)
    for names in [*TRANSFORMS, "tfidf,l2-rows"]
}


def sparse_source(file, names, transform=""):
    """The `input` field of a sparse entry."""
    source = {"file": f"{file}.parquet"} | dict(zip(("row", "col", "value"), names.split(), strict=False))
    return source | ({"transform": transform} if transform else {})


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


def read_source(folder, source):
    """Reads the triples that an `input` field names."""
    return read_sparse([folder / source["file"]], source["row"], source["col"], source.get("value"))


def sparse_entry(name, folder, source):
    """The reference of (row, col, value) triples after their transform."""
    matrix = read_source(folder, source)
    values = apply(matrix.values, source.get("transform", ""))
    short = name.startswith("cranfield/") and "transform" in source
    count = TRANSFORM_LEADING if short else spectrum.LEADING
    return {name: entry(matrix, source, values, squared_norm(values), count)}


def centred_sparse_entry(name, folder, source):
    """The reference of a sparse matrix minus its column means."""
    matrix = read_source(folder, source)
    fro2 = squared_norm(matrix.values, centre=True)
    return {name: entry(matrix, source | {"centre": True}, centred(matrix.values), fro2)}


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
    for name, spec in SPARSE.items():
        yield name, lambda name=name, spec=spec: sparse_entry(name, data_dir, sparse_source(*spec))
    ratings = sparse_source("interactions/ml-latest-small", "user item rating")
    yield (
        "ml-latest-small/rating,centred",
        lambda: centred_sparse_entry("ml-latest-small/rating,centred", data_dir, ratings),
    )
    relations = sparse_source("examples/wordnet/relations", "source target weight")
    yield "examples/wordnet", lambda: sparse_entry("examples/wordnet", REPOSITORY, relations)


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
