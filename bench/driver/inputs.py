"""Inputs, made once by `rankmill generate` with fixed seeds and kept below target/bench."""

import subprocess

from .environment import say
from .places import BENCH, INPUTS

RATINGS = "generate ratings --rows {} --cols {} --nnz {} --seed 1"
DENSE = "generate dense --rows {} --cols {} --seed 1"
RMAT = "generate rmat --scale {} --edge-factor 16 --seed 1"

COMMANDS = {
    "s": RATINGS.format(200_000, 50_000, 20_000_000),
    "m": RATINGS.format(1_000_000, 200_000, 100_000_000),
    "ml-100k-sized": RATINGS.format(943, 1_682, 100_000),
    "d": DENSE.format(200_000, 512),
    "rmat18": RMAT.format(18),
    "rmat20": RMAT.format(20),
    "rmat22": RMAT.format(22),
    "quick-s": RATINGS.format(2_000, 500, 40_000),
    "quick-d": DENSE.format(2_000, 64),
    "quick-rmat": RMAT.format(10),
}
# Made from others by derive.py, in the peers' environment.
DERIVED = {
    f"{name}-{kind}": (name, kind)
    for name in ("s", "rmat20", "quick-s", "quick-rmat")
    for kind in ("int32-zstd", "string-zstd")
}
for graph in ("rmat20", "quick-rmat"):
    DERIVED |= {f"sources-{graph}": (graph, "sources"), f"many-sources-{graph}": (graph, "many-sources")}


class Missing(Exception):
    """An input that cannot be made here."""


def command(name):
    """How to make an input, for the record."""
    if name in DERIVED:
        base, kind = DERIVED[name]
        return f"{COMMANDS[base]}, then derive.py {kind}"
    return COMMANDS[name]


def path(name, rankmill, environment):
    """The file of an input, made if it is not there."""
    INPUTS.mkdir(parents=True, exist_ok=True)
    file = INPUTS / f"{name}.parquet"
    if file.exists():
        return file
    say(f"making input {name}")
    draft = INPUTS / f"{name}.draft.parquet"
    draft.unlink(missing_ok=True)
    if name in DERIVED:
        base, kind = DERIVED[name]
        if environment.python is None:
            raise Missing("needs pyarrow to make its input")
        source = path(base, rankmill, environment)
        making = [environment.python, BENCH / "driver" / "derive.py", kind, source, draft]
    else:
        making = [rankmill, *COMMANDS[name].split(), "-o", draft]
    made = subprocess.run(making, capture_output=True, text=True)
    if made.returncode != 0:
        raise Missing(f"its input cannot be made: {made.stderr.strip()[-200:]}")
    draft.rename(file)
    return file
