"""Measures a network against Lanczos, bicubic and the teacher on pictures and films that it was not trained on.

    evaluate.py MODEL.safetensors --assets ../../../shared/assets [--json FILE] [--sheet FILE.png] [--quick]

PSNR and SSIM (Gaussian window, sigma 1.5) of luma (BT.601, 8-bit levels), without 4 pixels at the borders; the mean over
the pictures of a row. "clean" is shrunk to half and nothing else; "4:2:0" went through chroma subsampling too; "crf N"
was encoded by x264, preset medium. "colour" is the largest mean error of a channel on flat areas, in levels.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch.nn import functional

import degrade
import sources
from network import of_file

BORDER = 4
TEACHER = "models/realesr-animevideov3-x2.onnx"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model", type=Path)
    arguments.add_argument("--assets", type=Path, required=True)
    arguments.add_argument("--json", type=Path)
    arguments.add_argument("--sheet", type=Path)
    arguments.add_argument("--quick", action="store_true", help="fewer pictures, without the teacher")
    options = arguments.parse_args()

    upscalers = {"bicubic": resized(Image.Resampling.BICUBIC), "lanczos": resized(Image.Resampling.LANCZOS)}
    if not options.quick:
        upscalers["teacher"] = teacher(options.assets / TEACHER)
    upscalers["lite"] = network(options.model)

    rows, cuts = [], []
    for name, pairs in material(options):
        scores = {upscaler: [] for upscaler in upscalers}
        errors = []
        for i, (low, high) in enumerate(pairs):
            for upscaler, run in upscalers.items():
                result = run(low)
                scores[upscaler].append((psnr(result, high), ssim(result, high)))
                if upscaler == "lite":
                    errors.append(flat_errors(result, high))
            if i == 0:
                cuts.append((name, low, high, {upscaler: run(low) for upscaler, run in upscalers.items()}))
        row = {"set": name, "pictures": len(pairs), "colour": colour_shift(errors)}
        row |= {upscaler: np.mean(values, 0).tolist() for upscaler, values in scores.items()}
        row["gain_db"] = row["lite"][0] - row["lanczos"][0]
        rows.append(row)
        shown = "  ".join(f"{upscaler} {row[upscaler][0]:6.2f}/{row[upscaler][1]:.4f}" for upscaler in upscalers)
        print(f"{name:32} {len(pairs):3}  {shown}  gain {row['gain_db']:+.2f} dB  colour {row['colour']:.2f}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    if options.sheet:
        sheet(cuts, options.sheet)


def material(options):
    """Names and pairs (low, high) of 8-bit RGB."""
    quick = options.quick
    drawings = [np.asarray(p) for p in sources.drawn(900, 4 if quick else 24, 384)]
    art = [np.asarray(p) for p in sources.clip_art(901, 8 if quick else 48, 384, held_out=True)]
    groups = {"drawn by rule": drawings, "clip art": art}
    for name in sources.HELD_OUT_PICTURES:
        picture = np.asarray(sources.picture(options.assets / name))
        groups[Path(name).stem] = [picture[: picture.shape[0] // 4 * 4, : picture.shape[1] // 4 * 4]]
    for name, pictures in groups.items():
        if not pictures:
            continue
        yield f"{name}, clean", [(shrunk(high), high) for high in pictures]
        yield f"{name}, 4:2:0", [(degrade.chroma_subsampled(shrunk(high)), high) for high in pictures]
    for name in sources.HELD_OUT_CLIPS:
        frames = sources.frames(options.assets / name, 1.0, 24)
        frames = frames[:, : frames.shape[1] // 4 * 4, : frames.shape[2] // 4 * 4]
        low = np.stack([shrunk(high) for high in frames])
        chosen = [12] if quick else [0, 5, 9, 14, 18, 23]
        stem = Path(name).stem
        yield f"{stem}, clean", [(low[k], frames[k]) for k in chosen]
        for crf in (23, 28):
            codec = ["-c:v", "libx264", "-crf", str(crf), "-preset", "medium"]
            seen = degrade.compressed(low, codec, Path(f"{stem}.evaluate.mkv"))
            yield f"{stem}, crf {crf}", [(seen[k], frames[k]) for k in chosen]


def shrunk(high):
    size = (high.shape[1] // 2, high.shape[0] // 2)
    return np.asarray(Image.fromarray(high).resize(size, Image.Resampling.BICUBIC))


def resized(kernel):
    return lambda low: np.asarray(Image.fromarray(low).resize((2 * low.shape[1], 2 * low.shape[0]), kernel))


def network(path):
    model = of_file(path)

    def run(low):
        with torch.no_grad():
            result = model(torch.from_numpy(low.transpose(2, 0, 1)[None].copy()).float() / 255)
        return degrade.quantised(result[0].numpy().transpose(1, 2, 0) * 255)

    return run


def teacher(path):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(low):
        result = session.run(None, {name: low.transpose(2, 0, 1)[None].astype(np.float32) / 255})[0]
        return degrade.quantised(result[0].transpose(1, 2, 0) * 255)

    return run


def luma(pixels):
    whole = pixels.astype(np.float64) @ [0.299, 0.587, 0.114]
    return whole[BORDER:-BORDER, BORDER:-BORDER]


def psnr(result, truth):
    return 10 * np.log10(255**2 / max(1e-9, np.square(luma(result) - luma(truth)).mean()))


def ssim(result, truth):
    a, b = (torch.from_numpy(luma(pixels))[None, None] for pixels in (result, truth))
    window = torch.exp(-torch.arange(-5, 6, dtype=torch.float64).square() / (2 * 1.5**2))
    window = torch.outer(window, window)[None, None] / window.sum() ** 2
    mean = lambda plane: functional.conv2d(plane, window)
    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return (((2 * ma * mb + c1) * (2 * cov + c2)) / ((ma * ma + mb * mb + c1) * (va + vb + c2))).mean().item()


def flat_errors(result, truth):
    """Errors [n, 3] where the truth varies by at most 2 levels within 17x17."""
    plane = torch.from_numpy(truth.transpose(2, 0, 1)[None].astype(np.float32))
    spread = functional.max_pool2d(plane, 17, 1, 8) + functional.max_pool2d(-plane, 17, 1, 8)
    flat = (spread.amax(1)[0] <= 2).numpy()
    return (result.astype(np.float64) - truth)[flat]


def colour_shift(errors):
    errors = np.concatenate(errors)
    return float(np.abs(errors.mean(0)).max()) if len(errors) > 1000 else 0.0


def sheet(cuts, path):
    """Of every row the most detailed square, 4 times as large: input, Lanczos, the network, the teacher, the truth."""
    side, zoom = 72, 4
    columns = ["input", "lanczos", "lite", "teacher", "truth"]
    cuts = [cut for cut in cuts if not cut[0].endswith("4:2:0")]
    page = Image.new("RGB", (side * zoom * len(columns), (side * zoom + 16) * len(cuts)), "white")
    draw = ImageDraw.Draw(page)
    for j, (name, low, high, results) in enumerate(cuts):
        y, x = busiest(high, side)
        top = j * (side * zoom + 16)
        shown = results | {"truth": high, "input": np.kron(low, np.ones((2, 2, 1), np.uint8))}
        for i, column in enumerate(columns):
            if column not in shown:
                continue
            cut = Image.fromarray(shown[column][y : y + side, x : x + side]).resize((side * zoom,) * 2, Image.Resampling.NEAREST)
            page.paste(cut, (i * side * zoom, top + 16))
            draw.text((i * side * zoom + 4, top + 2), f"{name}: {column}" if i == 0 else column, fill="black")
    page.save(path, optimize=True)


def busiest(picture, side):
    """Top left corner of the square with the strongest edges."""
    grey = picture.astype(np.float32).mean(2)
    edges = np.abs(np.diff(grey, axis=0))[:, :-1] + np.abs(np.diff(grey, axis=1))[:-1]
    places = [(y, x) for y in range(8, grey.shape[0] - side - 8, 24) for x in range(8, grey.shape[1] - side - 8, 24)]
    y, x = max(places, key=lambda p: edges[p[0] : p[0] + side, p[1] : p[1] + side].mean())
    return y // 2 * 2, x // 2 * 2


if __name__ == "__main__":
    main()
