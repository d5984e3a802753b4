"""Reads Parquet into float64 matrices, with one dictionary of ids per axis.

Not the program's reader: it shares no code with it. Rows that name the same cell are summed. A
row or column exists if its id occurs in the input, so a shape is two counts of distinct ids.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds
import scipy.sparse as sp
from scipy.sparse.linalg import aslinearoperator


@dataclass
class Matrix:
    """A float64 matrix (dense array or CSR) and the ids of its rows and columns, in order."""

    values: np.ndarray | sp.csr_matrix
    row_ids: list
    col_ids: list

    @property
    def shape(self):
        return self.values.shape

    @property
    def nnz(self):
        """Stored entries: of a dense matrix, all of them."""
        return self.values.nnz if sp.issparse(self.values) else self.values.size


def read_table(paths):
    """Reads Parquet files, or one directory of them, as one table."""
    paths = [str(path) for path in paths]
    source = paths[0] if len(paths) == 1 else paths
    return ds.dataset(source, format="parquet").to_table()


def number_ids(column):
    """Returns each entry's position in the list of distinct ids, and that list (ascending)."""
    encoded = pc.unique(column)
    encoded = encoded.take(pc.array_sort_indices(encoded))
    return pc.index_in(column, encoded).to_numpy(), encoded.to_pylist()


def read_sparse(paths, row, col, value=None):
    """Reads (row, col[, value]) triples; without a value column each row counts one."""
    table = read_table(paths)
    rows, row_ids = number_ids(table[row])
    cols, col_ids = number_ids(table[col])
    values = table[value].to_numpy().astype(np.float64) if value else np.ones(len(rows))
    shape = (len(row_ids), len(col_ids))
    return Matrix(sp.coo_matrix((values, (rows, cols)), shape).tocsr(), row_ids, col_ids)


def read_vectors(paths, id_column, vector):
    """Reads one vector per row; the columns' ids are the positions 0, 1, ..."""
    table = read_table(paths)
    vectors = table[vector].combine_chunks()
    values = vectors.flatten().to_numpy().astype(np.float64).reshape(len(vectors), -1)
    return Matrix(values, table[id_column].to_pylist(), list(range(values.shape[1])))


def centred(values):
    """Subtracts the column means: in place of a sparse matrix, an operator that does so."""
    means = np.asarray(values.mean(axis=0)).ravel()
    if not sp.issparse(values):
        return values - means
    ones = np.ones((values.shape[0], 1))
    return aslinearoperator(values) - aslinearoperator(ones) @ aslinearoperator(means[None, :])


def squared_norm(values, centre=False):
    """Squared Frobenius norm, after subtracting the column means if `centre`."""
    total = float((values.data**2).sum()) if sp.issparse(values) else float((values**2).sum())
    if not centre:
        return total
    means = np.asarray(values.mean(axis=0)).ravel()
    return total - values.shape[0] * float(means @ means)
