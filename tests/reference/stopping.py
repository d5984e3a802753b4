"""Prints how many reads of A `rankmill svd` took on every reference at hand, and its error.

The error is the largest relative one of a singular value above 1/250 of the first: smaller ones drown
in f32 products. The figures of docs/decisions/0016-blocks-of-half-the-rank.md and 0023-the-step-ahead.md.
Usage: stopping.py DATA_DIR RANKMILL [FLAG ...], as in `stopping.py DATA target/release/rankmill --method lanczos`
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
RANKS = (10, 20, 64)
RESOLVED = 4e-3


def words(entry, data):
    """How the command line names a reference's matrix; None where its file is not at hand."""
    own, given = (folder / entry["file"] for folder in (ROOT, data))
    if not (own.exists() or given.exists()):
        return None
    flags = {name: entry[name] for name in ("row", "col", "value", "id", "vector", "transform") if name in entry}
    named = [word for name, value in flags.items() for word in (f"--{name}", value)]
    centre = ["--center"] if entry.get("centre") else []
    return [own if own.exists() else given, *named, *centre]


def run(rankmill, arguments, truth):
    """Reads of A, whether it says that it converged, and the error."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        subprocess.run([rankmill, "svd", *arguments, "-o", out], check=True, capture_output=True)
        found = pq.read_table(out / "singular_values.parquet")["value"].to_numpy()
        convergence = json.loads((out / "_manifest.json").read_text())["convergence"]
    kept = truth[: len(found)][truth[: len(found)] > RESOLVED * truth[0]]
    error = np.max(np.abs(found[: len(kept)] - kept) / kept)
    return convergence["reads"], convergence["converged"], error


def main():
    data, rankmill, flags = Path(sys.argv[1]), Path(sys.argv[2]).resolve(), sys.argv[3:]
    references = json.loads((ROOT / "tests/reference/values.json").read_text())
    runs = []
    for name, entry in references.items():
        matrix, truth = words(entry["input"], data), np.array(entry["singular_values"])
        for rank in RANKS if matrix else ():
            if rank > len(truth):
                continue
            reads, converged, error = run(rankmill, [*matrix, "-k", str(rank), *flags], truth[:rank])
            runs.append((reads, converged, error))
            print(f"{name} k={rank}: {reads} reads, error {error:.1e}{'' if converged else ', not converged'}", flush=True)
    errors = [error for _, converged, error in runs if converged]
    print(f"{len(runs)} runs, {sum(reads for reads, _, _ in runs)} reads; {len(errors)} converged, to {max(errors):.1e} at worst")


if __name__ == "__main__":
    main()
