#!/usr/bin/env python3
"""Peak memory of 3,000 frames against 300 frames of the same content: a stream has no length.

    memory.py [--clip FILE] [--short 300] [--long 3000] [--encoders libx264,null]
"""

import argparse
import pathlib
import statistics
import sys
import tempfile

import common


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    common.add_program_option(parser)
    parser.add_argument("--clip", help="default: dialogue_limited.mp4 of ../shared/assets")
    parser.add_argument("--short", type=int, default=300)
    parser.add_argument("--long", type=int, default=3000)
    parser.add_argument("--encoders", default="libx264,null")
    parser.add_argument("--preset", default="ultrafast")
    parser.add_argument("--runs", type=int, default=3, help="the median of so many")
    options = parser.parse_args()

    source = options.clip or common.asset("clips/2d/dialogue_limited.mp4")
    held, summary = [], {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        clips = {options.short: folder / "short.mkv", options.long: folder / "long.mkv"}
        common.ffmpeg("-i", source, "-frames:v", options.short, "-an", "-c:v", "libx264", "-crf", "18", clips[options.short])
        loops = options.long // options.short - 1
        common.ffmpeg("-stream_loop", loops, "-i", clips[options.short], "-c", "copy", clips[options.long])
        for encoder in options.encoders.split(","):
            preset = ["--preset", options.preset] if encoder.startswith("lib") else []
            peaks = {}
            for frames, clip in clips.items():
                reports = [common.upscale(options.framewright, clip, folder, "-m", "nearest-x2", "--encoder", encoder, *preset)
                           for _ in range(options.runs)]
                counted = reports[0]["frames_out"]
                if counted != frames:
                    sys.exit(f"{counted} frames, expected {frames}")
                peaks[frames] = statistics.median(report["peak_rss_bytes"] for report in reports)
                print(f"{encoder}: {frames} frames, peak {peaks[frames] / 2**20:.1f} MiB, {reports[0]['fps']:.0f} fps")
            ratio = peaks[options.long] / peaks[options.short]
            summary[encoder] = {"peak_rss_bytes": peaks, "ratio": round(ratio, 4)}
            held.append(common.verdict(f"{encoder}: {ratio:.3f} <= 1.05", ratio <= 1.05))
    common.save("memory", {"clip": pathlib.Path(source).name, **summary})
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
