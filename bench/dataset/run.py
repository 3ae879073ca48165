#!/usr/bin/env python3
"""framewright against the same job in Python (peer.py), alternately, on the same films.

    run.py [--pairs 3] [--every 0.5] [--python python3] [--clips FILE...]

`--python` is an interpreter that has av, imagehash, onnxruntime, numpy and pillow. Prints the ratio peer / framewright
of wall time (more than 1: framewright is faster) without and with a detector, each against the peer with one process
and with one for each core, and writes a dated result under bench/runs.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import common

PEER = pathlib.Path(__file__).resolve().parent / "peer.py"
CLIPS = ["live/chaplin.mp4", "live/elf_toy.mp4", "live/flower_cc0.mp4", "live/friday_cc0.mp4", "3d/bbb_5s_720p.mp4",
         "3d/bbb_30s.webm", "2d/pennychip_autumn.mp4", "2d/pennychip_reading.mp4", "2d/popeye_a.mkv",
         "2d/popeye_b.mkv", "2d/dialogue_limited.mp4", "live/one_by_one_person.mp4"]


def framewright(program, clips, folder, every, detector):
    (folder / "list.txt").write_text("\n".join(str(clip) for clip in clips))
    more = ["--detector", detector] if detector else []
    words = [program, "dataset", "run", "--inputs", folder / "list.txt", "-o", folder / "set", "--every", f"{every}s",
             "--format", "coco", "--progress", "none", "--json", *more]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    summary = json.loads(done.stdout)
    return {"seconds": summary["wall_secs"], "frames": summary["frames"], "kept": summary["kept"],
            "stages": summary["stages"]}


def peer(python, clips, folder, every, detector, processes):
    more = ["--detector", detector] if detector else []
    words = [python, PEER, folder / "peer", "--every", every, "--processes", processes, *more, *clips]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    common.add_program_option(parser)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--every", type=float, default=0.5)
    parser.add_argument("--clips", nargs="*")
    parser.add_argument("--no-detector", action="store_true")
    options = parser.parse_args()
    clips = options.clips or [common.asset(f"clips/{clip}") for clip in CLIPS]
    detectors = [None] if options.no_detector else [None, common.asset("models/yolox_nano_416.onnx")]
    result = {}
    for detector in detectors:
        runs = {"framewright": [], "peer, 1 process": [], f"peer, {common.CORES} processes": []}
        for _ in range(options.pairs):
            for name, done in runs.items():
                with tempfile.TemporaryDirectory() as folder:
                    folder = pathlib.Path(folder)
                    if name == "framewright":
                        done.append(framewright(options.framewright, clips, folder, options.every, detector))
                    else:
                        processes = name.split()[1]
                        done.append(peer(options.python, clips, folder, options.every, detector, processes))
        title = "with a detector" if detector else "without a detector"
        ours = statistics.median(run["seconds"] for run in runs["framewright"])
        frames = runs["framewright"][0]["frames"]
        print(f"{title}: {frames} frames looked at, {runs['framewright'][0]['kept']} kept, {frames / ours:.0f} frames/s")
        target = 1.3 if detector else 2.0
        for name in list(runs)[1:]:
            ratios = [theirs["seconds"] / its["seconds"] for theirs, its in zip(runs[name], runs["framewright"])]
            words = f"{statistics.median(ratios):.2f} × {name} ({min(ratios):.2f} to {max(ratios):.2f}), aim {target}"
            common.verdict(words, statistics.median(ratios) >= target)
        result[title] = runs
    common.save("dataset", {"clips": [pathlib.Path(clip).name for clip in clips], "every": options.every, "runs": result})


if __name__ == "__main__":
    main()
