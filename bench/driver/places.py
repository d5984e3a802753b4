"""Where things lie: all below the checkout, found from this file."""

import json
import os
import subprocess
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
ROOT = BENCH.parent
PEERS = BENCH / "peers"
RESULTS = BENCH / "results"
WORK = ROOT / "target" / "bench"
INPUTS = WORK / "inputs"
REFERENCES = WORK / "references"
SCRATCH = WORK / "scratch"
VENV = WORK / "venv"


def rankmill(given):
    """The binary: the one given, else the release build of this checkout."""
    if given:
        path = Path(given)
    else:
        command = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"]
        try:
            answer = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
            target = Path(json.loads(answer)["target_directory"])
        except (OSError, subprocess.CalledProcessError):
            target = ROOT / "target"
        path = target / "release" / "rankmill"
    if not os.access(path, os.X_OK):
        raise SystemExit(f"{path} is missing: run cargo build --release --workspace, or give --rankmill")
    return path.resolve()
