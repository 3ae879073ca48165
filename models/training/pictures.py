"""Pictures drawn by rule: line art, flat fills, gradients, hair, eyes, screentone, walls, text.

Everything is drawn at three times its size and shrunk, as most drawn pictures are. A picture depends on its seed only
(and on Pillow's drawing), so the training set can be made again.
"""

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

OVER = 3  # drawn this much larger
WORDS = (
    "EPISODE 12 the end Tokyo 1986 Stop! Cafe New Game+ ACT II 24h Open framewright To be continued "
    "RADIO 98.5 Next time Director Exit 3F PLAY SALE 50% Look out! Chapter One Subtitles by nobody"
).split()


def picture(seed: int, size: int) -> Image.Image:
    """An RGB picture of size x size."""
    rng = np.random.default_rng([seed, 4])
    canvas = background(rng, size * OVER)
    layers = [blobs, hair, eyes, polygons, lines, screentone, wall, text, strokes]
    weights = np.array([4, 3, 2, 2, 2, 1, 1, 2, 2], float)
    for _ in range(rng.integers(3, 8)):
        layer = layers[rng.choice(len(layers), p=weights / weights.sum())]
        layer(rng, canvas)
    small = canvas.resize((size, size), Image.Resampling.BOX if rng.random() < 0.5 else Image.Resampling.LANCZOS)
    softness = float(rng.choice([0, 0, 0.4, 0.6, 0.9]))
    if softness:
        small = small.filter(ImageFilter.GaussianBlur(softness))
    if rng.random() < 0.1:
        small = grain(rng, small)
    return small


def background(rng, size: int) -> Image.Image:
    """Flat, a gradient, or a soft cloud of two or three colours."""
    kind = rng.random()
    if kind < 0.35:
        return Image.new("RGB", (size, size), colour(rng))
    first, second = np.array(colour(rng), float), np.array(colour(rng), float)
    across, down = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size))
    if kind < 0.65:
        angle = rng.uniform(0, 2 * np.pi)
        mix = (np.cos(angle) * across + np.sin(angle) * down) / 2.8 + 0.5
    elif kind < 0.8:
        x, y = rng.uniform(-1, 1, 2)
        mix = np.clip(np.hypot(across - x, down - y) / rng.uniform(0.8, 2.5), 0, 1)
    else:
        cloud = Image.fromarray(rng.integers(0, 256, (6, 6)).astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC)
        mix = np.asarray(cloud, float) / 255
    pixels = first + mix[..., None] * (second - first)
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def blobs(rng, canvas):
    """Closed smooth outlines, filled flat, with a hard shadow inside and often an ink line around."""
    draw = ImageDraw.Draw(canvas)
    size = canvas.width
    for _ in range(rng.integers(1, 7)):
        outline = closed_curve(rng, size)
        fill = colour(rng)
        draw.polygon(outline, fill=fill)
        if rng.random() < 0.6:
            mask = Image.new("1", canvas.size)
            ImageDraw.Draw(mask).polygon(outline, fill=1)
            shadow = Image.new("1", canvas.size)
            ImageDraw.Draw(shadow).polygon(closed_curve(rng, size), fill=1)
            dark = tuple(int(c * rng.uniform(0.55, 0.9)) for c in fill)
            canvas.paste(dark, mask=ImageChops.logical_and(mask, shadow))
        if rng.random() < 0.8:
            ink(draw, rng, outline + outline[:2], shade(rng, fill), rng.uniform(0.7, 4))


def hair(rng, canvas):
    """A bundle of long curves that start close together and run nearly side by side, thick in their middle."""
    draw = ImageDraw.Draw(canvas)
    size = canvas.width
    start, end = rng.uniform(-0.1, 1.1, (2, 2)) * size
    bend = rng.uniform(-0.1, 1.1, 2) * size
    base = colour(rng)
    spread = rng.uniform(0.02, 0.25) * size
    for _ in range(rng.integers(8, 60)):
        a, b, c = start + rng.normal(0, spread * 0.4, 2), bend + rng.normal(0, spread, 2), end + rng.normal(0, spread, 2)
        t = np.linspace(0, 1, 40)[:, None]
        points = (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c
        width = rng.uniform(0.5, 5) * OVER
        tint = shade(rng, base)
        for i in range(len(points) - 1):
            taper = max(1, round(width * np.sin(np.pi * (i + 0.5) / len(points))))
            draw.line([tuple(points[i]), tuple(points[i + 1])], fill=tint, width=taper)


def eyes(rng, canvas):
    """Nested ellipses with lashes and highlights."""
    draw = ImageDraw.Draw(canvas)
    size = canvas.width
    width, height = rng.uniform(0.06, 0.2) * size, rng.uniform(0.06, 0.25) * size
    x, y = rng.uniform(0.1, 0.9, 2) * size
    iris, gap = colour(rng), rng.uniform(2.2, 4) * width
    for cx in (x, x + gap):
        ellipse = lambda w, h, fill, dx=0.0, dy=0.0: draw.ellipse([cx + dx - w, y + dy - h, cx + dx + w, y + dy + h], fill=fill)
        ellipse(width * 1.3, height, (250, 250, 250))
        ellipse(width * 0.9, height * 0.95, iris)
        ellipse(width * 0.6, height * 0.6, shade(rng, iris))
        ellipse(width * 0.35, height * 0.45, (20, 15, 25))
        ellipse(width * 0.2, height * 0.2, (255, 255, 255), -width * 0.4, -height * 0.4)
        box = [cx - width * 1.4, y - height * 1.1, cx + width * 1.4, y + height * 1.3]
        draw.arc(box, 190, 350, fill=(25, 15, 20), width=max(1, round(rng.uniform(1, 5) * OVER)))


def polygons(rng, canvas):
    """Straight-edged areas: furniture, buildings, signs."""
    draw = ImageDraw.Draw(canvas)
    size = canvas.width
    for _ in range(rng.integers(1, 8)):
        centre, n = rng.uniform(0, size, 2), rng.integers(3, 7)
        angles = np.sort(rng.uniform(0, 2 * np.pi, n))
        radius = rng.uniform(0.05, 0.5) * size
        outline = [tuple(centre + radius * np.array([np.cos(a), np.sin(a)])) for a in angles]
        fill = colour(rng)
        draw.polygon(outline, fill=fill)
        if rng.random() < 0.6:
            ink(draw, rng, outline + outline[:1], shade(rng, fill), rng.uniform(0.6, 3))


def lines(rng, canvas):
    """Straight lines of every direction and width, alone or fanned out from a point."""
    draw = ImageDraw.Draw(canvas)
    size = canvas.width
    hub = rng.uniform(-0.3, 1.3, 2) * size if rng.random() < 0.4 else None
    tint, width = colour(rng), rng.uniform(0.4, 3)
    for _ in range(rng.integers(3, 40)):
        a = rng.uniform(-0.1, 1.1, 2) * size if hub is None else hub
        b = rng.uniform(-0.1, 1.1, 2) * size
        ink(draw, rng, [tuple(a), tuple(b)], tint, width)


def strokes(rng, canvas):
    """Open curves of one pen: drapery, faces, grass."""
    draw = ImageDraw.Draw(canvas)
    size = canvas.width
    tint, width = shade(rng, colour(rng)), rng.uniform(0.5, 3)
    for _ in range(rng.integers(3, 25)):
        points = rng.uniform(-0.1, 1.1, 2) * size + np.cumsum(rng.normal(0, 0.09 * size, (5, 2)), axis=0)
        ink(draw, rng, smooth(points, closed=False), tint, width)


def screentone(rng, canvas):
    """A field of dots, or a fine hatch, within an ellipse."""
    draw = ImageDraw.Draw(canvas)
    size = canvas.width
    pitch = rng.uniform(4, 12) * OVER
    tint = colour(rng)
    (x0, x1), (y0, y1) = np.sort(rng.uniform(0, size, (2, 2)))
    radius = pitch * rng.uniform(0.12, 0.4)
    rows = rng.random() < 0.4
    for j, y in enumerate(np.arange(y0, y1, pitch)):
        if rows:
            draw.line([x0, y, x1, y + (x1 - x0) * 0.2], fill=tint, width=max(1, round(radius)))
            continue
        for x in np.arange(x0 + (j % 2) * pitch / 2, x1, pitch):
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=tint)


def wall(rng, canvas):
    """Bricks, tiles, windows, blinds: a grid of equal boxes."""
    draw = ImageDraw.Draw(canvas)
    size = canvas.width
    w, h = rng.uniform(6, 60, 2) * OVER
    (x0, x1), (y0, y1) = np.sort(rng.uniform(-0.1, 1.1, (2, 2)) * size)
    fill, line = colour(rng), colour(rng)
    joint = max(1, round(rng.uniform(0.5, 3) * OVER))
    stagger = rng.random() < 0.5
    for j, y in enumerate(np.arange(y0, y1, h)):
        for x in np.arange(x0 - (w / 2 if stagger and j % 2 else 0), x1, w):
            tint = shade(rng, fill) if rng.random() < 0.15 else fill
            draw.rectangle([x, y, x + w, y + h], fill=tint, outline=line, width=joint)


def text(rng, canvas):
    """Words, upright or turned, with or without an outline."""
    size = canvas.width
    font = ImageFont.load_default(size=float(rng.uniform(8, 48) * OVER))
    words = " ".join(rng.choice(WORDS, rng.integers(1, 4)))
    layer = Image.new("L", canvas.size)
    border = Image.new("L", canvas.size)
    place = tuple(rng.uniform(-0.1, 0.7, 2) * size)
    ImageDraw.Draw(layer).text(place, words, font=font, fill=255)
    ImageDraw.Draw(border).text(place, words, font=font, fill=255, stroke_width=round(rng.uniform(1, 3) * OVER))
    if rng.random() < 0.3:
        angle = rng.uniform(-40, 40)
        layer, border = (mask.rotate(angle, Image.Resampling.BILINEAR) for mask in (layer, border))
    if rng.random() < 0.5:
        canvas.paste((10, 10, 10) if rng.random() < 0.6 else colour(rng), mask=border)
    canvas.paste((250, 250, 245) if rng.random() < 0.5 else colour(rng), mask=layer)


def grain(rng, picture: Image.Image) -> Image.Image:
    """Film grain or paper that belongs to the picture."""
    pixels = np.asarray(picture, float)
    noise = rng.normal(0, rng.uniform(0.5, 3), pixels.shape[:2] + (1,))
    return Image.fromarray(np.clip(np.rint(pixels + noise), 0, 255).astype(np.uint8))


def ink(draw, rng, points, tint, width):
    """A line of `width` final pixels, 1/OVER at least."""
    draw.line(points, fill=tint, width=max(1, round(width * OVER)), joint="curve")


def closed_curve(rng, size):
    n = rng.integers(4, 9)
    angles = np.linspace(0, 2 * np.pi, n, endpoint=False) + rng.uniform(-0.3, 0.3, n)
    radii = rng.uniform(0.04, 0.45) * size * rng.uniform(0.5, 1.3, n)
    centre = rng.uniform(0, size, 2)
    return smooth(centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1), closed=True)


def smooth(points, closed):
    """Points on the Catmull-Rom curve through `points`."""
    n = len(points)
    at = (lambda i: points[i % n]) if closed else (lambda i: points[min(max(i, 0), n - 1)])
    curve = []
    for i in range(n if closed else n - 1):
        p0, p1, p2, p3 = at(i - 1), at(i), at(i + 1), at(i + 2)
        for t in np.linspace(0, 1, 12, endpoint=False):
            point = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
            curve.append(tuple(point))
    return curve


def colour(rng):
    """Any colour; pale and dull ones more often than a uniform draw would give, as in drawn pictures."""
    pixel = rng.uniform(0, 255, 3)
    grey = pixel.mean()
    pixel = grey + (pixel - grey) * rng.uniform(0.1, 1.2)
    if rng.random() < 0.25:
        pixel = pixel * rng.uniform(0.1, 0.5)
    elif rng.random() < 0.4:
        pixel = 255 - (255 - pixel) * rng.uniform(0.05, 0.5)
    return tuple(int(c) for c in np.clip(pixel, 0, 255))


def shade(rng, tint):
    """A darker or lighter relative, for lines and folds."""
    factor = rng.uniform(0.15, 0.7) if rng.random() < 0.8 else rng.uniform(1.1, 1.5)
    return tuple(int(min(255, c * factor)) for c in tint)
