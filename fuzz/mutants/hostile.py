"""Values that nobody means well with, and where they are put."""

import os

NUMBERS = ["-1", "0", "1", "2", "0.5", "1e308", "-1e308", "1e-320", "inf", "nan", "1000000000", "4294967296"]
NUMBERS += ["9223372036854775807", "-9223372036854775808", "18446744073709551616", "1e999", "007", "1_0", "0x7fffffff"]
NAMES = ["", ".", "../beside/holiday.mp4", "../../beside", "/dev/zero", "/dev/null", "/proc/self/mem"]
NAMES += ["beside", "beside/holiday.mp4", "nothing/here.mp4", "x" * 300, "a\nb", "\x1b[31mred", "\u202etxt.exe", "-", "--"]
NAMES += ["[", "**/*", "*" * 200, "a" * 70_000, "~", "%s%n", "set/state", "set"]


def value(random):
    """A value for a JSON document."""
    deep = 1
    for _ in range(random.choice([2, 200])):
        deep = [deep]
    numbers = [-1, 0, 1, 2**31, 2**53, 2**63, 2**64 - 1, 1e308, -1e308, 0.1, float("nan"), float("inf"), 10**30]
    texts = [name for name in NAMES if len(name) < 70_000] + ["../../../beside/secret.txt", "0123456789abcdef", "\0"]
    return random.choice([random.choice(numbers), random.choice(texts), None, True, [], {}, deep, ["../../../beside"]])


def change_json(document, random):
    """The document with one or two values replaced, and where they were."""
    wheres = []
    for _ in range(random.choice([1, 1, 2])):
        places = list(all_places(document))
        if not places:
            return value(random), "whole"
        # Rows of frames are most of it: choose by name first.
        name = random.choice(sorted({key if isinstance(key, str) else "[]" for _, key in places}))
        holder, key = random.choice([it for it in places if (it[1] if isinstance(it[1], str) else "[]") == name])
        do = random.random()
        if do < 0.1 and isinstance(holder, dict):
            del holder[key]
        elif do < 0.15 and isinstance(holder, list):
            holder.append(holder[key])
        elif do < 0.2 and isinstance(holder, dict):
            holder[str(value(random))[:200]] = holder[key]
        else:
            holder[key] = value(random)
        wheres.append(name)
    return document, ",".join(wheres)


def all_places(document):
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, its in list(items) if isinstance(document, (dict, list)) else []:
        yield document, key
        if isinstance(its, (dict, list)) and its is not document:
            yield from all_places(its)


def put_in_place(path, random, folder):
    """Something that is no plain file, or is another one, under the name of a file of the state."""
    what = random.choice(["link", "link to a folder", "folder", "pipe", "nothing", "empty", "zeros", "no permission"])
    path.unlink()
    if what == "link":
        path.symlink_to(folder / "beside/secret.txt")
    elif what == "link to a folder":
        path.symlink_to(folder / "beside")
    elif what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "empty":
        path.touch()
    elif what == "zeros":
        # 8 GB that take no room.
        with open(path, "wb") as file:
            file.truncate(8 << 30)
    elif what == "no permission":
        path.write_bytes(b"{}")
        path.chmod(0)
    return what


# Every key of a configuration, with a good value.
KEYS = {
    "": {"lists": '["l.txt"]', "folder": '"."', "output": '"set"'},
    "run": {"mode": '"per-video"', "workers": "1", "max_disk": '"50G"', "keep": "false", "stages": "[]"},
    "download": {
        "max_file_size": '"2G"',
        "max_duration": "7200",
        "height": "1080",
        "per_host": "4",
        "tries": "5",
        "stall_timeout": "60",
        "rate_limit": '"5M"',
        "sleep": "1.0",
        "cookies": '"cookies.txt"',
        "allow_hosts": '["127.0.0.1:1"]',
    },
    "extract": {
        "every": '"0.5s"',
        "format": '"jpeg"',
        "quality": "92",
        "max_frames": "2000",
        "sandbox": '"auto"',
        "stall_timeout": "60",
    },
    "filter": {
        "min_sharpness": "0",
        "min_brightness": "0",
        "max_brightness": "255",
        "min_contrast": "0",
        "max_border": "1",
        "classes": "[]",
        "text": "[]",
        "score_only": "false",
    },
    "dedup": {"preset": '"normal"', "flip": "false", "against": "[]"},
    "dedup.embedding": {"model": '"embed.onnx"', "min_cosine": "0.95"},
    "detect": {"model": '"m.onnx"', "names": '"n.txt"', "min_score": "0.3", "iou": "0.6", "classes": "[]"},
    "split": {"train": "0.8", "val": "0.1", "test": "0.1", "seed": "0"},
    "export": {"formats": '["imagefolder"]', "name": '"Cats"', "licence": '"cc0"', "shard_size": "100"},
}
UNITS = ["s", "f", "G", "T", "%", "ms", "KiB"]


def toml(random, films):
    """The bytes of a configuration with some hostile values, and their keys."""
    tables = {"": {"inputs": f'["{films}/0.mp4"]'}}
    changed = []
    for _ in range(random.choice([1, 1, 2, 3])):
        table = random.choice(list(KEYS))
        key = random.choice(list(KEYS[table]))
        tables.setdefault(table, {})[key] = literal(random, KEYS[table][key])
        changed.append(f"{table}.{key}")
    if random.random() < 0.1:
        tables[""]["inputs"] = f"[{text(random.choice(NAMES))}, {text(str(films / '1.mp4'))}]"
        changed.append("inputs")
    lines = []
    for table, keys in tables.items():
        lines += [f"[{table}]"] if table else []
        lines += [f"{key} = {its}" for key, its in keys.items()]
    data = "\n".join(lines).encode() + b"\n"
    if random.random() < 0.1:
        at = random.randrange(len(data))
        data = data[:at] + random.choice([b"\xff", b"\0", b"[[", b"\x1b[2J", b"'''"]) + data[at:]
    return data, ",".join(changed)


def literal(random, good):
    """A hostile value, most often of the kind that is right."""
    number = random.choice(NUMBERS)
    if random.random() < 0.2:
        return random.choice([number, "true", "[]", "{}", "[[[[]]]]", text(random.choice(NAMES)), "1979-05-27"])
    if good[0] == "[":
        return f"[{', '.join(text(random.choice(NAMES)) for _ in range(random.choice([1, 2, 50])))}]"
    if good[0] == '"':
        return text(number + random.choice(UNITS) if random.random() < 0.6 else random.choice(NAMES))
    return number


def text(value):
    """A string of TOML."""
    escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\u{ord(c):04x}" for c in value)
    return f'"{escaped}"'


def list_of_inputs(random, films, folder):
    """Lines, and what kinds there are."""
    (folder / "odd").mkdir()
    kinds = {
        "name": random.choice(NAMES).replace("\n", " ").encode()[:4000],
        "bytes": random.randbytes(random.choice([10, 1000])).replace(b"http", b""),
        "odd file": b"odd/\xff\x1b.mp4",
        "pattern": random.choice([b"odd/*", b"[!", b"**/**/**/*.mp4", b"/dev/z*", b"odd/\xff*"]),
        "address": random.choice([b"http://127.0.0.1:1/a.mp4", b"http://[::1]:1/\x1b", b"http://0x7f.1:1/a", b"ftp://127.0.0.1/"]),
        "long": b"x" * random.choice([5000, 2_000_000]),
        "many": b"\n" * 100_000,
        "self": b"list.txt",
        "folder": b"beside",
    }
    copy(films / "0.mp4", os.fsencode(folder) + b"/odd/\xff\x1b.mp4")
    chosen = random.sample(list(kinds), random.choice([1, 1, 2]))
    lines = [kinds[name] for name in chosen] + [os.fsencode(films / "2.mp4")]
    return b"\n".join(lines) + b"\n", ",".join(chosen)


def copy(source, target):
    with open(source, "rb") as read, open(target, "wb") as written:
        written.write(read.read())


DATASET_OPTIONS = ["--every", "--workers", "--max-disk", "--shard", "--stall-timeout", "--max-file-size", "--format"]
DATASET_OPTIONS += ["--stages", "--mode", "--detector", "--names", "--classes", "--allow-host", "--inputs", "-o"]
UPSCALE_OPTIONS = ["--scale", "--workers", "--memory", "--tolerance", "--crf", "--preset", "--pix-fmt", "--encoder"]
UPSCALE_OPTIONS += ["--engine", "--precision", "--reuse", "--reuse-map", "--report", "--plan-out", "-m", "-o", "--device"]


def command_line(random, films):
    """Arguments of `upscale` or `dataset run` with one or two hostile values, and which."""
    of_upscale = random.random() < 0.6
    options = random.sample(UPSCALE_OPTIONS if of_upscale else DATASET_OPTIONS, random.choice([1, 1, 2]))
    values = []
    for option in options:
        number = random.choice(NUMBERS) + random.choice(["", "", *UNITS])
        names = [name for name in NAMES if len(name) < 70_000 and "beside" not in name and "/dev" not in name]
        names += [str(films / "0.mp4"), "0/0", "1/0", "-1/5", "a,b", "mkv", ".mp4", "\udcff.mp4", "/dev/full"]
        values += [option, random.choice([number, number, *names])]
    if of_upscale:
        fixed = ["upscale", str(films / "0.mp4"), "--progress", "none"]
        fixed += [] if "-m" in options else ["-m", "nearest-x2"]
        fixed += [] if "-o" in options else ["-o", "out.mkv"]
        fixed += random.choice([[], ["--overwrite"]])
    else:
        fixed = ["dataset", "run", "--progress", "none"]
        fixed += [] if "-o" in options else ["-o", "new"]
        fixed += [] if "--inputs" in options else ["--inputs", str(films.parent / "films.txt")]
    return fixed + values, ",".join(options)
