#!/usr/bin/env python3
"""What everything around the network costs: nearest-x2 and no encoder on a 720p clip.

    overhead.py [--runs 5] [--clip FILE] [--loops 4]

CPU beyond decode = (CPU of framewright - CPU of `ffmpeg -f null` with as many threads) / frames. The stages'
own times come from report.json.
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
    parser.add_argument("--clip", help="default: pennychip_autumn.mp4 of ../shared/assets, looped")
    parser.add_argument("--loops", type=int, default=4)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()

    source = options.clip or common.asset("clips/2d/pennychip_autumn.mp4")
    results = {"off": [], "frame": []}
    decodes = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        clip = folder / "in.mkv"
        common.ffmpeg("-stream_loop", options.loops - 1, "-i", source, "-map", "0:v:0", "-c", "copy", clip)
        frames = common.frames_of(clip)
        print(f"{frames} frames, {common.CORES} cores")
        for _ in range(options.runs):
            decodes.append(common.stopwatch(["ffmpeg", "-v", "error", "-threads", common.CORES, "-i", clip, "-f", "null", "-"]))
            for reuse, list_ in results.items():
                list_.append(common.upscale(options.framewright, clip, folder, "-m", "nearest-x2", "--encoder", "null",
                                            "--reuse", reuse))

    decode_ms = statistics.median(run["cpu_secs"] for run in decodes) / frames * 1e3
    print(f"decode alone (ffmpeg): {decode_ms:.2f} CPU ms per frame")
    summary = {"decode_alone_ms": round(decode_ms, 3)}
    for reuse, reports in results.items():
        beyond = statistics.median(r["stopwatch"]["cpu_secs"] for r in reports) / frames * 1e3 - decode_ms
        used = statistics.median(r["cpu_secs"] / (common.CORES * r["wall_secs"]) for r in reports)
        fps = statistics.median(r["fps"] for r in reports)
        stages = {stage["name"]: round(statistics.median(common.stage(r, stage["name"])["busy_secs"] for r in reports)
                                       / frames * 1e3, 4) for stage in reports[0]["stages"]}
        summary[reuse] = {"cpu_beyond_decode_ms": round(beyond, 3), "core_use": round(used, 4), "fps": round(fps, 1),
                          "stage_busy_ms": stages, "duplicates": reports[0]["duplicates"]}
        print(f"--reuse {reuse}: {beyond:.2f} CPU ms per frame beyond decode, core use {used:.3f}, {fps:.1f} fps, "
              f"busy ms per frame {stages}, {reports[0]['duplicates']} repeats, bottleneck {reports[0]['bottleneck']}")
    off, frame = summary["off"], summary["frame"]
    compare = frame["stage_busy_ms"].get("compare", float("nan"))
    held = [common.verdict(f"CPU beyond decode {off['cpu_beyond_decode_ms']:.2f} <= 12 ms per frame",
                           off["cpu_beyond_decode_ms"] <= 12),
            common.verdict(f"compare {compare:.3f} <= 0.2 ms per frame", compare <= 0.2),
            common.verdict(f"core use {off['core_use']:.3f} >= 0.93", off["core_use"] >= 0.93)]
    common.save("overhead", {"clip": pathlib.Path(source).name, "frames": frames, "runs": options.runs, **summary})
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
