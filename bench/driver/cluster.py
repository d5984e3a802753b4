"""A coordinator and workers as processes of their own, and what they and the client took."""

import os
import signal
import socket
import subprocess
import time
import urllib.request

from . import measure

PATIENCE_S = 60


def run(rankmill, contestant, words, scratch, log, limit):
    """Starts a cluster, measures the client's job on it, and ends the cluster."""
    address = f"127.0.0.1:{free_port()}"
    url = f"http://{address}"
    members = []
    try:
        start(members, [rankmill, "coordinator", "--listen", address, "--state", scratch / "cluster"], log)
        wait_for(address, "rankmill_leader", 1)
        for _ in range(contestant.workers):
            memory = ["--threads", "1", "--memory", contestant.memory]
            start(members, [rankmill, "worker", "--coordinator", url, *memory], log)
        wait_for(address, "rankmill_workers", contestant.workers)
        before = [measure.process_cpu(member.pid) for member in members]
        figures = measure.run([rankmill, *words, "--coordinator", url], log, limit=limit)
        spent = sum(measure.process_cpu(member.pid) for member in members) - sum(before)
        figures["cpu_s"] += spent
        figures["others_cpu_s"] = max(0.0, figures["others_cpu_s"] - spent)
        # All of them together, each at its own peak.
        figures["peak_mib"] += sum(measure.process_peak_mib(member.pid) for member in members)
        return figures
    finally:
        end(members)


def start(members, command, log):
    with open(f"{log}.member-{len(members)}", "wb") as sink:
        process = subprocess.Popen([str(word) for word in command], stdout=sink, stderr=sink, stdin=subprocess.DEVNULL)
    members.append(process)


def end(members):
    for member in members:
        os.kill(member.pid, signal.SIGTERM)
    for member in members:
        try:
            member.wait(timeout=15)
        except subprocess.TimeoutExpired:
            member.kill()
            member.wait()


def wait_for(address, metric, value):
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=2) as page:
                lines = page.read().decode().splitlines()
            if f"{metric} {value}" in lines:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"the cluster did not get to {metric} {value} within {PATIENCE_S} s")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
