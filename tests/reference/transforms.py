"""The transforms of the program's ingest, as other libraries define them.

Each takes a CSR matrix of N rows and returns a new one with the same pattern. `df` is the number
of entries in a column, `rowsum` and `colsum` are the sums of the values.
"""

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import normalize

BM25_K1 = 100.0
BM25_B = 0.8


def binary(a):
    """Every entry becomes 1."""
    return with_values(a, np.ones_like(a.data))


def log1p(a):
    """ln(1 + x)."""
    return a.log1p()


def tfidf(a):
    """x * (ln((1 + N) / (1 + df)) + 1): scikit-learn, smooth_idf, without its row norm."""
    return TfidfTransformer(smooth_idf=True, norm=None).fit_transform(a)


def bm25(a):
    """`bm25_weight` of the library implicit, with its defaults K1 = 100, B = 0.8.

    x * (K1 + 1) / (K1 * ((1 - B) + B * rowsum / mean(rowsum)) + x) * (ln N - ln(1 + df)).
    """
    rows, cols = coordinates(a)
    rowsum = sums(a, axis=1)
    length_norm = (1 - BM25_B) + BM25_B * rowsum / rowsum.mean()
    idf = np.log(a.shape[0]) - np.log1p(np.bincount(cols, minlength=a.shape[1]))
    weight = (BM25_K1 + 1) / (BM25_K1 * length_norm[rows] + a.data)
    return with_values(a, a.data * weight * idf[cols])


def degree(a):
    """x / sqrt(rowsum * colsum)."""
    rows, cols = coordinates(a)
    return with_values(a, a.data / np.sqrt(sums(a, axis=1)[rows] * sums(a, axis=0)[cols]))


TRANSFORMS = {
    "binary": binary,
    "log1p": log1p,
    "tfidf": tfidf,
    "bm25": bm25,
    "l1-rows": lambda a: normalize(a, "l1", axis=1),
    "l2-rows": lambda a: normalize(a, "l2", axis=1),
    "l1-cols": lambda a: normalize(a, "l1", axis=0).tocsr(),
    "l2-cols": lambda a: normalize(a, "l2", axis=0).tocsr(),
    "degree": degree,
}


def apply(a, names):
    """Applies transforms by name, left to right: "tfidf,l2-rows"."""
    for name in names.split(",") if names else ():
        a = TRANSFORMS[name](a)
    return a


def coordinates(a):
    """Row and column of each stored entry, in the order of `a.data`."""
    coo = a.tocoo()
    return coo.row, coo.col


def sums(a, axis):
    """Sums of the values over one axis, as a flat array."""
    return np.asarray(a.sum(axis=axis)).ravel()


def with_values(a, values):
    """The pattern of `a` with other values."""
    return sp.csr_matrix((values, a.indices, a.indptr), a.shape)
