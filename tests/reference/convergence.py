"""Prints the largest relative error of the leading singular values after each read of A.

Block Lanczos on the Gram operator with f32 products and f64 inner products, in numpy; the figures
of docs/decisions/0007-block-width.md and 0015-narrow-blocks.md.
Usage: convergence.py DATA_DIR [--widths B,...] NAME [NAME ...]
"""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import scipy.sparse as sp

ROOT = Path(__file__).resolve().parents[2]
RANK = 64


def load(entry, data):
    """The sparse f32 matrix of a reference."""
    columns = entry["input"]
    own = ROOT / columns["file"]
    table = pq.read_table(own if own.exists() else data / columns["file"])
    codes = [
        np.unique(table[columns[side]].to_numpy(zero_copy_only=False), return_inverse=True)[1]
        for side in ("row", "col")
    ]
    value = columns.get("value")
    values = table[value].to_numpy() if value else np.ones(table.num_rows)
    return sp.csr_matrix((values.astype(np.float32), codes), dtype=np.float32)


def errors(a, width, truth, reads=16):
    """Largest relative error of the leading values after each of `reads` reads."""
    n = a.shape[1]
    start = np.random.default_rng(0).standard_normal((n, width))
    basis = np.linalg.qr(start)[0].astype(np.float32)
    newest, projected = basis, np.zeros((0, 0))
    for _ in range(reads):
        w = (a.T @ (a @ newest)).astype(np.float64)
        wide = basis.astype(np.float64)
        overlap = wide.T @ w
        old = projected.shape[0]
        projected = np.block([[projected, overlap[:old]], [overlap[:old].T, overlap[old:]]])
        theta = np.linalg.eigvalsh((projected + projected.T) / 2)[::-1][:RANK]
        sigma = np.sqrt(np.maximum(theta, 0))
        found = min(len(sigma), len(truth))
        error = np.max(np.abs(sigma[:found] - truth[:found]) / truth[:found])
        yield error if found == len(truth) else np.inf
        for _ in range(2):
            w -= wide @ (wide.T @ w)
            w = np.linalg.qr(w)[0]
        newest = w.astype(np.float32)
        basis = np.hstack([basis, newest])


def main():
    data, names, widths = Path(sys.argv[1]), sys.argv[2:], [74, 96]
    if names[0] == "--widths":
        widths, names = [int(width) for width in names[1].split(",")], names[2:]
    references = json.loads((ROOT / "tests/reference/values.json").read_text())
    for name in names:
        entry = references[name]
        a, truth = load(entry, data), np.array(entry["singular_values"][:RANK])
        for width in widths:
            found = list(errors(a, width, truth))
            reads = next((i + 1 for i, error in enumerate(found) if error <= 1e-4), None)
            columns = f"1e-4 after {reads} reads, {reads * width} columns" if reads else "1e-4 not reached"
            print(f"{name} b={width}: {columns}:", *(f"{error:.1e}" for error in found), flush=True)


if __name__ == "__main__":
    main()
