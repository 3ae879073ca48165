"""The true pictures: drawn by rule, rendered from clip art, and cut out of openly licensed pictures and films.

What is trained on and what is held out is decided here and nowhere else.
"""

import hashlib
import io
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

import pictures

# Pictures and films to learn from, relative to the assets folder; licences and origins are in its README and in the
# model card. Films: the share of their size that is taken for the truth, since they are compressed themselves.
TRAIN_PICTURES = [
    "images/anime/bg_uni.jpg",
    "images/photo/dog.jpg",
    "images/photo/london.jpg",
    "images/photo/two_people_3072.jpg",
]
TRAIN_CLIPS = [
    "clips/2d/pennychip_autumn.mp4",
    "clips/2d/pennychip_reading.mp4",
    "clips/2d/popeye_a.mkv",
    "clips/3d/bbb_30s.webm",
    "clips/live/flower_cc0.mp4",
    "clips/live/elf_toy.mp4",
]
HELD_OUT_PICTURES = [
    "images/anime/sylvie_green_normal.png",
    "images/anime/sylvie_green_giggle.png",
    "images/anime/bg_club.jpg",
    "images/photo/person.jpg",
    "images/photo/tokyo.jpg",
]
HELD_OUT_CLIPS = [
    "clips/2d/pennychip_retro_gaming.mp4",
    "clips/2d/popeye_b.mkv",
    "clips/3d/bbb_5s_720p.mp4",
    "clips/vfr/increasing_timestamps_360p.mp4",
]

# Debian's package openclipart-svg 0.18: drawings in the public domain.
CLIP_ART = Path("/usr/share/openclipart/svg")


def drawn(seed: int, count: int, size: int):
    """Pictures drawn by rule."""
    for i in range(count):
        yield pictures.picture(seed * 1_000_000 + i, size)


def clip_art_files(held_out: bool) -> list[Path]:
    """A tenth of the drawings, by the hash of their name, is held out."""
    if not CLIP_ART.is_dir():
        print(f"skipped: no clip art, install Debian's openclipart-svg: {CLIP_ART}", flush=True)
        return []
    files = {path.name: path for path in sorted(CLIP_ART.rglob("*.svg"))}
    chosen = []
    for name, path in files.items():
        if (hashlib.sha256(name.encode()).digest()[0] < 26) == held_out:
            chosen.append(path)
    return chosen


def clip_art(seed: int, count: int, size: int, held_out: bool):
    """Cut-outs of rendered clip art on a background of any colour."""
    files = clip_art_files(held_out)
    rng = np.random.default_rng([seed, 5])
    rng.shuffle(files)
    found = 0
    for path in files:
        if found == count:
            return
        rng = np.random.default_rng([seed, 6, found])
        width = int(rng.uniform(1.0, 2.5) * size)
        rendered = render(path, width)
        if rendered is None:
            continue
        canvas = pictures.background(rng, max(rendered.size + (size,)))
        canvas.paste(rendered, mask=rendered.getchannel("A"))
        cut = most_detailed_cut(rng, canvas, size)
        if np.asarray(cut.convert("L"), float).std() < 12:
            continue
        found += 1
        yield cut


def render(path: Path, width: int):
    command = ["rsvg-convert", "--width", str(width), "--keep-aspect-ratio", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=5, check=True)
        picture = Image.open(io.BytesIO(done.stdout)).convert("RGBA")
    except (subprocess.SubprocessError, OSError):
        return None
    return picture if max(picture.size) <= 4 * width else None


def most_detailed_cut(rng, picture: Image.Image, size: int) -> Image.Image:
    """Of four random squares the one with the strongest edges."""
    cuts = []
    for _ in range(4):
        x, y = rng.integers(0, picture.width - size + 1), rng.integers(0, picture.height - size + 1)
        cut = picture.crop((x, y, x + size, y + size))
        grey = np.asarray(cut.convert("L"), float)
        cuts.append((np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean(), cut))
    return max(cuts, key=lambda scored: scored[0])[1]


def picture(path: Path) -> Image.Image:
    """A picture file as RGB, transparent parts on a pale background."""
    opened = Image.open(path)
    if opened.mode == "RGBA":
        background = Image.new("RGBA", opened.size, (228, 232, 240, 255))
        opened = Image.alpha_composite(background, opened)
    return opened.convert("RGB")


def photos(assets: Path, seed: int, per_picture: int, size: int):
    """Cut-outs of the training pictures at several sizes."""
    for i, name in enumerate(TRAIN_PICTURES):
        whole = picture(assets / name)
        for j in range(per_picture):
            rng = np.random.default_rng([seed, 7, i, j])
            share = rng.uniform(max(0.5, size / min(whole.size) + 0.01), 1.0)
            scaled = whole.resize([round(side * share) for side in whole.size], Image.Resampling.LANCZOS)
            yield most_detailed_cut(rng, scaled, size)


def frames(path: Path, start_secs: float, count: int, size: tuple[int, int] | None = None) -> np.ndarray:
    """Consecutive frames as RGB [n, h, w, 3]; with `size` (w, h) shrunk to it."""
    from degrade import CONVERT, shape_of

    filters = [f"scale={size[0]}:{size[1]}:flags=lanczos+{CONVERT}" if size else f"scale=flags=bilinear+{CONVERT}", "format=rgb24"]
    command = ["ffmpeg", "-v", "error", "-ss", str(start_secs), "-i", str(path), "-frames:v", str(count)]
    command += ["-vf", ",".join(filters), "-f", "rawvideo", "-"]
    data = subprocess.run(command, capture_output=True, check=True).stdout
    width, height = size or shape_of(path)
    return np.frombuffer(data, np.uint8).reshape(-1, height, width, 3)
