"""Runs one race: contestants in turn, A B C, B C A, C A B, each from Parquet to result files, and judges them."""

import hashlib
import json
import shutil
import subprocess
from dataclasses import replace

from . import cluster, inputs, measure
from .environment import say
from .jobs import Cluster, Peer, Rankmill
from .places import BENCH, PEERS, REFERENCES, SCRATCH, WORK

JUDGE = BENCH / "driver" / "judge.py"
# Stages that make blocks; what follows is the job's own work.
LAST_INGEST_STAGE = "publish blocks"


def line_up(field, repetition):
    """Who runs in a round, in which order: each round begins with the next contestant, so that nobody always
    follows the one that has used the most memory, whose pages come back cold."""
    field = [(runner, entry) for runner, entry in field if not (repetition and runner.once_only)]
    first = repetition % max(len(field), 1)
    return field[first:] + field[:first]


class Track:
    """What a race runs on: the binary, the environment, the limits."""

    def __init__(self, rankmill, environment, repetitions, limit, searches, programs):
        self.rankmill, self.environment = rankmill, environment
        # Peers' own programs that were built beforehand, by name.
        self.programs = programs
        self.repetitions, self.limit = repetitions, limit
        # Whether peers are tried at harder settings until they meet the target.
        self.searches = searches
        self.commands = subcommands(rankmill)

    def run(self, race):
        """The record of a race."""
        record = {
            "race": race.name,
            "title": race.title,
            "wanted": race.wanted,
            "input": inputs.command(race.input),
            "target": race.target,
            "unit": race.unit,
            "contestants": [],
        }
        if race.subcommand not in self.commands:
            record["not_run"] = f"this rankmill has no `{race.subcommand}`"
            return record
        try:
            places = {name: inputs.path(source, self.rankmill, self.environment) for name, source in race.inputs.items()}
            places["input"] = inputs.path(race.input, self.rankmill, self.environment)
            reference = self.reference(race, places)
        except inputs.Missing as missing:
            record["not_run"] = str(missing)
            return record
        field = self.field(race, places, reference, record)
        for repetition in range(self.repetitions):
            for contestant, entry in line_up(field, repetition):
                if not entry.get("failed"):
                    self.lap(race, contestant, entry, places, reference, repetition)
        return record

    def field(self, race, places, reference, record):
        """Contestants that can run, each with its entry in the record."""
        field = []
        for contestant in race.contestants:
            entry = {"name": contestant.name, "figure": contestant.figure, "runs": []}
            record["contestants"].append(entry)
            if isinstance(contestant, Cluster):
                entry["workers"] = contestant.workers
            lacking = self.lacks(contestant) if isinstance(contestant, Peer) else None
            if lacking:
                entry["not_run"] = lacking
                say(f"{race.name}: {contestant.name} not run: {lacking}")
                continue
            field.append((Runner(contestant), entry))
            if isinstance(contestant, Peer) and contestant.harder and reference and self.searches:
                harder = self.harder(race, contestant, places, reference)
                entry["same_accuracy"] = harder["said"]
                if "settings" in harder:
                    twin = replace(contestant, name=harder["name"], settings=harder["settings"], harder=(), once=True)
                    twin_entry = {"name": twin.name, "figure": twin.figure, "runs": [], "meets_target": True}
                    record["contestants"].append(twin_entry)
                    field.append((Runner(twin), twin_entry))
        return field

    def lacks(self, peer):
        """Why a peer cannot run; none if it can."""
        if peer.program and peer.program not in self.programs:
            return f"needs --{peer.program} PATH"
        return self.environment.lacks(peer.packages)

    def harder(self, race, peer, places, reference):
        """The cheapest settings of a peer that meet the target, tried once and remembered."""
        script = (PEERS / f"{peer.script}.py").read_bytes()
        name, values = peer.harder
        asked = json.dumps([peer.settings, name, values, race.input, race.target, self.limit], sort_keys=True)
        file = WORK / "harder" / f"{race.name}-{hashlib.sha256(script + asked.encode()).hexdigest()[:16]}.json"
        if file.exists():
            return json.loads(file.read_text())
        found = self.search(race, peer, places, reference)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found))
        return found

    def search(self, race, peer, places, reference):
        name, values = peer.harder
        said = "never tried"
        for value in (None, *values):
            settings = peer.settings if value is None else {**peer.settings, name: value}
            attempt = replace(peer, settings=settings)
            run, _ = self.measure(race, Runner(attempt), places, reference)
            if "error" not in run:
                return {"said": f"not reached: {name}={settings[name]} did not end well ({run['why']})"}
            said = f"{run['error']:.0e} at {name}={settings[name]} in {run['wall_s']:.1f} s"
            if run["error"] <= race.target:
                if value is None:
                    return {"said": "as it is"}
                label = peer.name.split(f" {name}=")[0]
                return {"said": said, "name": f"{label} {name}={value:g}", "settings": settings}
        return {"said": f"not reached: {said}"}

    def lap(self, race, runner, entry, places, reference, repetition):
        run, detail = self.measure(race, runner, places, reference)
        run["repetition"] = repetition
        entry["runs"].append(run)
        entry.update({key: value for key, value in detail.items() if key in ("stages", "version", "command")})
        if "why" in run:
            entry["failed"] = run["why"]
        error = f", error {run['error']:.1e}" if "error" in run else ""
        why = f", FAILED: {run['why']}" if "why" in run else ""
        say(
            f"{race.name} {repetition + 1}/{self.repetitions} {entry['name']}: {run['wall_s']:.2f} s, "
            f"cpu {run['cpu_s']:.1f}, {run['peak_mib']:.0f} MiB{error}, load {run['load_before']:.1f}, "
            f"others {run['others_cpu_s']:.1f}{why}"
        )

    def measure(self, race, runner, places, reference):
        """One run and its figures, and what else it said."""
        shutil.rmtree(SCRATCH, ignore_errors=True)
        SCRATCH.mkdir(parents=True)
        output = SCRATCH / "out"
        run, detail = runner.run(self, {**places, "output": output})
        log = SCRATCH / "log"
        if run["timed_out"]:
            run["why"] = f"not done after {self.limit} s"
        elif run["exit"] != 0:
            lines = log.read_text(errors="replace").strip().splitlines() or ["nothing said"]
            run["why"] = f"exit {run['exit']}: {lines[-1][:160]}"
        elif reference:
            run |= self.judge(race, output, reference)
        shutil.rmtree(SCRATCH, ignore_errors=True)
        return run, detail

    def judge(self, race, output, reference):
        command = [self.environment.python, JUDGE, "check", race.judge, output, reference]
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode != 0:
            return {"why": f"cannot be judged: {answer.stderr.strip()[-160:]}"}
        return json.loads(answer.stdout)

    def reference(self, race, places):
        """The file of the reference answer, made if it is not there; none if it cannot be."""
        if not race.judge or self.environment.lacks(("scipy",)):
            return None
        settings = [f"{name}={value}" for name, value in sorted(race.judged.items())]
        named = "-".join(word for word in settings if "{" not in word)
        file = REFERENCES / f"{race.judge}-{race.input}{'-' + named.replace('=', '') if named else ''}.npz"
        if file.exists():
            return file
        say(f"making the reference answer {file.name}")
        REFERENCES.mkdir(parents=True, exist_ok=True)
        draft = file.with_name("draft.npz")
        settings = [word.format(**places) for word in settings]
        command = [self.environment.python, JUDGE, "reference", race.judge, places["input"], draft, *settings]
        made = subprocess.run(command, capture_output=True, text=True)
        if made.returncode != 0:
            raise inputs.Missing(f"its reference cannot be made: {made.stderr.strip()[-200:]}")
        draft.rename(file)
        return file


class Runner:
    """How a contestant is run, by its kind."""

    def __init__(self, contestant):
        self.contestant = contestant
        self.once_only = getattr(contestant, "once", False)

    def run(self, track, places):
        contestant, log = self.contestant, SCRATCH / "log"
        match contestant:
            case Peer():
                places = {**places, "program": track.programs.get(contestant.program, "")}
                settings = [f"{name}={value}".format(**places) for name, value in contestant.settings.items()]
                script = PEERS / f"{contestant.script}.py"
                command = [track.environment.python, script, places["input"], places["output"], *settings]
                run = measure.run(command, log, limit=track.limit)
                detail = last_json(log)
                seconds = detail.get("seconds", {})
                if "extrapolated" in detail:
                    answered, asked = detail["extrapolated"]
                    seconds["solve"] *= asked / answered
                    run["measured_s"], run["wall_s"] = run["wall_s"], sum(seconds.values())
                    run["extrapolated"] = f"{answered} of {asked} sources, the rest extrapolated"
                run["parts_s"] = sum(seconds.values())
                return run, detail
            case Rankmill():
                words = [word.format(**places) for word in contestant.words.split()]
                # A state of its own: no blocks of an earlier run.
                state = {"RANKMILL_STATE": str(SCRATCH / "state")}
                run = measure.run([track.rankmill, *words], log, state, track.limit)
            case Cluster():
                words = [word.format(**places) for word in contestant.words.split()]
                run = cluster.run(track.rankmill, contestant, words, SCRATCH, log, track.limit)
        stages = timings(places["output"])
        run["ingest_s"] = ingest_seconds(stages)
        return run, {"stages": stages, "command": f"rankmill {contestant.words}"}


def last_json(log):
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else {}


def timings(output):
    manifest = output / "_manifest.json"
    return json.loads(manifest.read_text())["timings"] if manifest.exists() else []


def ingest_seconds(stages):
    names = [stage["stage"] for stage in stages]
    if LAST_INGEST_STAGE not in names:
        return 0.0
    return sum(stage["wall_ms"] for stage in stages[: names.index(LAST_INGEST_STAGE) + 1]) / 1e3


def subcommands(rankmill):
    """Words that begin a line of the help."""
    text = subprocess.run([rankmill, "--help"], capture_output=True, text=True).stdout
    return {line.split()[0] for line in text.splitlines() if line.startswith("  ") and line.split()}
