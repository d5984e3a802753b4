"""Runs one process to its end and says what it took: wall, CPU, peak memory, and the noise around.

CPU and memory are the kernel's account of the process and the children it waited for. The noise is
the load average before, and the CPU time that everybody else used meanwhile.
"""

import os
import signal
import subprocess
import threading
import time

TICK = os.sysconf("SC_CLK_TCK")


def run(command, log, environment=None, limit=None):
    """Measures one command; its output goes to the file `log`."""
    os.sync()
    before, busy = os.getloadavg()[0], machine_cpu()
    started = time.monotonic()
    with open(log, "wb") as sink:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdout=sink,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    late = threading.Event()
    timer = threading.Timer(limit or 1e6, lambda: (late.set(), kill(process)))
    timer.daemon = True
    timer.start()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    return {
        "wall_s": wall,
        "cpu_s": cpu,
        "peak_mib": usage.ru_maxrss / 1024,
        "exit": process.returncode,
        "timed_out": late.is_set(),
        "load_before": before,
        "others_cpu_s": max(0.0, machine_cpu() - busy - cpu),
    }


def kill(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def machine_cpu():
    """CPU seconds that the machine has been busy, time stolen from it included."""
    try:
        with open("/proc/stat") as stat:
            fields = [int(word) for word in stat.readline().split()[1:9]]
    except OSError:
        return 0.0
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / TICK


def process_cpu(pid):
    """CPU seconds of a running process."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def process_peak_mib(pid):
    """Peak resident memory of a running process."""
    with open(f"/proc/{pid}/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return int(lines["VmHWM"].split()[0]) / 1024
