"""What every end-to-end measurement shares: the program, clips, a stopwatch, dated results."""

import datetime
import json
import os
import pathlib
import platform
import resource
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
ASSETS = ROOT.parent / "shared" / "assets"
CORES = len(os.sched_getaffinity(0))


def add_program_option(parser):
    default = os.environ.get("FRAMEWRIGHT", str(ROOT / "target" / "release" / "framewright"))
    parser.add_argument("--framewright", default=default, help="the program under test (or $FRAMEWRIGHT)")


def asset(name):
    path = ASSETS / name
    if not path.exists():
        sys.exit(f"../shared/assets is not here, which this measurement needs: {name}")
    return path


def ffmpeg(*words):
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, words)], check=True)


def stopwatch(words, **options):
    """Runs a program to its end: wall seconds and CPU seconds (user and system, with its children)."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([str(word) for word in words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"exit {done.returncode}: {' '.join(map(str, words))}\n{done.stderr.decode(errors='replace')}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall_secs": round(wall, 3), "cpu_secs": round(cpu, 3)}


def upscale(program, clip, folder, *more, env=None):
    """One run of framewright: its report, with the stopwatch's numbers added."""
    report = folder / "report.json"
    output = [] if "null" in more else ["-o", folder / "framewright.mkv", "--overwrite"]
    words = [program, "upscale", clip, *output, "--progress", "none", "--report", report, *more]
    times = stopwatch(words, env={**os.environ, **(env or {})})
    return {**json.loads(report.read_text()), "stopwatch": times}


def stage(report, name):
    """The stage of a report, or None."""
    return next((one for one in report["stages"] if one["name"] == name), None)


def frames_of(clip):
    words = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-count_packets", "-show_entries",
             "stream=nb_read_packets", "-of", "csv=p=0", str(clip)]
    return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip().strip(","))


def machine():
    info = pathlib.Path("/proc/cpuinfo").read_text() if pathlib.Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")]
    return {"cpu": names[0] if names else platform.processor(), "cores": CORES, "load_1min": os.getloadavg()[0],
            "ffmpeg": first_line(["ffmpeg", "-version"]), "system": f"{platform.system()} {platform.machine()}"}


def first_line(words):
    return subprocess.run(words, capture_output=True, text=True).stdout.splitlines()[0]


def commit():
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def save(name, result):
    """Writes bench/runs/DATE-name.json and says where."""
    folder = ROOT / "bench" / "runs"
    folder.mkdir(exist_ok=True)
    now = datetime.datetime.now(datetime.timezone.utc)
    path = folder / f"{now:%Y-%m-%dT%H%M%SZ}-{name}.json"
    document = {"measurement": name, "date": f"{now:%Y-%m-%dT%H:%M:%SZ}", "commit": commit(), "machine": machine(), **result}
    path.write_text(json.dumps(document, indent=1) + "\n")
    print(f"written: {path.relative_to(ROOT)}")


def verdict(words, holds):
    """One line per target."""
    print(f"{'ok ' if holds else 'NOT'} {words}")
    return holds
