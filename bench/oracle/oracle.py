#!/usr/bin/env python3
"""Compares an upscaled video with an independent computation of what it should hold.

    ffmpeg decode -> zscale to float RGB -> model -> clamp -> zscale back -> raw planes

Nothing here shares code with framewright: the colour conversion is zimg's (bilinear chroma at the
siting the source names, explicit matrix and range), the network runs in onnxruntime's own package.
Prints one JSON document: PSNR and the largest difference per plane, in code values of the source's
depth. The upscaled video has to be lossless and of the source's pixel format.

    oracle.py SOURCE UPSCALED --model nearest-x2|FILE.onnx [--frames N] [--clamp-input]
"""

import argparse
import json
import math
import subprocess
import sys

import numpy as np

# ffprobe's words -> zscale's
MATRIX = {"bt709": "709", "smpte170m": "170m", "bt470bg": "470bg", "bt2020nc": "2020_ncl", "fcc": "fcc"}
TRANSFER = {"bt709": "709", "smpte170m": "601", "arib-std-b67": "arib-std-b67", "smpte2084": "smpte2084",
            "bt2020-10": "2020_10"}
PRIMARIES = {"bt709": "709", "smpte170m": "170m", "bt470bg": "470bg", "bt2020": "2020"}
SITING = {"left": "left", "center": "center", "topleft": "topleft", "top": "top"}
RANGE = {"tv": "limited", "pc": "full"}

# zscale cuts the picture into one slice per thread and resamples chroma wrongly where they meet
FFMPEG = ["ffmpeg", "-v", "error", "-nostdin", "-filter_threads", "1"]


def probe(path):
    """The first video stream, as ffprobe describes it."""
    words = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_streams", "-of", "json", path]
    streams = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)["streams"]
    return streams[0]


def colour_of(stream):
    """What zscale is told about the source. Every word has to be there: nothing is guessed here."""
    return {
        "matrix": MATRIX[stream["color_space"]],
        "range": RANGE[stream["color_range"]],
        "transfer": TRANSFER[stream.get("color_transfer", "bt709")],
        "primaries": PRIMARIES[stream.get("color_primaries", "bt709")],
        "siting": SITING[stream.get("chroma_location", "left")],
    }


def to_rgb_filter(c):
    same = f"transferin={c['transfer']}:transfer={c['transfer']}:primariesin={c['primaries']}:primaries={c['primaries']}"
    return (f"zscale=matrixin={c['matrix']}:rangein={c['range']}:chromalin={c['siting']}:{same}"
            ":matrix=gbr:range=full:filter=bilinear:dither=none,format=gbrpf32le")


def from_rgb_filter(c, pix_fmt):
    same = f"transferin={c['transfer']}:transfer={c['transfer']}:primariesin={c['primaries']}:primaries={c['primaries']}"
    return (f"zscale=matrixin=gbr:rangein=full:{same}:matrix={c['matrix']}:range={c['range']}"
            f":chromal={c['siting']}:filter=bilinear:dither=none,format={pix_fmt}")


def decode(path, filters, pix_fmt, frames):
    """All decoded frames as raw bytes."""
    words = [*FFMPEG, "-i", path, "-map", "0:v:0", "-frames:v", str(frames), "-vsync", "passthrough"]
    words += ["-vf", filters] if filters else []
    words += ["-pix_fmt", pix_fmt, "-f", "rawvideo", "-"]
    return subprocess.run(words, check=True, capture_output=True).stdout


def encode_back(raw, width, height, filters, pix_fmt):
    """Float planes G, B, R to raw planes of the source's format."""
    words = [*FFMPEG, "-f", "rawvideo", "-pix_fmt", "gbrpf32le", "-s", f"{width}x{height}", "-i", "-",
             "-vf", filters, "-pix_fmt", pix_fmt, "-f", "rawvideo", "-"]
    return subprocess.run(words, check=True, capture_output=True, input=raw).stdout


def load_model(name):
    """A function from float RGB [3, h, w] to [3, s*h, s*w]."""
    if name == "nearest-x2":
        return lambda rgb: rgb.repeat(2, axis=1).repeat(2, axis=2)
    import onnxruntime  # only here: the nearest variant needs numpy alone

    session = onnxruntime.InferenceSession(name, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0]
    if source.type != "tensor(float)":
        sys.exit(f"the oracle runs float models only: {name}")
    return lambda rgb: session.run(None, {source.name: rgb[np.newaxis]})[0][0]


def plane_shapes(pix_fmt, width, height):
    """(name, height, width) of the planes of a planar YUV format."""
    shift_x = 1 if "420" in pix_fmt or "422" in pix_fmt else 0
    shift_y = 1 if "420" in pix_fmt else 0
    chroma = (height if not shift_y else (height + 1) // 2,
              width if not shift_x else (width + 1) // 2)
    return [("y", height, width), ("u", *chroma), ("v", *chroma)]


def compare(expected, found, pix_fmt, width, height, frames):
    """PSNR and largest difference per plane over all frames."""
    depth = 10 if "10" in pix_fmt else 8
    kind = np.dtype("<u2") if depth > 8 else np.dtype("u1")
    shapes = plane_shapes(pix_fmt, width, height)
    per_frame = sum(h * w for _, h, w in shapes)
    expected = np.frombuffer(expected, kind).reshape(frames, per_frame).astype(np.int32)
    found = np.frombuffer(found, kind).reshape(frames, per_frame).astype(np.int32)
    planes, at = [], 0
    for name, h, w in shapes:
        difference = expected[:, at:at + h * w] - found[:, at:at + h * w]
        at += h * w
        error = float(np.mean(difference.astype(np.float64) ** 2))
        psnr = 10 * math.log10(((1 << depth) - 1) ** 2 / error) if error else 999.0
        planes.append({"name": name, "psnr_db": round(psnr, 3), "max_difference": int(np.abs(difference).max()),
                       "mean_difference": round(float(difference.mean()), 5),
                       "share_different": round(float((difference != 0).mean()), 6)})
    return planes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("upscaled")
    parser.add_argument("--model", required=True)
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--clamp-input", action="store_true", help="clamp the model's input to 0..1")
    options = parser.parse_args()

    stream = probe(options.source)
    width, height, pix_fmt = stream["width"], stream["height"], stream["pix_fmt"].replace("yuvj", "yuv")
    colour = colour_of(stream)
    model = load_model(options.model)

    raw = decode(options.source, to_rgb_filter(colour), "gbrpf32le", options.frames)
    gbr = np.frombuffer(raw, "<f4").reshape(-1, 3, height, width)
    results = []
    for frame in gbr:
        rgb = np.ascontiguousarray(frame[[2, 0, 1]])
        rgb = np.clip(rgb, 0, 1) if options.clamp_input else rgb
        results.append(np.clip(model(rgb), 0, 1)[[1, 2, 0]].astype("<f4"))
    big_height, big_width = results[0].shape[1:]
    back = np.ascontiguousarray(np.stack(results)).tobytes()
    expected = encode_back(back, big_width, big_height, from_rgb_filter(colour, pix_fmt), pix_fmt)

    upscaled = probe(options.upscaled)
    is_like = (upscaled["width"], upscaled["height"]) == (big_width, big_height)
    if not is_like or upscaled["pix_fmt"].replace("yuvj", "yuv") != pix_fmt:
        sys.exit(f"{upscaled['width']}x{upscaled['height']} {upscaled['pix_fmt']}, expected "
                 f"{big_width}x{big_height} {pix_fmt}: {options.upscaled}")
    # by its own name: from yuvj420p to yuv420p ffmpeg would compress the range
    found = decode(options.upscaled, None, upscaled["pix_fmt"], options.frames)
    if len(found) != len(expected):
        sys.exit(f"{len(found)} bytes of frames, expected {len(expected)}: {options.upscaled}")
    planes = compare(expected, found, pix_fmt, big_width, big_height, len(gbr))
    print(json.dumps({"frames": len(gbr), "pix_fmt": pix_fmt, "colour": colour, "planes": planes}))


if __name__ == "__main__":
    main()
