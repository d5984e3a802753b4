"""Computes leading singular values in float64 and keeps them in values.json."""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.linalg import aslinearoperator, svds

LEADING = 70  # so that the gap behind k = 64 is part of the reference
LAPACK_LIMIT = 4000  # matrices whose shorter side is at most this are solved densely
VALUES = Path(__file__).with_name("values.json")
PACKAGES = ("numpy", "scipy", "scikit-learn", "pyarrow")


class MissedValue(Exception):
    """ARPACK left out a copy of a repeated singular value."""


def leading(values, count=LEADING):
    """Returns the `count` largest singular values, or all if there are fewer, and the method."""
    shorter = min(values.shape)
    if shorter <= LAPACK_LIMIT or count >= shorter:
        return lapack(values)[:count], "scipy.linalg.svd (LAPACK gesdd), float64"
    return arpack(values, count), "scipy svds (arpack, tol=1e-12), float64, checked by deflation"


def lapack(values):
    """All singular values; those below numpy's rank threshold are rounding and become 0."""
    found = scipy.linalg.svd(as_array(values), compute_uv=False)
    found[found <= found[0] * max(values.shape) * np.finfo(np.float64).eps] = 0.0
    return found


def arpack(values, count):
    """The `count` largest singular values by ARPACK, none left out."""
    start = np.random.default_rng(0).standard_normal(min(values.shape))
    u, s, vt = svds(values, k=count, tol=1e-12, v0=start, maxiter=100_000)
    rest = largest_outside(values, u, s, vt)
    if rest > s.min() * (1 + 1e-9):
        raise MissedValue(f"{rest} lies outside the {count} values found, down to {s.min()}")
    return np.sort(s)[::-1]


def largest_outside(values, u, s, vt):
    """The largest singular value of A - U S Vt: what a Lanczos run may have missed."""
    deflated = aslinearoperator(values) - aslinearoperator(u * s) @ aslinearoperator(vt)
    start = np.random.default_rng(1).standard_normal(min(values.shape))
    return svds(deflated, k=1, tol=1e-9, v0=start, return_singular_vectors=False)[0]


def as_array(values):
    """A dense array of a matrix or of an operator."""
    if sp.issparse(values):
        return values.toarray()
    return values if isinstance(values, np.ndarray) else values @ np.eye(values.shape[1])


def versions():
    """The versions of the packages that made a reference."""
    return {name: version(name) for name in PACKAGES}


def update(entries):
    """Merges `entries` into values.json: keys sorted, one line for each field."""
    known = json.loads(VALUES.read_text()) if VALUES.exists() else {}
    known.update(entries)
    VALUES.write_text("{\n" + ",\n".join(format_entry(*item) for item in sorted(known.items())) + "\n}\n")


def format_entry(name, entry):
    """Formats one entry of values.json."""
    fields = ",\n".join(f"    {json.dumps(key)}: {json.dumps(value)}" for key, value in entry.items())
    return f"  {json.dumps(name)}: {{\n{fields}\n  }}"
