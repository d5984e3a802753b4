"""Tables of races: medians, ratios to the first contestant, accuracy of all.

The ratio in a round is the median, over rounds, of what both took in the same round; of who was never
done within the limit, the least that it can be.
"""

import json
import os
import statistics
import subprocess

from .places import ROOT


def machine():
    """The machine in words."""
    cpu = next((line.split(":")[1].strip() for line in lines("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = next((int(line.split()[1]) for line in lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return {
        "processor": cpu,
        "processors": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory / (1 << 20), 1),
        "commit": commit.stdout.strip(),
    }


def lines(path):
    try:
        with open(path) as file:
            return file.readlines()
    except OSError:
        return []


def summarize(record):
    """Adds medians and ratios to every contestant of a record."""
    if not record["contestants"]:
        return
    first = record["contestants"][0]
    base = figures(first)
    for entry in record["contestants"]:
        own = figures(entry)
        if not own:
            ends = {run["repetition"]: run["wall_s"] for run in entry["runs"] if run.get("timed_out")}
            beyond = [ends[repetition] / base[repetition] for repetition in ends if base.get(repetition)]
            if beyond:
                entry["beyond_ratio"] = min(beyond)
            continue
        runs = [run for run in entry["runs"] if "why" not in run]
        entry["median"] = {key: statistics.median(run[key] for run in runs) for key in ("wall_s", "cpu_s", "peak_mib")}
        entry["median"]["figure_s"] = statistics.median(own.values())
        entry["spread_s"] = [min(own.values()), max(own.values())]
        common = [own[repetition] / base[repetition] for repetition in own if base.get(repetition)]
        if common:
            entry["ratio"] = statistics.median(common)
            # On a machine that others use, the least of several runs is the least disturbed one.
            entry["least_ratio"] = min(own.values()) / min(base.values())
            if "workers" in first and "workers" in entry:
                # Of the least disturbed runs: the share of the added workers that came through.
                entry["efficiency"] = first["workers"] / entry["workers"] / entry["least_ratio"]
        errors = [run["error"] for run in runs if "error" in run]
        if errors:
            entry["error"] = max(errors)


def figures(entry):
    """What counts, by repetition."""
    return {run["repetition"]: run[entry["figure"]] for run in entry["runs"] if "why" not in run}


def table(record):
    """A record as Markdown."""
    head = [f"### {record['race']}: {record['title']}", "", f"Input: `{record['input']}`. Wanted: {record['wanted']}."]
    if "not_run" in record:
        return "\n".join([*head, "", f"Not run: {record['not_run']}.", ""])
    unit = record["unit"] or "error"
    rows = [
        f"| contestant | seconds (least–most of n) | CPU s | peak MiB | {unit} | ratio in a round | ratio of the least | |",
        "|---|---|---:|---:|---:|---:|---:|---|",
    ]
    rows += [row(entry, record) for entry in record["contestants"]]
    return "\n".join([*head, "", *rows, "", noise(record), ""])


def row(entry, record):
    name = entry["name"]
    if "not_run" in entry:
        return f"| {name} | | | | | | | not run: {entry['not_run']} |"
    if "median" not in entry:
        beyond = f"> {entry['beyond_ratio']:.0f}×" if "beyond_ratio" in entry else ""
        return f"| {name} | | | | | {beyond} | | {entry.get('failed', 'no run')} |"
    median, (least, most) = entry["median"], entry["spread_s"]
    seconds = f"{median['figure_s']:.2f} ({least:.2f}–{most:.2f} of {len(entry['runs'])})"
    error = f"{entry['error']:.1e}" if "error" in entry else ""
    ratio, least_ratio = (f"{entry[key]:.2f}×" if key in entry else "" for key in ("ratio", "least_ratio"))
    words = []
    if entry["figure"] != "wall_s":
        words.append(f"whole process {median['wall_s']:.2f} s")
    if "efficiency" in entry and entry["figure"] == "wall_s":
        words.append(f"efficiency {entry['efficiency']:.2f}")
    words += sorted({run["extrapolated"] for run in entry["runs"] if "extrapolated" in run})
    if record["target"] and entry.get("error", 0.0) > record["target"]:
        way = entry.get("same_accuracy")
        words.append("worse answer" + (f"; to the target: {way}" if way else ""))
    cells = [name, seconds, f"{median['cpu_s']:.1f}", f"{median['peak_mib']:.0f}", error, ratio, least_ratio, "; ".join(words)]
    return f"| {' | '.join(cells)} |"


def noise(record):
    runs = [run for entry in record["contestants"] for run in entry["runs"]]
    if not runs:
        return ""
    loads = [run["load_before"] for run in runs]
    others = sum(run["others_cpu_s"] for run in runs) / sum(run.get("measured_s", run["wall_s"]) for run in runs)
    return (
        f"Load average before the runs {min(loads):.1f}–{max(loads):.1f}; others used "
        f"{others:.2f} processors meanwhile."
    )


def write(record, folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{record['race']}.json").write_text(json.dumps(record, indent=1) + "\n")
    (folder / f"{record['race']}.md").write_text(table(record))
