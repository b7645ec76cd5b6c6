"""What the benchmarks share: one measured command, the machine it ran on, tables and CSV files.

A number says nothing if something else was running. Every measurement therefore keeps the load average before
it, and `other`: the share of all cores that processes other than the measured one took while it ran (from
/proc/stat, less what the measured process used itself; the time a hypervisor took away counts too). From NOISY
on, it is marked with an asterisk wherever it is printed.
"""
import csv
import dataclasses
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time

NOISY = 0.05
RESULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "results")
WHET = os.path.join(os.path.dirname(RESULTS), "..", "build", "release", "whet")
TICKS = os.sysconf("SC_CLK_TCK")


def say(text):
    print(text, file=sys.stderr, flush=True)


def fail(text):
    say("%s: %s" % (os.path.basename(sys.argv[0]), text))
    sys.exit(1)


# ---- a measurement --------------------------------------------------------------------------------------------

def machine_busy():
    """Seconds that all cores together were busy since boot, stolen time included."""
    with open("/proc/stat") as f:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, f.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def process_busy(pid):
    """Seconds of CPU that a running process has used, all of its threads."""
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def process_peak_bytes(pid):
    """Peak resident memory of a running process."""
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))


class Watch:
    """How quiet the machine is from here to `other()`. own_seconds: CPU the measured process has used, if it runs already."""

    def __init__(self, own_seconds=0.0):
        self.load = os.getloadavg()[0]
        self.began, self.busy, self.own = time.monotonic(), machine_busy(), own_seconds + time.process_time()

    def other(self, own_seconds):
        wall = time.monotonic() - self.began
        busy = machine_busy() - self.busy - (own_seconds + time.process_time() - self.own)
        return max(0.0, busy / (wall * os.cpu_count()))


@dataclasses.dataclass
class Run:
    """A finished command."""
    output: str
    errors: str
    seconds: float
    peak_bytes: int
    load: float
    other: float


def run(command, timeout=1800):
    """Run a command to its end. RuntimeError, with the end of what it wrote, if it fails."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        watch, began = Watch(), time.monotonic()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, text=True)
        deadline = began + timeout
        pid, status, usage = 0, 0, None
        while not pid:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if not pid and time.monotonic() > deadline:
                child.kill()
                deadline = float("inf")
            if not pid:
                time.sleep(0.005)
        seconds = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        result = Run(output.read(), errors.read(), seconds, usage.ru_maxrss * 1024, watch.load,
                     watch.other(usage.ru_utime + usage.ru_stime))
    if child.returncode:
        raise RuntimeError("%s\nended with %d:\n%s" % (" ".join(command), child.returncode,
                                                      (result.errors or result.output)[-2000:]))
    return result


# ---- what was measured ----------------------------------------------------------------------------------------

def machine():
    """One line: processor, cores, memory."""
    name = "unknown processor"
    with open("/proc/cpuinfo") as f:
        for line in f:
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model"):
                name = value.strip()
                break
    with open("/proc/meminfo") as f:
        memory = int(f.readline().split()[1]) / 1e6
    return "%s, %d cores, %.0f GB" % (name, os.cpu_count(), memory)


def file_line(path):
    """One line that tells which file it was."""
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while chunk := f.read(1 << 20):
            digest.update(chunk)
    return "`%s`, %.1f MB, sha256 %s…" % (os.path.basename(path), os.path.getsize(path) / 1e6, digest.hexdigest()[:16])


def whet_version(whet):
    """Version and commit; the binary is taken to be the one built from the tree it stands in."""
    try:
        version = run([whet, "--version"]).output.splitlines()[0]
        return version + " " + run(["git", "-C", os.path.dirname(RESULTS), "describe", "--always", "--dirty"]).output.strip()
    except (OSError, RuntimeError) as e:
        fail(str(e))


# ---- tables ---------------------------------------------------------------------------------------------------

def median(values):
    return statistics.median(values) if values else float("nan")


def cell(values, noisy=False):
    """'median (min–max)'."""
    if not values:
        return "–"
    text = "%.1f" % median(values)
    if len(values) > 1:
        text += " (%.1f–%.1f)" % (min(values), max(values))
    return text + ("\\*" if noisy else "")


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


NOISE_NOTE = "\\* more than %d %% of the machine was busy with something else during one of the runs.\n" % round(100 * NOISY)


def result_path(name, ending):
    os.makedirs(RESULTS, exist_ok=True)
    return os.path.join(RESULTS, "%s.%s" % (name, ending))


def write(name, text, rows):
    """bench/results/NAME.md and .csv; the text also on standard output."""
    with open(result_path(name, "md"), "w") as f:
        f.write(text)
    write_csv(result_path(name, "csv"), rows)
    print(text)
    say("bench/results/%s.{md,csv}" % name)


def write_csv(path, rows):
    names = list(dict.fromkeys(key for row in rows for key in row))
    with open(path, "w", newline="") as f:
        writer = csv.DictWriter(f, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: "%.6g" % v if isinstance(v, float) else v for k, v in row.items()} for row in rows)


def read_csv(path):
    with open(path, newline="") as f:
        return list(csv.DictReader(f))
