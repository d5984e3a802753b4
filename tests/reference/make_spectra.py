"""Generates small matrices whose singular values are known by construction.

    python make_spectra.py

Writes data/*.parquet and their entries in values.json. The Parquet is committed and is what the
tests read; the stored truth is LAPACK's answer for the stored float32 entries, and this script
fails if that is not what the construction says it should be.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.linalg
import scipy.sparse as sp

import spectrum
from matrices import read_sparse, read_vectors, squared_norm

DATA = Path(__file__).with_name("data")
DENSE_SHAPE = (400, 300)
SPARSE_SHAPE = (600, 400)


def power(exponent):
    """A law i^-exponent, i = 1, 2, ..."""
    return lambda n: np.arange(1.0, n + 1) ** -exponent


def cluster(n):
    """i^-0.5, but components 60 to 68 lie within 1e-3 of each other: a cut at 64 splits them."""
    sigma = power(0.5)(n)
    sigma[59:68] = sigma[59] * (1 - 1e-3 * np.arange(9) / 8)
    return sigma


LAWS = {
    "power-1": power(1.0),
    "power-0.5": power(0.5),
    "power-0.25": power(0.25),
    "cluster-at-64": cluster,
}
RANK20 = 20.0 + 3.0 * np.arange(20, 0, -1)  # integers, so that all products below are exact


def reflected(matrix, rng, count=3):
    """Multiplies by `count` random Householder reflections from the left."""
    for _ in range(count):
        v = rng.standard_normal(len(matrix))
        v /= np.linalg.norm(v)
        matrix = matrix - 2 * np.outer(v, v @ matrix)
    return matrix


def dense(sigma, rng):
    """A = H1 diag(sigma) H2', the H products of Householder reflections."""
    a = np.zeros(DENSE_SHAPE)
    np.fill_diagonal(a, sigma)
    return reflected(reflected(a, rng).T, rng).T


def rotated(matrix, rng, rounds=2):
    """Rotates all rows in random disjoint pairs, `rounds` times: a row mixes at most 2^rounds."""
    for _ in range(rounds):
        n = matrix.shape[0]
        first, second = rng.permutation(n).reshape(2, -1)
        angle = rng.uniform(0.3, 1.2, n // 2)
        rotation = sp.coo_matrix(
            (
                np.concatenate([np.cos(angle), np.cos(angle), np.sin(angle), -np.sin(angle)]),
                (np.tile(np.concatenate([first, second]), 2), np.concatenate([first, second, second, first])),
            ),
            (n, n),
        )
        matrix = rotation.tocsr() @ matrix
    return matrix


def sparse(sigma, rng):
    """A = G1 diag(sigma) G2', the G products of Givens rotations of disjoint pairs."""
    a = sp.diags(sigma, shape=SPARSE_SHAPE).tocsr()
    return rotated(rotated(a, rng).T.tocsr(), rng).T.tocoo()


def dense_rank20():
    """Columns of two Hadamard matrices: integers, exactly rank 20, sigma = RANK20 sqrt(512 * 256)."""
    left, right = scipy.linalg.hadamard(512)[:, :20], scipy.linalg.hadamard(256)[:, :20]
    return left * RANK20 @ right.T, RANK20 * np.sqrt(512 * 256)


def sparse_rank20(rng):
    """20 blocks of signs, 30 by 20, on shuffled rows and columns: sigma = RANK20 sqrt(30 * 20)."""
    rows, cols = (rng.permutation(n) for n in SPARSE_SHAPE)
    left, right = (rng.choice([-1.0, 1.0], (20, n)) for n in (30, 20))
    blocks = sp.block_diag([s * np.outer(u, v) for s, u, v in zip(RANK20, left, right, strict=True)]).tocoo()
    moved = sp.coo_matrix((blocks.data, (rows[blocks.row], cols[blocks.col])), SPARSE_SHAPE)
    return moved, RANK20 * np.sqrt(30 * 20)


def write(name, table, dictionary):
    """Writes one committed input; a dictionary of floats that never repeat only costs bytes."""
    path = DATA / f"{name}.parquet"
    pq.write_table(table, path, compression="zstd", compression_level=19, use_dictionary=dictionary)
    return path


def write_dense(name, a):
    """Writes (id, vector) and returns the matrix as it reads back, with its input spec."""
    flat = pa.array(a.astype(np.float32).ravel())
    vectors = pa.FixedSizeListArray.from_arrays(flat, a.shape[1])
    table = pa.table({"id": np.arange(len(a)), "vector": vectors})
    path = write(name, table, dictionary=len(np.unique(a)) < 1000)
    return read_vectors([path], "id", "vector"), {"id": "id", "vector": "vector"}


def write_sparse(name, a):
    """Writes (row, col, value) with ids that are not indices, and reads it back."""
    entries = a.tocsr().tocoo()
    table = pa.table(
        {
            "row": pa.array(1000 + 3 * entries.row.astype(np.int64)),
            "col": pa.array(5 * entries.col.astype(np.int64) - 1000),
            "value": pa.array(entries.data.astype(np.float32)),
        }
    )
    path = write(name, table, dictionary=["row", "col"])
    return read_sparse([path], "row", "col", "value"), {"row": "row", "col": "col", "value": "value"}


def entry(name, written, sigma, limit):
    """The reference of one stored matrix, which must be `sigma` to a relative `limit`."""
    matrix, columns = written
    found, method = spectrum.leading(matrix.values)
    expected = np.pad(sigma, (0, spectrum.LEADING))[: len(found)]
    np.testing.assert_allclose(found, expected, rtol=limit, atol=0)
    return {
        "input": {"file": f"tests/reference/data/{name}.parquet"} | columns,
        "shape": matrix.shape,
        "nnz": matrix.nnz,
        "fro2": squared_norm(matrix.values),
        "singular_values": found.tolist(),
        "method": method,
        "versions": spectrum.versions(),
    }


def generated():
    """Yields (name, matrix as written, intended singular values, relative limit)."""
    rng = np.random.default_rng(20)
    shorter = min(DENSE_SHAPE), min(SPARSE_SHAPE)
    for name, law in LAWS.items():
        yield f"dense-{name}", write_dense, dense(law(shorter[0]), rng), law(shorter[0]), 1e-6
        yield f"sparse-{name}", write_sparse, sparse(law(shorter[1]), rng), law(shorter[1]), 1e-6
    yield "dense-rank-20", write_dense, *dense_rank20(), 1e-12
    yield "sparse-rank-20", write_sparse, *sparse_rank20(rng), 1e-12


def main():
    DATA.mkdir(exist_ok=True)
    entries = {}
    for name, writer, a, sigma, limit in generated():
        entries[name] = entry(name, writer(name, a), sigma, limit)
        print(name, entries[name]["shape"], entries[name]["nnz"])
    spectrum.update(entries)


if __name__ == "__main__":
    main()
