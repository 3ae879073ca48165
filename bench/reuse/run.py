"""What reuse is worth and what it costs, clip by clip: one table.

    run.py CLIP... [--model M]... [--framewright PATH] [--reuse WAY] [--against WAY] [--repeat 3] [--tolerance T]
           [--still TRUTH] [--seconds N] [--no-speed] [--no-quality] [--out JSON]

`--reuse incremental` is compared with `--against off` where nothing else is said. `--still` leaves out what the truth file of
a clip calls a pan or a fade, `--seconds` all but the first ones.

Quality: the whole program runs in both ways into ffv1; ffmpeg decodes both, and luma is
compared here. PSNR of all frames together, of the worst frame and of the worst 32x32 block. Speed: the two take turns,
the encoder included (libx264 veryfast), `--repeat` times; the median of the ratios of neighbouring runs counts.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

BLOCK = 32


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("clips", nargs="+", type=Path)
    arguments.add_argument("--model", action="append")
    arguments.add_argument("--framewright", default="target/release/framewright")
    arguments.add_argument("--repeat", type=int, default=3)
    arguments.add_argument("--tolerance", default="0.5")
    arguments.add_argument("--reuse", default="incremental")
    arguments.add_argument("--against", default="off")
    arguments.add_argument("--still", type=Path)
    arguments.add_argument("--seconds")
    arguments.add_argument("--no-speed", action="store_true")
    arguments.add_argument("--no-quality", action="store_true")
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    rows = []
    print("| clip | model | PSNR mean / worst frame / worst block | computed | cells changed | speed-up (from–to) |")
    print("|---|---|---|---|---|---|", flush=True)
    for model in options.model or ["lite-x2"]:
        for clip in options.clips:
            with tempfile.TemporaryDirectory() as folder:
                row = measure(clip, model, options, Path(folder))
            rows.append(row)
            print(line(row), flush=True)
            if options.out:
                options.out.write_text(json.dumps(rows, indent=1) + "\n")


def measure(clip, model, options, folder):
    row = {"clip": clip.name, "model": Path(model).stem, "reuse": options.reuse, "against": options.against}
    if options.still:
        row["clip"] += ", without pans and fades"
        clip = still(clip, json.loads(options.still.read_text())["segment"], folder)
    if options.seconds:
        row["clip"] += f", {options.seconds} s"
        clip = cut(clip, ["-t", options.seconds, "-c", "copy"], folder)

    def run(name, encoder):
        out, report = folder / f"{name}.mkv", folder / f"{name}.json"
        command = [options.framewright, "upscale", clip, "-o", out, "-m", model, "--reuse", name,
                   "--tolerance", options.tolerance, *encoder]
        command += ["--overwrite", "--report", report, "--progress", "none", "-q"]
        start = time.monotonic()
        subprocess.run(list(map(str, command)), check=True)
        return time.monotonic() - start, json.loads(report.read_text()), out

    if not options.no_quality:
        _, report, region = run(options.reuse, ["--encoder", "ffv1"])
        _, _, full = run(options.against, ["--encoder", "ffv1"])
        row |= quality(region, full, (report_size(full)))
        row["report"] = {k: report[k] for k in ("compute_fraction", "cells_changed_fraction", "older_composite_hits", "moved_frames",
                                                "unique_frames", "frames_out", "worst_tolerated_difference")}
    if not options.no_speed:
        pairs = []
        for _ in range(options.repeat):
            fast, report, _ = run(options.reuse, ["--preset", "veryfast"])
            slow, _, _ = run(options.against, ["--preset", "veryfast"])
            pairs.append((slow, fast))
        ratios = [slow / fast for slow, fast in pairs]
        row |= {"seconds": pairs, "speed_up": statistics.median(ratios), "speed_up_range": [min(ratios), max(ratios)]}
        row.setdefault("report", {"compute_fraction": report["compute_fraction"],
                                  "cells_changed_fraction": report["cells_changed_fraction"]})
    return row


def cut(clip, arguments, folder):
    into = folder / f"cut-{clip.stem}.mkv"
    command = ["ffmpeg", "-v", "error", "-y", "-i", clip, "-map", "0:v:0", *arguments, into]
    subprocess.run(list(map(str, command)), check=True)
    return into


def still(clip, segments, folder):
    """The frames of a clip that belong to no pan and no fade, without loss."""
    left_out = [n for n, kind in enumerate(segments) if kind.startswith(("pan", "fade"))]
    first = [n for n in left_out if n - 1 not in left_out]
    last = [n for n in left_out if n + 1 not in left_out]
    spans = "+".join(f"between(n,{a},{b})" for a, b in zip(first, last))
    return cut(clip, ["-vf", f"select='not({spans})',setpts=N/24/TB", "-c:v", "libx264", "-qp", "0"], folder)


def report_size(film):
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height", "-of", "csv=p=0"]
    width, height = subprocess.run([*command, film], check=True, capture_output=True, text=True).stdout.strip().split(",")[:2]
    return int(width), int(height)


def quality(one, other, size):
    """PSNR of luma, in dB, of two films frame by frame; identical pictures count as 200 dB."""
    width, height = size
    frames, worst_frame, worst_block, squares = 0, 200.0, 200.0, 0.0
    series = []
    for a, b in zip(luma(one, size), luma(other, size), strict=True):
        difference = a.astype(np.int32) - b
        square = difference * difference
        mse = float(square.mean())
        squares += mse
        frames += 1
        series.append(psnr(mse))
        worst_frame = min(worst_frame, psnr(mse))
        blocks = square[: height // BLOCK * BLOCK, : width // BLOCK * BLOCK]
        blocks = blocks.reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK).mean((1, 3))
        worst_block = min(worst_block, psnr(float(blocks.max())))
    tenth = max(1, frames // 10)
    finite = lambda part: statistics.mean(min(value, 100.0) for value in part)
    return {"mean": psnr(squares / frames), "worst_frame": worst_frame, "worst_block": worst_block, "frames": frames,
            "first_tenth": finite(series[:tenth]), "last_tenth": finite(series[-tenth:]),
            "worst_at": int(np.argmin(series))}


def psnr(mse):
    return 200.0 if mse == 0 else float(10 * np.log10(255**2 / mse))


def luma(film, size):
    width, height = size
    command = ["ffmpeg", "-v", "fatal", "-i", film, "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "rawvideo",
               "-pix_fmt", "gray", "-vf", "extractplanes=y", "-"]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE) as process:
        while picture := process.stdout.read(width * height):
            yield np.frombuffer(picture, np.uint8).reshape(height, width)


def line(row):
    quality = f"{row['mean']:.1f} / {row['worst_frame']:.1f} / {row['worst_block']:.1f}" if "mean" in row else ""
    speed = ""
    if "speed_up" in row:
        low, high = row["speed_up_range"]
        speed = f"{row['speed_up']:.2f} ({low:.2f}–{high:.2f})"
    report = row["report"]
    shares = f"{report['compute_fraction']:.3f} | {report['cells_changed_fraction']:.3f}"
    return f"| {row['clip']} | {row['model']} | {quality} | {shares} | {speed} |"


if __name__ == "__main__":
    main()
