"""Damaged and hostile model files: `upscale` with them, on a clip of two small frames.

Beside changed bytes there are files that are well formed and ask for too much: headers of safetensors with impossible
shapes, offsets and types, and ONNX messages whose fields were taken apart and put together differently.
"""

import json
import struct

import child
import protobuf
from changes import EXTREMES, change

ROOT_FOLDERS = ["crates/infer/tests/fixtures", "models"]


class Models:
    kind = "models"

    def __init__(self, setting):
        self.program, self.limit = setting.program, setting.limit
        self.clip = setting.work / "two.mkv"
        if not self.clip.exists():
            source = ["-f", "lavfi", "-i", "testsrc2=s=32x32:r=2:d=1", "-c:v", "ffv1", str(self.clip)]
            child.run(["ffmpeg", "-nostdin", "-v", "error", *source], setting.work, 60)
        folders = [setting.root / name for name in ROOT_FOLDERS]
        if not setting.short:
            folders.append(setting.assets / "models")
        files = [path for folder in folders for path in folder.rglob("*")]
        files = [path for path in files if path.suffix in (".onnx", ".safetensors")]
        # Small ones are most of them: a change in a header is found in fewer tries there.
        self.files = sorted(path for path in files if path.stat().st_size < 400_000) * 8
        self.files += sorted(path for path in files if path.stat().st_size >= 400_000)

    def make(self, n, random, folder):
        path = random.choice(self.files)
        data, other = path.read_bytes(), random.choice(self.files).read_bytes()
        if random.random() < 0.5:
            data, changes = change(data, random, other)
        elif path.suffix == ".safetensors":
            data, changes = change_header(data, random), ["header"]
        else:
            data, changes = protobuf.change(data, random), ["message"]
        mutant = folder / f"{n:05}.{path.name}"
        mutant.write_bytes(data)
        return Mutant(self, mutant, f"{path.name} {'+'.join(changes)}")


class Mutant:
    def __init__(self, models, path, about):
        self.models, self.path, self.about = models, path, about

    def command(self, folder):
        options = ["-m", str(self.path), "--encoder", "null", "--progress", "none", "--report", "report.json"]
        return [self.models.program, "upscale", str(self.models.clip), *options]

    def run(self, folder):
        ended = child.run(self.command(folder), folder, self.models.limit)
        if ended.fault():
            return ended.fault(), ended
        if ended.code != 0:
            return "refused", ended
        report = json.loads((folder / "report.json").read_text())
        return ("ok" if report["frames_out"] == 2 else "silent"), ended


def change_header(data, random):
    """The JSON before the weights with one value after another replaced."""
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length])
    except ValueError:
        return data[: random.randrange(len(data))]
    for _ in range(random.choice([1, 1, 2, 4])):
        name = random.choice(list(header))
        tensor = header[name]
        do = random.randrange(6)
        if do == 0 or not isinstance(tensor, dict):
            header[name] = hostile(random)
        elif do == 1:
            tensor["shape"] = [random.choice([*EXTREMES, 2**63, -1, 3, 64]) for _ in range(random.randrange(6))]
        elif do == 2:
            tensor["data_offsets"] = [random.choice([*EXTREMES, 2**64, -1, len(data)]) for _ in range(2)]
        elif do == 3:
            tensor["dtype"] = random.choice(["F64", "F16", "BF16", "I8", "", "F32 ", None, 5])
        elif do == 4:
            header[random.choice(["body.0.weight", "body.9999.weight", "\x1b[31m", "a" * 5000])] = header.pop(name)
        else:
            header[name + "2"] = tensor
    text = json.dumps(header).encode()
    if random.random() < 0.2:
        text = b" " * random.choice([1, 1000, 1 << 20]) + text
    size = random.choice([len(text)] * 9 + [2**64 - 1, 2**63, 0, len(text) - 1, len(data) * 2])
    return struct.pack("<Q", size) + text + data[8 + length :]


def hostile(random):
    deep = []
    for _ in range(random.choice([3, 500])):
        deep = [deep]
    return random.choice([None, True, -1, 1e308, "", "x" * 100_000, deep, {}, [], 2**70, "\x1b]0;t\x07", "\u202e"])
