"""The networks and the frame that all engines are given: Compact networks with random weights, as .onnx and for ncnn.

Random weights cost the same time as trained ones, and any size can be had. The weights are He's, so that numbers keep
their size from layer to layer; the last layer is scaled so that the network's part of the picture is as small as a
trained network's, for else a precision could not be judged.
"""

import subprocess

import numpy as np

import common

# features, convolutions between the first and the last
NETWORKS = {"compact": (64, 16), "ultracompact": (64, 8), "superultracompact": (24, 8), "tiny": (16, 4)}
SCALE = 2
# root mean square of what the network adds to the enlarged picture, of 1
RESIDUAL = 0.035
CLIP = "clips/2d/pennychip_reading.mp4"


def macs_per_pixel(name):
    """Multiply-adds per pixel of the input, when the convolutions are computed directly."""
    features, body = NETWORKS[name]
    return 9 * features * (3 + body * features + 3 * SCALE**2)


def weights(name):
    """[(weights [out, in, 3, 3], bias [out], PReLU slopes [out] or None)] of each convolution; always the same."""
    features, body = NETWORKS[name]
    random = np.random.default_rng(20)
    sizes = [3] + [features] * (body + 1) + [3 * SCALE**2]
    layers = []
    for index, (n_in, n_out) in enumerate(zip(sizes, sizes[1:])):
        last = index == body + 1
        slopes = None if last else random.uniform(0.05, 0.35, n_out).astype(np.float32)
        deviation = np.sqrt(2 / (9 * n_in * (1 + 0.2**2)))
        array = (random.standard_normal((n_out, n_in, 3, 3)) * deviation).astype(np.float32)
        bias = (random.standard_normal(n_out) * 0.02).astype(np.float32)
        layers.append((array, bias, slopes))
    return layers


def write_onnx(layers, path):
    """Opset 17, N, H and W free, float input and output: what the exporters of these networks write."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, value = [], [], "input"

    def constant(name, array):
        constants.append(numpy_helper.from_array(array, name))
        return name

    for index, (array, bias, slopes) in enumerate(layers):
        names = [constant(f"body.{2 * index}.weight", array), constant(f"body.{2 * index}.bias", bias)]
        nodes.append(helper.make_node("Conv", [value, *names], [f"conv{index}"], kernel_shape=[3, 3],
                                      pads=[1, 1, 1, 1]))
        value = f"conv{index}"
        if slopes is not None:
            slopes = constant(f"body.{2 * index + 1}.weight", slopes.reshape(-1, 1, 1))
            nodes.append(helper.make_node("PRelu", [value, slopes], [f"prelu{index}"]))
            value = f"prelu{index}"
    scales = constant("scales", np.array([1, 1, SCALE, SCALE], np.float32))
    nodes += [
        helper.make_node("DepthToSpace", [value], ["shuffled"], blocksize=SCALE, mode="CRD"),
        helper.make_node("Resize", ["input", "", scales], ["enlarged"], mode="nearest", nearest_mode="floor",
                         coordinate_transformation_mode="asymmetric"),
        helper.make_node("Add", ["shuffled", "enlarged"], ["output"]),
    ]
    free = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3, *sides])
            for name, sides in [("input", ["height", "width"]), ("output", ["height_out", "width_out"])]]
    graph = helper.make_graph(nodes, "compact", free[:1], free[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def write_ncnn(layers, param, binary):
    """ncnn's list of layers, and its numbers: per convolution a u32 0 (for f32), weights, bias, then PReLU's slopes."""
    lines = ["Input input 0 1 input", "Split split 1 2 input picture repeated"]
    value = "picture"
    with open(binary, "wb") as file:
        for index, (array, bias, slopes) in enumerate(layers):
            n_out = len(bias)
            lines.append(f"Convolution conv{index} 1 1 {value} conv{index} 0={n_out} 1=3 4=1 5=1 6={array.size}")
            value = f"conv{index}"
            file.write(b"\0\0\0\0" + array.astype("<f4").tobytes() + bias.astype("<f4").tobytes())
            if slopes is not None:
                lines.append(f"PReLU prelu{index} 1 1 {value} prelu{index} 0={n_out}")
                value = f"prelu{index}"
                file.write(slopes.astype("<f4").tobytes())
    lines += [
        f"PixelShuffle shuffle 1 1 {value} shuffled 0={SCALE}",
        f"Interp resize 1 1 repeated enlarged 0=1 1={SCALE} 2={SCALE}",
        "BinaryOp add 2 1 shuffled enlarged output 0=0",
    ]
    values = sum(int(line.split()[3]) for line in lines)
    param.write_text(f"7767517\n{len(lines)} {values}\n" + "\n".join(lines) + "\n")


def write_int8(path, quantised, frames):
    """Convolutions in int8 between QuantizeLinear and DequantizeLinear, the rest in fp32; ranges from a few frames."""
    import logging

    from onnxruntime import quantization

    class Frames(quantization.CalibrationDataReader):
        def __init__(self):
            self.left = iter(frames)

        def get_next(self):
            frame = next(self.left, None)
            return None if frame is None else {"input": frame[None]}

    logging.getLogger().setLevel(logging.ERROR)
    quantization.quantize_static(path, quantised, Frames(), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
                                 op_types_to_quantize=["Conv"], activation_type=quantization.QuantType.QUInt8,
                                 weight_type=quantization.QuantType.QInt8)


def residual(path):
    """Root mean square of what a network adds to the enlarged picture: of one that is the same on every machine."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    picture = generated(160, 90, 0)
    added = session.run(None, {"input": picture[None]})[0][0] - enlarged(picture)
    return float(np.sqrt(np.mean(added.astype(np.float64) ** 2)))


def enlarged(picture):
    """Each pixel SCALE times in each direction."""
    return picture.repeat(SCALE, 1).repeat(SCALE, 2)


def frame(width, height, second=2.0):
    """Planes R, G, B in 0..=1, [3, height, width] f32, and where they are from."""
    clip = common.ASSETS / CLIP
    if not clip.exists():
        return generated(width, height, second), "generated (../shared/assets is not here)"
    size = f"scale={width}:{height}:force_original_aspect_ratio=increase,crop={width}:{height}"
    words = ["ffmpeg", "-v", "error", "-nostdin", "-ss", str(second), "-i", str(clip), "-frames:v", "1", "-vf", size,
             "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(words, check=True, capture_output=True)
    pixels = np.frombuffer(done.stdout, np.uint8).reshape(height, width, 3)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32) / 255, f"{CLIP} at {second} s"


def generated(width, height, seed):
    """Flat colours with edges and a soft gradient, as in a drawing."""
    random = np.random.default_rng(int(seed * 10))
    y, x = np.mgrid[:height, :width].astype(np.float32)
    picture = np.stack([x / width, y / height, (x + y) / (width + height)]) * 0.5
    for _ in range(40):
        cx, cy, r = random.uniform(0, width), random.uniform(0, height), random.uniform(0.02, 0.2) * width
        inside = (x - cx) ** 2 + (y - cy) ** 2 < r * r
        picture[:, inside] = random.uniform(0, 1, (3, 1))
    return picture.astype(np.float32)


def psnr(a, b):
    """Decibels, for a peak of 1; infinite for equal pictures."""
    error = float(np.mean((a.astype(np.float64) - b) ** 2))
    return float("inf") if error == 0 else float(-10 * np.log10(error))


def write(name, folder, int8):
    """The network's files by kind: `onnx`, `param` and `bin` for ncnn, and, if asked for, `int8`."""
    files = {kind: folder / f"{name}.{kind}" for kind in ["onnx", "param", "bin"]}
    layers = weights(name)
    write_onnx(layers, files["onnx"])
    array, bias, _ = layers[-1]
    factor = np.float32(RESIDUAL / residual(files["onnx"]))
    layers[-1] = (array * factor, bias * factor, None)
    write_onnx(layers, files["onnx"])
    write_ncnn(layers, files["param"], files["bin"])
    if int8:
        files["int8"] = folder / f"{name}-int8.onnx"
        # Moments other than the one that is measured.
        write_int8(files["onnx"], files["int8"], [frame(320, 180, second)[0] for second in [0.5, 3.5, 5.0, 6.5]])
    return files
