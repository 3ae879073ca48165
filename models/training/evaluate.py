"""Measures a network against Lanczos, bicubic and the teacher on pictures and films that it was not trained on.

    evaluate.py MODEL.safetensors --assets ../../../shared/assets [--json FILE] [--sheet FILE.png] [--quick]

PSNR and SSIM (Gaussian window, sigma 1.5) of luma (BT.601, 8-bit levels), without 4 pixels at the borders; the mean over
the pictures of a row. "clean" is shrunk to half and nothing else; "4:2:0" went through chroma subsampling too; "crf N"
was encoded by x264, preset medium. "colour" is the largest mean error of a channel on flat areas, in levels; where it is
Lanczos's too, the input is shifted already, by the rounding of its YUV.
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
# Rows of the sheet.
SHEET = [
    "clip art, clean",
    "sylvie_green_normal, clean",
    "bg_club, clean",
    "tokyo, clean",
    "pennychip_retro_gaming, crf 23",
    "pennychip_retro_gaming, crf 28",
    "popeye_b, crf 23",
    "bbb_5s_720p, crf 23",
]
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
    print("| set | pictures | " + " | ".join(upscalers) + " | lite over Lanczos | colour: lite, Lanczos |")
    print("|---" * (len(upscalers) + 4) + "|")
    for name, pairs in material(options):
        results = [{upscaler: run(low) for upscaler, run in upscalers.items()} for low, _ in pairs]
        truths = [high for _, high in pairs]
        flat = [is_flat(high) for high in truths]
        row = {"set": name, "pictures": len(pairs)}
        for upscaler in upscalers:
            scores = [(psnr(result[upscaler], high), ssim(result[upscaler], high)) for result, high in zip(results, truths)]
            errors = [(result[upscaler].astype(float) - high)[at] for result, high, at in zip(results, truths, flat)]
            row[upscaler] = dict(zip(("psnr", "ssim"), np.mean(scores, 0).tolist())) | {"colour": colour_shift(errors)}
        rows.append(row)
        cuts.append((name, *pairs[0], results[0]))
        shown = " | ".join(f"{row[upscaler]['psnr']:.2f} {row[upscaler]['ssim']:.4f}" for upscaler in upscalers)
        gain = row["lite"]["psnr"] - row["lanczos"]["psnr"]
        colours = ", ".join("-" if c is None else f"{c:.2f}" for c in (row["lite"]["colour"], row["lanczos"]["colour"]))
        print(f"| {name} | {len(pairs)} | {shown} | {gain:+.2f} dB | {colours} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    if options.sheet:
        sheet(cuts, options.sheet)


def material(options):
    """Names and pairs (low, high) of 8-bit RGB."""
    quick = options.quick
    drawings = [np.asarray(p) for p in sources.drawn(900, 4 if quick else 16, 384)]
    art = [np.asarray(p) for p in sources.clip_art(901, 8 if quick else 32, 384, held_out=True)]
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
        chosen = [12] if quick else [0, 11, 23]
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
    window = (window / window.sum()).view(1, 1, 1, 11)
    mean = lambda plane: functional.conv2d(functional.conv2d(plane, window), window.mT)
    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return (((2 * ma * mb + c1) * (2 * cov + c2)) / ((ma * ma + mb * mb + c1) * (va + vb + c2))).mean().item()


def is_flat(truth):
    """Where the truth varies by at most 2 levels within 17x17, [h, w]."""
    plane = torch.from_numpy(truth.transpose(2, 0, 1)[None].astype(np.float32))
    across = lambda p: functional.max_pool2d(p, (1, 17), 1, (0, 8))
    spread = lambda p: functional.max_pool2d(across(p), (17, 1), 1, (8, 0))
    return ((spread(plane) + spread(-plane)).amax(1)[0] <= 2).numpy()


def colour_shift(errors):
    """Of errors [n, 3] on the flat areas of all pictures together; none where there is too little of them."""
    errors = np.concatenate(errors)
    return float(np.abs(errors.mean(0)).max()) if len(errors) > 1000 else None


def sheet(cuts, path):
    """Of every row the most detailed square, 4 times as large: input, Lanczos, the network, the teacher, the truth."""
    side, zoom = 72, 4
    columns = ["input", "lanczos", "lite", "teacher", "truth"]
    cuts = [cut for cut in cuts if cut[0] in SHEET]
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
