"""Trains networks of several sizes alike and briefly, to choose one; prints a line for each.

    sizes.py --data DIR --assets DIR --out DIR [--steps 1000]

PSNR of luma minus Lanczos's, in dB: clean drawings and clip art that were held out, and the held-out film's frames at crf
23 and 28. Milliseconds per frame are measured apart, by `bench/engines/run.py`.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np

import degrade
import evaluate
import sources
from network import of_file, parameters

SIZES = [(16, 4), (16, 8), (24, 4), (24, 8), (32, 8)]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--data", "--assets", "--out"):
        arguments.add_argument(name, type=Path, required=True)
    arguments.add_argument("--steps", type=int, default=1000)
    options = arguments.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    sets = material(options.assets)
    lanczos = evaluate.resized(evaluate.Image.Resampling.LANCZOS)
    print("| network | parameters | " + " | ".join(sets) + " |", flush=True)
    for features, layers in SIZES:
        checkpoint = options.out / f"{features}x{layers}.pt"
        weights = options.out / f"{features}x{layers}" / "weights.safetensors"
        weights.parent.mkdir(exist_ok=True)
        train = ["train.py", "--data", options.data, "--out", checkpoint, "--features", features, "--layers", layers]
        call(*train, "--steps", options.steps, "--cooldown", options.steps // 2, "--resume")
        call("export.py", checkpoint, weights)
        lite = evaluate.network(weights)
        gains = [
            np.mean([evaluate.psnr(lite(low), high) - evaluate.psnr(lanczos(low), high) for low, high in pairs])
            for pairs in sets.values()
        ]
        shown = " | ".join(f"{gain:+.2f}" for gain in gains)
        print(f"| {features}x{layers} | {parameters(of_file(weights))} | {shown} |", flush=True)


def material(assets):
    drawn = [np.asarray(picture) for picture in sources.drawn(900, 12, 384)]
    art = [np.asarray(picture) for picture in sources.clip_art(901, 12, 384, held_out=True)]
    frames = sources.frames(assets / sources.HELD_OUT_CLIPS[0], 1.0, 24)
    low = np.stack([evaluate.shrunk(high) for high in frames])
    sets = {"drawn, clean": [(evaluate.shrunk(high), high) for high in drawn]}
    sets["clip art, clean"] = [(evaluate.shrunk(high), high) for high in art]
    for crf in (23, 28):
        seen = degrade.compressed(low, ["-c:v", "libx264", "-crf", str(crf)], Path(f"sizes{crf}.mkv"))
        sets[f"film, crf {crf}"] = [(seen[k], frames[k]) for k in (3, 11, 20)]
    return sets


def call(script, *arguments):
    command = [sys.executable, str(Path(__file__).parent / script), *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
