#!/usr/bin/env python3
"""framewright's own engine and its peers, side by side: the same weights, the same frame, the same cores, in turn.

    run.py [--networks compact,tiny] [--sizes 640x360,1280x720] [--cores 1,2] [--rounds 5] [--quick]

For each network, size and number of cores every engine is started in a process of its own, its result is compared
with ONNX Runtime's, and then all are asked in turn, round after round, while the others sleep: what else the machine
does hits all alike. Time is that of a frame with all given cores busy, at the better of several workers and one
worker with several threads. Ratio: time of ONNX Runtime in fp32 / time, of the same round; more than 1 is faster.

`--quick` tries all of this on a tiny picture, and writes no result.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import common

BASE = "ONNX Runtime fp32"
LEAST_PSNR = 45
# Threads without work sleep instead of looking for it: the engine whose turn it is has the cores for itself.
SLEEP = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}


class Engine:
    """A child process that holds one engine, ready to run the frame."""

    def __init__(self, name, workers, threads, words, cpus, log):
        self.name, self.layout, self.log = name, f"{workers} x {threads}", log
        self.words = [str(word) for word in words]
        self.rounds, self.used, self.resting = [], [0.0, 0.0], None
        self.process = subprocess.Popen(self.words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        stderr=log.open("w"), env={**os.environ, **SLEEP},
                                        preexec_fn=lambda: os.sched_setaffinity(0, cpus))
        self.about = json.loads(self.line().removeprefix("ready "))

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            sys.exit(f"{self.name} ended with {self.process.returncode}: {' '.join(self.words)}\n"
                     + self.log.read_text())
        return line

    def ask(self, question):
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return json.loads(self.line())

    def turn(self, secs):
        """One round. Also adds up the CPU time used since the last: a sleeping engine uses none."""
        cpu, now = self.cpu_secs(), time.monotonic()
        if self.resting is not None:
            self.used[0] += cpu - self.resting[0]
            self.used[1] += now - self.resting[1]
        self.rounds.append(self.ask(f"run {secs}"))
        self.resting = self.cpu_secs(), time.monotonic()

    def cpu_secs(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ms(self):
        return [one["ms_per_frame"] for one in self.rounds]

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def engines(files, frame, size, cores, time_engine, bf16, peers):
    """(name, workers, threads, words) of each: the base first, so that all others are compared with it."""
    width, height = size
    # One frame per core, or all cores on one frame: the same with one core.
    layouts = [(cores, 1)] if cores == 1 else [(1, cores), (cores, 1)]
    precisions = ["fp32", "bf16"] if bf16 else ["fp32"]
    peer = [sys.executable, HERE / "peers.py"]

    def other(name, engine, precision, *models):
        models = [word for model in models for word in ("--model", model)]
        for workers, threads in layouts:
            yield name, workers, threads, [*peer, engine, width, height, frame, *models, "--precision", precision,
                                           "--workers", workers, "--threads", threads]

    yield from other(BASE, "onnxruntime", "fp32", files["onnx"])
    for precision in precisions:
        words = [time_engine, files["onnx"], width, height, frame, "--precision", precision, "--workers", cores]
        yield f"framewright {precision}", cores, 1, words
    if "openvino" in peers:
        for precision in precisions:
            yield from other(f"OpenVINO {precision}", "openvino", precision, files["onnx"])
        yield from other("OpenVINO int8", "openvino", "int8", files["int8"])
    if "ncnn" in peers:
        # Here bf16 is how numbers are stored, which any processor can.
        for precision in ["fp32", "bf16"]:
            yield from other(f"ncnn {precision}", "ncnn", precision, files["param"], files["bin"])


def verify(running, picture, folder):
    """PSNR of each engine's result to the base's, which fails the run where it shows another computation."""
    import numpy as np

    import models

    def dump(engine):
        path = folder / "result.f32"
        engine.ask(f"dump {path}")
        return np.fromfile(path, "<f4")

    wanted = dump(running[0])
    blank = models.psnr(models.enlarged(picture).ravel(), wanted)
    if blank > LEAST_PSNR - 10:
        sys.exit(f"the network adds too little to the picture ({blank:.1f} dB) to tell a wrong result by")
    for engine in running:
        engine.psnr = models.psnr(dump(engine), wanted)
        if engine.psnr < LEAST_PSNR:
            sys.exit(f"{engine.name} ({engine.layout}) computes something else: {engine.psnr:.1f} dB to {BASE}, "
                     f"where {LEAST_PSNR} dB are needed")
    return blank


def peak(time_engine, cores, cpus):
    done = subprocess.run([time_engine, "peak", str(cores)], check=True, capture_output=True, text=True,
                          preexec_fn=lambda: os.sched_setaffinity(0, cpus))
    return json.loads(done.stdout)


def measure(network, files, size, cores, folder, options, time_engine, peers):
    """One group: all engines for one network, size and number of cores."""
    import models

    cpus = sorted(os.sched_getaffinity(0))[:cores]
    picture, _ = models.frame(*size)
    frame = folder / "frame.f32"
    picture.astype("<f4").tofile(frame)
    peaks = [peak(time_engine, cores, cpus)]
    bf16 = peaks[0]["bf16_gflops"] is not None
    with contextlib.ExitStack() as stack:
        running = []
        for index, one in enumerate(engines(files, frame, size, cores, time_engine, bf16, peers)):
            engine = Engine(*one, cpus, folder / f"log{index}.txt")
            stack.callback(engine.close)
            running.append(engine)
        blank = verify(running, picture, folder)
        for _ in range(options.rounds):
            for engine in running:
                engine.turn(options.secs)
            peaks.append(peak(time_engine, cores, cpus))

    # A level that nothing exceeded: the best of all rounds.
    best = {key: max(one[key] or 0 for one in peaks) or None for key in peaks[0]}
    gflop = 2e-9 * models.macs_per_pixel(network) * size[0] * size[1]
    for engine in running:
        awake = engine.used[0] / engine.used[1] if engine.used[1] else 0
        if awake > 0.02:
            print(f"note: {engine.name} ({engine.layout}) used {awake:.0%} of a core while others had their turn")
    return {"network": network, "size": "x".join(map(str, size)), "cores": cores, "peak": best, "peaks": peaks,
            "nearest_psnr": round(blank, 2), "engines": summary(running, gflop, best)}


def summary(running, gflop, best):
    """Per engine, at its better layout, times and ratios; the other layout's times are kept beside."""
    by_name = {}
    for engine in running:
        by_name.setdefault(engine.name, []).append(engine)
    chosen = {name: min(list_, key=lambda engine: statistics.median(engine.ms())) for name, list_ in by_name.items()}
    base = chosen[BASE].ms()
    rows = []
    for name, engine in chosen.items():
        ms = engine.ms()
        rate = gflop / min(ms) * 1e3
        rows.append({
            "engine": name, "version": engine.about.get("version"), "layout": engine.layout,
            "ms_min": round(min(ms), 3), "ms_median": round(statistics.median(ms), 3),
            "ratio_median": round(statistics.median(b / m for b, m in zip(base, ms)), 3),
            "ratio_of_minima": round(min(base) / min(ms), 3), "gflops": round(rate, 1),
            "of_fp32_peak": best["fp32_gflops"] and round(rate / best["fp32_gflops"], 3),
            "of_bf16_peak": best["bf16_gflops"] and round(rate / best["bf16_gflops"], 3),
            "psnr": round(engine.psnr, 2) if engine.psnr != float("inf") else None,
            "ms": {one.layout: [round(value, 3) for value in one.ms()] for one in by_name[name]},
            "frames": [one["frames"] for one in engine.rounds],
            "together": round(min(one["together"] for one in engine.rounds), 3),
        })
    return rows


def show(group):
    """The group as a Markdown table."""
    peaks = [f"{key.removesuffix('_gflops')} {value:.0f} GFLOP/s" for key, value in group["peak"].items() if value]
    cores = f"{group['cores']} core" + ("s" if group["cores"] > 1 else "")
    print(f"\n### {group['network']}, {group['size']}, {cores}\n\n"
          f"peak: {', '.join(peaks) or 'not known here'}; the enlarged picture alone: {group['nearest_psnr']} dB\n")
    print("| engine | workers x threads | ms/frame min | median | ratio | of minima | GFLOP/s | of fp32 peak "
          "| of bf16 peak | PSNR |\n|---|---|---|---|---|---|---|---|---|---|")
    for row in group["engines"]:
        shares = [f"{share:.0%}" if share else "–" for share in (row["of_fp32_peak"], row["of_bf16_peak"])]
        psnr = "same" if row["psnr"] is None else f"{row['psnr']:.1f} dB"
        cells = [row["engine"], row["layout"], f"{row['ms_min']:.1f}", f"{row['ms_median']:.1f}",
                 f"{row['ratio_median']:.2f}", f"{row['ratio_of_minima']:.2f}", f"{row['gflops']:.0f}", *shares, psnr]
        print(f"| {' | '.join(cells)} |", flush=True)


def show_ratios(groups):
    """The ratios of all groups: one line for each size and number of cores, and engine."""
    networks = list(dict.fromkeys(group["network"] for group in groups))
    print(f"\n### Times faster than {BASE}, median of the rounds\n\n"
          f"| size | cores | engine | {' | '.join(networks)} |\n|---|---|---|{'---|' * len(networks)}")
    ratios = {(group["size"], group["cores"], row["engine"], group["network"]): f"{row['ratio_median']:.2f}"
              for group in groups for row in group["engines"]}
    for key in dict.fromkeys(key[:3] for key in ratios):
        print(f"| {' | '.join(map(str, key))} | {' | '.join(ratios.get((*key, name), '–') for name in networks)} |")


def build():
    words = ["cargo", "build", "--release", "-p", "framewright-infer", "--example", "time_engine"]
    subprocess.run(words, cwd=common.ROOT, check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    return common.ROOT / target / "release" / "examples" / "time_engine"


def installed():
    """The peers that are here; says what is not."""
    for module in ["numpy", "onnx", "onnxruntime"]:
        if importlib.util.find_spec(module) is None:
            sys.exit(f"this measurement needs the Python package {module}: pip install {module}")
    peers = []
    for module in ["openvino", "ncnn"]:
        if importlib.util.find_spec(module) is None:
            print(f"skipped: {module} is not installed (pip install {module})")
        else:
            peers.append(module)
    return peers


def arguments():
    def sizes(text):
        return [tuple(int(side) for side in size.split("x")) for size in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=lambda text: text.split(","), help="default: all of models.py")
    parser.add_argument("--sizes", type=sizes, help="default: 640x360,1280x720")
    parser.add_argument("--cores", type=lambda text: [int(n) for n in text.split(",")], help="default: 1,2")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true", help="160x90, 2 short rounds, no result is written")
    options = parser.parse_args()
    options.secs = 0.05 if options.quick else 0.5
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.sizes = options.sizes or ([(160, 90)] if options.quick else [(640, 360), (1280, 720)])
    wanted = options.cores or [1, 2]
    options.cores = [cores for cores in wanted if cores <= common.CORES]
    if len(options.cores) < len(wanted):
        print(f"skipped: more than {common.CORES} cores, this machine has no more")
    return options


def main():
    options = arguments()
    peers = installed()
    import models

    options.networks = options.networks or list(models.NETWORKS)
    unknown = [name for name in options.networks if name not in models.NETWORKS]
    if unknown:
        sys.exit(f"no such network: {', '.join(unknown)}, there are {', '.join(models.NETWORKS)}")
    load = os.getloadavg()[0]
    time_engine = build()
    origin = models.frame(16, 16)[1]
    print(f"frame: {origin}; load before: {load:.1f}")
    groups = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for network in options.networks:
            files = models.write(network, folder, int8="openvino" in peers)
            for size in options.sizes:
                for cores in options.cores:
                    groups.append(measure(network, files, size, cores, folder, options, time_engine, peers))
                    show(groups[-1])
    show_ratios(groups)
    common.verdict(f"every engine within {LEAST_PSNR} dB of {BASE}", True)
    if options.quick:
        print("--quick: no result is written, its times mean nothing")
    else:
        common.save("engines", {"frame": origin, "rounds": options.rounds, "round_secs": options.secs,
                                "load_1min_before": load, "groups": groups})


if __name__ == "__main__":
    main()
