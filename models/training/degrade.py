"""What happens to a picture before it is upscaled: shrinking, chroma subsampling, blur, noise, compression."""

import json
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

# Without these swscale rounds roughly and leaves chroma at half resolution.
CONVERT = "accurate_rnd+full_chroma_int+full_chroma_inp"

# Weights: bicubic and Lanczos are what people shrink with, area and Gauss what cameras and old masters look like.
KERNELS = {"bicubic": 0.4, "lanczos": 0.25, "box": 0.2, "gauss": 0.15}

# Encoder and quality, with weights: what web video, TV recordings and discs come in.
CODECS = [
    (0.14, ["-c:v", "libx264", "-crf", "18", "-preset", "medium"]),
    (0.17, ["-c:v", "libx264", "-crf", "22", "-preset", "medium"]),
    (0.17, ["-c:v", "libx264", "-crf", "25", "-preset", "medium"]),
    (0.16, ["-c:v", "libx264", "-crf", "28", "-preset", "medium"]),
    (0.07, ["-c:v", "libx264", "-crf", "32", "-preset", "medium"]),
    (0.08, ["-c:v", "libx264", "-crf", "24", "-preset", "veryfast"]),
    (0.07, ["-c:v", "libx265", "-crf", "24", "-preset", "fast", "-x265-params", "log-level=error"]),
    (0.07, ["-c:v", "libx265", "-crf", "29", "-preset", "fast", "-x265-params", "log-level=error"]),
    (0.07, ["-c:v", "mpeg2video", "-q:v", "4"]),
]


def shrink(rng, picture: Image.Image) -> Image.Image:
    """Half the size, by one of KERNELS, on grids with a common centre."""
    half = (picture.width // 2, picture.height // 2)
    kernel = rng.choice(list(KERNELS), p=list(KERNELS.values()))
    if kernel == "gauss":
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 1.2))))
        kernel = "box"
    return picture.resize(half, Image.Resampling[kernel.upper()])


def noisy(rng, pixels: np.ndarray) -> np.ndarray:
    """Light noise, in one picture of eight."""
    if rng.random() > 0.125:
        return pixels
    sigma = rng.uniform(0.5, 3)
    return quantised(pixels + rng.normal(0, sigma, pixels.shape[:2] + (1 if rng.random() < 0.5 else 3,)))


def chroma_subsampled(pixels: np.ndarray) -> np.ndarray:
    """RGB [h, w, 3] through 8-bit YUV 4:2:0 (BT.709, limited range, chroma sited left) and back, as framewright reads it."""
    luma, blue, red = to_yuv420(pixels.astype(np.float64))
    return to_rgb(luma, blue, red)


KR, KB = 0.2126, 0.0722


def to_yuv420(rgb: np.ndarray):
    """Rounded planes Y [h, w], Cb and Cr [h/2, w/2]; h and w even."""
    red, green, blue = np.moveaxis(rgb / 255, -1, 0)
    luma = KR * red + (1 - KR - KB) * green + KB * blue
    planes = [np.rint(16 + 219 * luma)]
    for chroma in ((blue - luma) / (2 * (1 - KB)), (red - luma) / (2 * (1 - KR))):
        rows = (chroma[0::2] + chroma[1::2]) / 2
        left = np.concatenate([rows[:, :1], rows[:, 1:-1:2]], 1)
        planes.append(np.rint(128 + 224 * (left / 4 + rows[:, 0::2] / 2 + rows[:, 1::2] / 4)))
    return planes


def to_rgb(luma: np.ndarray, blue: np.ndarray, red: np.ndarray) -> np.ndarray:
    """RGB in 8 bit of planes, chroma interpolated linearly between its sites."""
    y = (luma.astype(np.float64) - 16) / 219
    cb, cr = (full_chroma((plane.astype(np.float64) - 128) / 224) for plane in (blue, red))
    r, b = y + 2 * (1 - KR) * cr, y + 2 * (1 - KB) * cb
    g = (y - KR * r - KB * b) / (1 - KR - KB)
    return quantised(255 * np.stack([r, g, b], -1))


def full_chroma(plane: np.ndarray) -> np.ndarray:
    height, width = plane.shape
    above, below = plane[np.maximum(np.arange(height) - 1, 0)], plane[np.minimum(np.arange(height) + 1, height - 1)]
    rows = np.empty((2 * height, width))
    rows[0::2], rows[1::2] = 0.25 * above + 0.75 * plane, 0.75 * plane + 0.25 * below
    right = rows[:, np.minimum(np.arange(width) + 1, width - 1)]
    whole = np.empty((2 * height, 2 * width))
    whole[:, 0::2], whole[:, 1::2] = rows, (rows + right) / 2
    return whole


def quantised(pixels: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def compressed(video: np.ndarray, codec: list[str], scratch: Path) -> np.ndarray:
    """Frames RGB [n, h, w, 3] after the encoder `codec` and framewright's reading; h and w even."""
    n, height, width, _ = video.shape
    yuv = b"".join(plane.astype(np.uint8).tobytes() for frame in video for plane in to_yuv420(frame.astype(np.float64)))
    raw = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-video_size", f"{width}x{height}"]
    encode = ["ffmpeg", "-v", "error", "-y", *raw, "-r", "24", "-i", "-", *codec, "-threads", "1", str(scratch)]
    subprocess.run(encode, input=yuv, check=True)
    decode = ["ffmpeg", "-v", "error", "-i", str(scratch), "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
    data = np.frombuffer(subprocess.run(decode, capture_output=True, check=True).stdout, np.uint8)
    scratch.unlink()
    data = data.reshape(n, height * width * 3 // 2)
    area, quarter = height * width, height * width // 4
    return np.stack([
        to_rgb(
            frame[:area].reshape(height, width),
            frame[area : area + quarter].reshape(height // 2, width // 2),
            frame[area + quarter :].reshape(height // 2, width // 2),
        )
        for frame in data
    ])


def shape_of(path: Path) -> tuple[int, int]:
    """Width and height of a video."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height", "-of", "json", str(path)]
    stream = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["streams"][0]
    return stream["width"], stream["height"]
