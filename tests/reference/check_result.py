"""Checks a result of `rankmill svd` against scipy, without sharing code with the program.

    python check_result.py OUT INPUT... --row R --col C [--value V] [--transform NAMES] [--center]
    python check_result.py OUT INPUT... --id I --vector V [--center]

Rebuilds the matrix in float64 from the Parquet input, by ids, and recomputes what the result
claims: singular values, orthonormal factors, residuals, explained variance, file digests. Prints
one line for each check and exits with status 1 if one fails, 2 if the result cannot be read.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from blake3 import blake3
from scipy.sparse.linalg import aslinearoperator

import spectrum
from matrices import centred, read_sparse, read_table, read_vectors, squared_norm
from transforms import apply


class Unreadable(Exception):
    """The result does not have the layout or the ids that it should."""


@dataclass
class Check:
    """One line of the table; a NaN never passes."""

    name: str
    found: float
    limit: float

    @property
    def passed(self):
        return bool(self.found <= self.limit)


@dataclass
class Result:
    """The factors, in the order of the input's ids, and the spectrum."""

    left: np.ndarray
    right: np.ndarray
    spectrum: pa.Table

    def column(self, name):
        """One column of the spectrum in float64."""
        return self.spectrum[name].to_numpy().astype(np.float64)


def read_result(out, files, matrix):
    """Reads a result, taking exactly the files that its manifest lists."""
    return Result(
        left=read_factor(out, files, "left", matrix.row_ids),
        right=read_factor(out, files, "right", matrix.col_ids),
        spectrum=read_table(listed(out, files, "singular_values")).sort_by("component"),
    )


def listed(out, files, start):
    """The files of the manifest whose path begins with `start`; at least one."""
    paths = [out / file["path"] for file in files if file["path"].startswith(start)]
    if not paths:
        raise Unreadable(f"the manifest lists no {start}")
    return paths


def read_factor(out, files, side, ids):
    """Reads OUT/left or OUT/right as one row for each of `ids`, in their order."""
    factor = read_vectors(listed(out, files, f"{side}/"), "id", "vector")
    position = {key: i for i, key in enumerate(factor.row_ids)}
    if len(position) != len(factor.row_ids):
        raise Unreadable(f"{side} has an id twice")
    if position.keys() != set(ids):
        raise Unreadable(f"{side} has {len(position)} ids, the input {len(ids)}, and they are not the same")
    return factor.values[[position[key] for key in ids]]


def largest_ratio(excess, truth):
    """The largest excess / truth, where no excess is 0 even of nothing; NaN stays NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(excess == 0, 0.0, excess / truth).max()


def check_singular_values(values, sigma, tolerance, floor):
    """Largest relative error against LAPACK or ARPACK, beyond `floor` times the largest value."""
    truth, _ = spectrum.leading(values, len(sigma))
    excess = np.maximum(np.abs(sigma - truth) - floor * truth[0], 0.0)
    return Check("singular values, relative error", largest_ratio(excess, truth), tolerance)


def check_orthonormal(name, factor, tolerance):
    """Largest entry of Q'Q - I."""
    deviation = np.abs(factor.T @ factor - np.eye(factor.shape[1])).max()
    return Check(f"{name} orthonormal, max |Q'Q - I|", deviation, tolerance)


def residuals(values, result, sigma):
    """max(|Av - su|, |A'u - sv|) / s1 of each component."""
    a = aslinearoperator(values)
    forward = np.linalg.norm(a.matmat(result.right) - result.left * sigma, axis=0)
    backward = np.linalg.norm(a.rmatmat(result.left) - result.right * sigma, axis=0)
    return np.maximum(forward, backward) / sigma[0]


def check_residuals(true, reported, floor):
    """Reported residuals lie within 10% of the true ones, beyond an absolute `floor`."""
    excess = np.maximum(np.abs(reported - true) - floor, 0.0)
    return Check("residuals as reported, relative error", largest_ratio(excess, true), 0.1)


def check_explained(sigma, reported, fro2, tolerance):
    """Explained variance ratio is sigma^2 / |A|_F^2 (of the centred matrix, if centred)."""
    return Check(
        "explained variance ratio, absolute error", np.abs(sigma**2 / fro2 - reported).max(), tolerance
    )


def check_shapes(result):
    """Every factor has one column for each singular value, which descend."""
    sigma = result.column("value")
    widths = {result.left.shape[1], result.right.shape[1], len(sigma)}
    wrong = (len(widths) != 1) + int((np.diff(sigma) > 0).sum())
    return Check("widths differ or values out of order", wrong, 0)


def wrong_files(out, files):
    """The listed files whose size, row count or digest is not what the manifest says."""
    return [file["path"] for file in files if not as_listed(out / file["path"], file)]


def as_listed(path, file):
    """Whether one file is what the manifest says."""
    if not path.is_file() or path.stat().st_size != file["size"]:
        return False
    if blake3(path.read_bytes()).hexdigest() != file["blake3"].removeprefix("blake3:"):
        return False
    return pq.read_metadata(path).num_rows == file["rows"]


def read_input(options):
    """The input as a Matrix, with the ids of its axes."""
    if options.vector:
        return read_vectors(options.input, options.id, options.vector)
    matrix = read_sparse(options.input, options.row, options.col, options.value)
    matrix.values = apply(matrix.values, options.transform)
    return matrix


def run_checks(options):
    """All checks of one result, in the order of the table."""
    files = json.loads((options.out / "_manifest.json").read_text())["files"]
    bad = wrong_files(options.out, files)
    for path in bad:
        print(f"not as listed in the manifest: {path}", file=sys.stderr)
    matrix = read_input(options)
    result = read_result(options.out, files, matrix)
    values = centred(matrix.values) if options.center else matrix.values
    sigma = result.column("value")
    shapes = check_shapes(result)
    yield Check("files not as listed in the manifest", len(bad), 0)
    yield shapes
    if not shapes.passed:
        return
    true = residuals(values, result, sigma)
    yield check_singular_values(values, sigma, options.sigma_tolerance, options.floor)
    yield check_orthonormal("left", result.left, options.orthogonality)
    yield check_orthonormal("right", result.right, options.orthogonality)
    yield Check("residual, largest", true.max(), options.residual)
    yield check_residuals(true, result.column("residual"), options.floor)
    fro2 = squared_norm(matrix.values, options.center)
    yield check_explained(sigma, result.column("explained_variance_ratio"), fro2, options.sigma_tolerance)


def parse_options():
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="the result: holds _manifest.json")
    parser.add_argument("input", nargs="+", type=Path, help="Parquet files, or one directory of them")
    for name in ("row", "col", "value", "id", "vector"):
        parser.add_argument(f"--{name}", help=f"name of the {name} column")
    parser.add_argument("--transform", default="", help="for example tfidf,l2-rows")
    parser.add_argument("--center", action="store_true", help="subtract the column means")
    parser.add_argument("--sigma-tolerance", type=float, default=1e-5, help="relative (default 1e-5)")
    parser.add_argument("--orthogonality", type=float, default=1e-5, help="largest |Q'Q - I| (default 1e-5)")
    parser.add_argument("--residual", type=float, default=np.inf, help="largest residual (default: any)")
    parser.add_argument(
        "--floor", type=float, default=0.0, help="absolute error allowed, relative to sigma_1"
    )
    options = parser.parse_args()
    if bool(options.row and options.col) == bool(options.id and options.vector):
        parser.error("give either --row and --col or --id and --vector")
    return options


def main():
    try:
        checks = list(run_checks(parse_options()))
    except (Unreadable, OSError, KeyError, ValueError, pa.ArrowException) as error:
        print(f"cannot check this result: {error!r}", file=sys.stderr)
        return 2
    for check in checks:
        verdict = "ok  " if check.passed else "FAIL"
        print(f"{verdict}  {check.name:42} {check.found:10.3g}  limit {check.limit:g}")
    return 0 if all(check.passed for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
