#!/usr/bin/env python3
"""framewright against the plain peer, alternately, on the same clip, model and encoder settings.

    run.py [--pairs 3] [--frames 48] [--size 320x180] [--clip FILE] [--model FILE.onnx]

Prints the ratio peer / framewright of wall time (more than 1: framewright is faster) and CPU seconds, and
writes a dated result under bench/runs. With `--engine ort --reuse off` framewright does the same work with the
same library; `native` is its own engine; `--reuse frame` is what users get.
"""

import argparse
import glob
import os
import pathlib
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import common

WAYS = {
    "ort": ["--engine", "ort", "--reuse", "off"],
    "native fp32": ["--engine", "native", "--precision", "fp32", "--reuse", "off"],
    "native": ["--engine", "native", "--reuse", "off"],
    "native, frame": ["--engine", "native", "--reuse", "frame"],
}
PEER = pathlib.Path(__file__).resolve().parent / "peer.py"


def same_library():
    """The library inside the Python package the peer uses, for framewright to load: one version for both."""
    import onnxruntime

    found = sorted(glob.glob(os.path.join(os.path.dirname(onnxruntime.__file__), "capi", "libonnxruntime.so*")))
    return onnxruntime.__version__, found[0] if found else os.environ.get("FRAMEWRIGHT_ORT")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    common.add_program_option(parser)
    parser.add_argument("--clip", help="default: dialogue_limited.mp4 of ../shared/assets")
    parser.add_argument("--model", help="default: realesr-animevideov3-x2.onnx of ../shared/assets")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--size", default="320x180", help="the clip is scaled to this first")
    parser.add_argument("--crf", default="18")
    parser.add_argument("--preset", default="veryfast")
    options = parser.parse_args()

    clip = options.clip or common.asset("clips/2d/dialogue_limited.mp4")
    model = options.model or common.asset("models/realesr-animevideov3-x2.onnx")
    version, library = same_library()
    encoder = ["--crf", options.crf, "--preset", options.preset]
    runs = {**{way: [] for way in WAYS}, "peer": []}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        small = folder / "in.mkv"
        width, height = options.size.split("x")
        common.ffmpeg("-i", clip, "-frames:v", options.frames, "-shortest", "-vf", f"scale={width}:{height}",
                      "-c:v", "libx264", "-crf", "14", "-c:a", "copy", small)
        print(f"{common.frames_of(small)} frames of {options.size}, onnxruntime {version}, {common.CORES} cores")
        for pair in range(options.pairs):
            for way, words in WAYS.items():
                report = common.upscale(options.framewright, small, folder, "-m", model, *words,
                                        "--encoder", "libx264", *encoder, env={"FRAMEWRIGHT_ORT": library})
                runs[way].append(report["stopwatch"])
            words = [sys.executable, PEER, small, folder / "peer.mkv", "--model", model, *encoder]
            runs["peer"].append(common.stopwatch(words))
            print(f"pair {pair + 1}: " + ", ".join(f"{key} {list_[-1]['wall_secs']:.1f} s" for key, list_ in runs.items()))
        written = common.frames_of(folder / "peer.mkv")

    def median(key, field):
        return statistics.median(run[field] for run in runs[key])

    ratios = {}
    for way in WAYS:
        each = [peer["wall_secs"] / ours["wall_secs"] for peer, ours in zip(runs["peer"], runs[way])]
        ratios[way] = {"median": round(statistics.median(each), 3), "each": [round(ratio, 3) for ratio in each]}
        cpu = median("peer", "cpu_secs") / median(way, "cpu_secs")
        print(f"{way}: wall ratio {ratios[way]['median']:.3f} {ratios[way]['each']}, CPU ratio {cpu:.3f} "
              f"({median(way, 'cpu_secs'):.1f} s against {median('peer', 'cpu_secs'):.1f} s)")
    holds = common.verdict(f"not slower than the peer with the same library: {ratios['ort']['median']:.3f} >= 1.0",
                           ratios["ort"]["median"] >= 1.0)
    common.save("peer", {"clip": pathlib.Path(clip).name, "size": options.size, "frames": options.frames,
                         "peer_frames": written, "model": pathlib.Path(model).name, "onnxruntime": version,
                         "encoder": encoder, "runs": runs, "ratios": ratios})
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
