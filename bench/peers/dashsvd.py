"""dashSVD (Feng et al., ACM TOMS 2024, Algorithm 1043), its authors' C code on Intel's MKL, built beforehand as
a shared library (bench/README.md says how).

Settings: program= (path of the library), k=, s= (columns beyond k), p= (most iterations), tol= (of the per-vector
error, by which it stops). All of it is in f64.
"""

import ctypes
import os

from exchange import Call, np, ratings, write_factors


class Sparse(ctypes.Structure):
    """`mat_csr`: indices and offsets count from one."""

    _fields_ = [
        ("nnz", ctypes.c_longlong), ("nrows", ctypes.c_longlong), ("ncols", ctypes.c_longlong),
        ("values", ctypes.c_void_p), ("cols", ctypes.c_void_p), ("offsets", ctypes.c_void_p),
    ]


class Dense(ctypes.Structure):
    """`mat`, by columns."""

    _fields_ = [("nrows", ctypes.c_longlong), ("ncols", ctypes.c_longlong), ("entries", ctypes.POINTER(ctypes.c_double))]

    def array(self):
        entries = np.ctypeslib.as_array(self.entries, (self.nrows * self.ncols,))
        return entries.reshape(self.ncols, self.nrows).T


# MKL takes one thread where it takes two processors for one core.
os.environ["MKL_DYNAMIC"] = "FALSE"
os.environ["MKL_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(os.cpu_count())
call = Call()
library = ctypes.CDLL(call.setting("program", ""))
a, row_ids, column_ids = ratings(call, np.float64)
columns, offsets = a.indices.astype(np.int64) + 1, a.indptr.astype(np.int64) + 1
pointers = (array.ctypes.data for array in (a.data, columns, offsets))
sparse = Sparse(a.nnz, *a.shape, *pointers)
call.lap("load")
k = call.setting("k", 64)
u, s, v = (ctypes.POINTER(Dense)() for _ in range(3))
library.dashSVD_opt(
    ctypes.byref(sparse), ctypes.byref(u), ctypes.byref(s), ctypes.byref(v),
    k, call.setting("p", 1000), call.setting("s", k // 2), ctypes.c_double(call.setting("tol", 1e-2)),
)
call.lap("solve")
# Values come in ascending order.
u, s, v = (factor.contents.array() for factor in (u, s, v))
write_factors(call, row_ids, u[:, ::-1], s[::-1, 0], column_ids, v[:, ::-1])
call.done("dashSVD")
