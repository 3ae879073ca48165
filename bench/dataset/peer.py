#!/usr/bin/env python3
"""The same job as `framewright dataset run`, as one would write it in Python: PyAV, imagehash, onnxruntime.

    pip install av imagehash onnxruntime numpy pillow
    bench/dataset/peer.py OUT --every 0.5 [--detector yolox_nano.onnx] [--processes 2] VIDEO...

Decodes every video, takes the first frame at or after 0, T, 2T … seconds, measures sharpness and brightness, hashes
(phash and dhash of 256 bits), drops near duplicates within a video and then across videos, writes JPEG files and COCO.
"""

import argparse
import json
import multiprocessing
import time
from pathlib import Path

import av
import imagehash
import numpy as np

DCT, DHASH, MIN_CONTRAST = 48, 32, 3.0


def sampled(path, every):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        first, target = None, 0.0
        for n, frame in enumerate(container.decode(stream)):
            if frame.time is None:
                continue
            first = frame.time if first is None else first
            if frame.time - first >= target - 1e-6:
                yield n, frame.time - first, frame
                while target <= frame.time - first + 1e-6:
                    target += every


def measures(gray):
    g = gray.astype(np.float32)
    laplacian = g[:-2, 1:-1] + g[2:, 1:-1] + g[1:-1, :-2] + g[1:-1, 2:] - 4 * g[1:-1, 1:-1]
    return float(laplacian.var()), float(g.mean())


def bits(hash_):
    return np.packbits(hash_.hash.reshape(-1))


class Leaders:
    """Hashes that were kept; the first one near enough stands for a new one."""

    def __init__(self):
        self.dct, self.dhash, self.names = [], [], []

    def find(self, dct, dhash):
        if not self.names:
            return None
        near = np.unpackbits(np.array(self.dct) ^ dct, axis=1).sum(1) <= DCT
        near |= np.unpackbits(np.array(self.dhash) ^ dhash, axis=1).sum(1) <= DHASH
        at = np.flatnonzero(near)
        return self.names[at[0]] if len(at) else None

    def add(self, dct, dhash, name):
        self.dct.append(dct), self.dhash.append(dhash), self.names.append(name)


def letterbox(image, size):
    width, height = image.size
    scale = min(size / width, size / height)
    small = image.resize((round(width * scale), round(height * scale)))
    canvas = np.full((size, size, 3), 114, np.float32)
    canvas[: small.height, : small.width] = np.asarray(small)[:, :, ::-1]
    return canvas.transpose(2, 0, 1)[None], scale


def nms(boxes, scores, iou):
    order, keep = scores.argsort()[::-1], []
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while len(order):
        i, rest = order[0], order[1:]
        keep.append(i)
        low = np.maximum(boxes[i, :2], boxes[rest, :2])
        high = np.minimum(boxes[i, 2:], boxes[rest, 2:])
        inside = np.clip(high - low, 0, None).prod(1)
        order = rest[inside / (area[i] + area[rest] - inside) <= iou]
    return keep


class Yolox:
    def __init__(self, path, threads):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0]
        size = self.input.shape[2]
        grids, strides = [], []
        for stride in (8, 16, 32):
            y, x = np.mgrid[: size // stride, : size // stride]
            grids.append(np.stack([x, y], 2).reshape(-1, 2))
            strides.append(np.full((grids[-1].shape[0], 1), stride))
        self.size, self.grid, self.stride = size, np.concatenate(grids), np.concatenate(strides)

    def __call__(self, image):
        tensor, scale = letterbox(image, self.size)
        (out,) = self.session.run(None, {self.input.name: tensor})
        out = out[0]
        centre = (out[:, :2] + self.grid) * self.stride
        half = np.exp(out[:, 2:4]) * self.stride / 2
        boxes = np.concatenate([centre - half, centre + half], 1) / scale
        scores = out[:, 4:5] * out[:, 5:]
        found = []
        for kind in np.flatnonzero((scores > 0.3).any(0)):
            chosen = scores[:, kind] > 0.3
            b, s = boxes[chosen], scores[chosen, kind]
            found += [(int(kind), float(s[i]), b[i].tolist()) for i in nms(b, s, 0.6)]
        return found


DETECTOR = None


def open_detector(path, threads):
    global DETECTOR
    DETECTOR = Yolox(path, threads) if path else None


def video(job):
    path, every, out = job
    leaders, rows, seen = Leaders(), [], 0
    for n, secs, frame in sampled(path, every):
        seen += 1
        image = frame.to_image()
        gray = image.convert("L")
        sharpness, brightness = measures(np.asarray(gray))
        contrast = float(np.asarray(gray.resize((64, 64))).std())
        if contrast < MIN_CONTRAST:
            continue
        dct, dhash = bits(imagehash.phash(image, hash_size=16)), bits(imagehash.dhash(image, hash_size=16))
        if leaders.find(dct, dhash):
            continue
        name = f"{Path(path).stem}_{n:08}"
        leaders.add(dct, dhash, name)
        image.save(out / f"{name}.jpg", quality=92)
        objects = DETECTOR(image) if DETECTOR else []
        rows.append((name, image.size, secs, sharpness, brightness, dct, dhash, objects))
    return seen, rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("videos", nargs="+")
    parser.add_argument("--every", type=float, default=0.5)
    parser.add_argument("--detector")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    jobs = [(path, options.every, options.out) for path in options.videos]
    threads = max(1, 2 // options.processes)
    if options.processes > 1:
        with multiprocessing.Pool(options.processes, open_detector, (options.detector, threads)) as pool:
            results = pool.map(video, jobs, chunksize=1)
    else:
        open_detector(options.detector, threads)
        results = list(map(video, jobs))
    across, images, annotations = Leaders(), [], []
    for _, rows in results:
        for name, size, secs, *_, dct, dhash, objects in rows:
            if across.find(dct, dhash):
                continue
            across.add(dct, dhash, name)
            images.append({"id": len(images) + 1, "file_name": f"{name}.jpg", "width": size[0], "height": size[1]})
            for kind, score, (x0, y0, x1, y1) in objects:
                box = [x0, y0, x1 - x0, y1 - y0]
                annotations.append({"id": len(annotations) + 1, "image_id": len(images), "category_id": kind + 1,
                                    "bbox": box, "area": box[2] * box[3], "iscrowd": 0, "score": score})
    (options.out / "coco.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    seen = sum(seen for seen, _ in results)
    print(json.dumps({"seconds": time.monotonic() - started, "frames": seen, "kept": len(images),
                      "objects": len(annotations)}))


if __name__ == "__main__":
    main()
