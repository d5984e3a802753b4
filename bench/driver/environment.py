"""The Python environment of the peers, made from requirements.txt one line at a time.

What cannot be installed is said aloud, and its reason stands in the tables.
"""

import json
import shutil
import subprocess
import sys

from .places import BENCH, VENV

REQUIREMENTS = BENCH / "requirements.txt"
ONLY_WITH_SPARK = ("pyspark",)


class Environment:
    """An interpreter (none where there is no numpy and pyarrow) and why packages are missing."""

    def __init__(self, python, missing, spark=False):
        self.python, self.missing, self.spark = python, missing, spark

    def lacks(self, packages):
        """Why a peer that needs `packages` cannot run; none if it can."""
        if self.python is None:
            return self.missing.get("", "no Python environment")
        reasons = [self.missing[package] for package in packages if package in self.missing]
        if "pyspark" in packages and not reasons and not self.spark:
            return "needs --spark"
        return reasons[0] if reasons else None


def pinned(spark):
    """Requirements by package."""
    lines = [line.strip() for line in REQUIREMENTS.read_text().splitlines()]
    pins = {line.split("==")[0]: line for line in lines if line and not line.startswith("#")}
    return {name: pin for name, pin in pins.items() if spark or name not in ONLY_WITH_SPARK}


def full(spark):
    """The virtual environment, made or completed."""
    spark = spark and java()
    python = VENV / "bin" / "python"
    if not python.exists():
        say(f"making a virtual environment in {VENV}")
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    wanted, missing = pinned(spark), {}
    have = installed(python)
    for name, pin in wanted.items():
        if have.get(name) == pin.split("==")[1]:
            continue
        say(f"installing {pin}")
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", pin]
        answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if answer.returncode != 0:
            lines = answer.stdout.strip().splitlines() or ["pip failed"]
            missing[name] = f"{pin} cannot be installed: {lines[-1][:120]}"
            say(f"NOT INSTALLED: {missing[name]}")
    return Environment(str(python), missing, spark)


def java():
    """Whether Spark has what it runs on."""
    found = shutil.which("java") is not None
    if not found:
        say("no java: Spark is not compared with")
    return found


def present(spark):
    """What is there already, for --quick and --as-is: nothing is installed."""
    spark = spark and java()
    candidates = [VENV / "bin" / "python", sys.executable]
    for python in candidates:
        have = installed(python)
        if "numpy" in have and "pyarrow" in have:
            wanted = pinned(spark)
            missing = {name: f"{name} is not installed" for name in wanted if name not in have}
            for reason in missing.values():
                say(reason)
            return Environment(str(python), missing, spark)
    reason = "no interpreter with numpy and pyarrow (bench/run --install makes one)"
    say(f"NOTHING TO COMPARE WITH: {reason}")
    return Environment(None, {"": reason})


def installed(python):
    """Versions by package."""
    script = (
        "import importlib.metadata as m, json;"
        "print(json.dumps({d.metadata['Name'].lower(): d.version for d in m.distributions()}))"
    )
    try:
        answer = subprocess.run([python, "-c", script], capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return {}
    return json.loads(answer)


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)
