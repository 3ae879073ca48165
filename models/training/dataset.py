"""Makes the training set: pairs of small squares, degraded (SIZE x SIZE) and true (twice that), in 8-bit RGB.

    dataset.py --assets ../../../shared/assets --out DIR [--seed 1] [--scale 1.0]

Writes DIR/low.npy [n, SIZE, SIZE, 3], DIR/high.npy [n, 2 SIZE, 2 SIZE, 3], DIR/subsampled.npy [n] (chroma was halved,
so that the square must not be mirrored sideways), DIR/real.npy [n] (from a picture or film, not drawn) and DIR/set.json (what is in it). The same seed, Pillow, numpy and
FFmpeg give the same bytes.
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

import degrade
import sources

SIZE = 64
PICTURE = 384  # side of a true picture
FRAMES = 6  # of a slow pan over each picture, for the compressed part
DRIFT = 12  # pixels that a pan goes at most


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--assets", type=Path, required=True)
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--scale", type=float, default=1.0, help="how much of everything")
    arguments.add_argument("--processes", type=int, default=2)
    options = arguments.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    jobs = list(plan(options))
    with ProcessPoolExecutor(options.processes) as pool:
        parts = list(pool.map(work, jobs))
    low, high, subsampled = (np.concatenate([part[i] for part in parts]) for i in range(3))
    real = np.concatenate([np.full(len(part[0]), job["kind"] in ("pictures", "films")) for job, part in zip(jobs, parts)])
    order = np.random.default_rng([options.seed, 1]).permutation(len(low))
    for name, array in (("low", low), ("high", high), ("subsampled", subsampled), ("real", real)):
        np.save(options.out / f"{name}.npy", array[order])
    counts = {}
    for job, part in zip(jobs, parts):
        counts[job["kind"]] = counts.get(job["kind"], 0) + len(part[0])
    (options.out / "set.json").write_text(json.dumps({"seed": options.seed, "squares": len(low), "kinds": counts}, indent=1))
    print(len(low), counts)


def plan(options):
    """Pieces of work that do not depend on each other."""
    common = {"assets": options.assets, "scratch": options.out}
    many = lambda n: max(1, round(n * options.scale))
    for i in range(many(20)):
        yield common | {"kind": "drawn", "seed": options.seed * 1000 + i, "count": 50}
    for i in range(many(16)):
        yield common | {"kind": "clip art", "seed": options.seed * 1000 + 100 + i, "count": 50}
    for i in range(many(6)):
        yield common | {"kind": "pictures", "seed": options.seed * 1000 + 200 + i, "count": 10}
    for i, name in enumerate(sources.TRAIN_CLIPS):
        for share in (1.0, 0.67, 0.5):
            for part in range(many(3)):
                seed = options.seed * 1000 + 300 + 20 * i + part
                yield common | {"kind": "films", "seed": seed, "name": name, "share": share, "part": part}


def work(job):
    if job["kind"] == "films":
        return film(job)
    rng = np.random.default_rng([job["seed"], 2])
    side = PICTURE + DRIFT
    true = list({
        "drawn": lambda: sources.drawn(job["seed"], job["count"], side),
        "clip art": lambda: sources.clip_art(job["seed"], job["count"], side, held_out=False),
        "pictures": lambda: sources.photos(job["assets"], job["seed"], job["count"], side),
    }[job["kind"]]())
    squares = Squares(rng)
    for picture in true:
        x, y = rng.integers(0, DRIFT, 2)
        cut = picture.crop((x, y, x + PICTURE, y + PICTURE))
        squares.clean(cut, 5)
    # A slide show of slow pans, with two encoders.
    for codec in choose_codecs(rng, 2):
        show, truth = [], []
        for picture in true:
            step = rng.integers(0, 3, 2)
            for k in range(FRAMES):
                x, y = (step * k).tolist()
                cut = picture.crop((x, y, x + PICTURE, y + PICTURE))
                truth.append(np.asarray(cut))
                if k == 0:
                    state = rng.integers(1 << 30)
                frame_rng = np.random.default_rng(state)  # one kernel for the whole pan
                show.append(degrade.noisy(frame_rng, np.asarray(degrade.shrink(frame_rng, cut))))
        seen = degrade.compressed(np.stack(show), codec, job["scratch"] / f"{job['seed']}.mkv")
        for i in range(0, len(seen), FRAMES):
            for k in (0, FRAMES - 1 - int(rng.integers(0, 3))):
                squares.pair(seen[i + k], truth[i + k], 2, subsampled=True)
    return squares.arrays()


def film(job):
    """A stretch of a film, shrunk and encoded whole, so that prediction between frames leaves its real marks."""
    rng = np.random.default_rng([job["seed"], 3])
    path = job["assets"] / job["name"]
    width, height = (int(side * job["share"]) // 4 * 4 for side in degrade.shape_of(path))
    duration = {"popeye_a.mkv": 60.0, "bbb_30s.webm": 28.0}.get(path.name, 5.0)
    start = (job["part"] + rng.uniform(0, 0.5)) / 3.5 * duration
    true = sources.frames(path, start, 20, (width, height) if job["share"] < 1 else None)
    true = true[:, : true.shape[1] // 4 * 4, : true.shape[2] // 4 * 4]
    squares = Squares(rng)
    for k in (3, 12):
        squares.clean(Image.fromarray(true[k]), 24)
    for codec in choose_codecs(rng, 2):
        state = rng.integers(1 << 30)
        low = []
        for frame in true:
            frame_rng = np.random.default_rng(state)
            low.append(degrade.noisy(frame_rng, np.asarray(degrade.shrink(frame_rng, Image.fromarray(frame)))))
        scratch = job["scratch"] / f"{job['seed']}-{job['share']}.mkv"
        seen = degrade.compressed(np.stack(low), codec, scratch)
        for k in (0, 5, 11, 17):
            squares.pair(seen[k], true[k], 12, subsampled=True)
    return squares.arrays()


def choose_codecs(rng, n):
    weights = np.array([weight for weight, _ in degrade.CODECS])
    return [degrade.CODECS[i][1] for i in rng.choice(len(degrade.CODECS), n, replace=False, p=weights / weights.sum())]


class Squares:
    """Pairs of squares, collected."""

    def __init__(self, rng):
        self.rng, self.low, self.high, self.subsampled = rng, [], [], []

    def clean(self, picture: Image.Image, n: int):
        """`n` squares of a picture that was shrunk, and perhaps went through 4:2:0, but was not compressed."""
        low = degrade.noisy(self.rng, np.asarray(degrade.shrink(self.rng, picture)))
        subsampled = self.rng.random() < 0.4
        if subsampled:
            low = degrade.chroma_subsampled(low)
        self.pair(low, np.asarray(picture), n, subsampled)

    def pair(self, low, high, n, subsampled):
        """`n` squares, each the more detailed of two random ones."""
        height, width, _ = low.shape
        for _ in range(n):
            places = [(self.rng.integers(0, height - SIZE + 1), self.rng.integers(0, width - SIZE + 1)) for _ in range(2)]
            y, x = max(places, key=lambda p: high[2 * p[0] : 2 * (p[0] + SIZE), 2 * p[1] : 2 * (p[1] + SIZE), 1].std())
            self.low.append(low[y : y + SIZE, x : x + SIZE])
            self.high.append(high[2 * y : 2 * (y + SIZE), 2 * x : 2 * (x + SIZE)])
            self.subsampled.append(subsampled)

    def arrays(self):
        return np.stack(self.low), np.stack(self.high), np.array(self.subsampled)


if __name__ == "__main__":
    main()
