"""Hostile configurations, command lines, lists and states of a finished dataset.

Each mutant is a copy of a small finished dataset with one thing changed, and a command that reads it. Beside faults of
the process it is a finding when a file outside the dataset's folder has changed, or when the finished export holds
fewer pictures than before and nothing was said, or none at all.
"""

import hashlib
import json
import os
import shutil
import threading
from pathlib import Path

import child
import hostile
from changes import change

FORMATS = "imagefolder,webdataset"
LOCK = threading.Lock()


class States:
    kind = "states"

    def __init__(self, setting):
        self.program, self.limit, self.work = setting.program, setting.limit, setting.work
        self.films = setting.work / "films"
        self.template = setting.work / "finished"
        self.make_films()
        list_of = setting.work / "films.txt"
        list_of.write_text("".join(f"{film}\n" for film in sorted(self.films.iterdir())))
        if not (self.template / "frames.parquet").exists():
            shutil.rmtree(self.template, ignore_errors=True)
            command = [self.program, "dataset", "run", "--inputs", str(list_of), "-o", str(self.template)]
            ended = child.run([*command, "--every", "0.2s", "--format", FORMATS], setting.work, 300)
            if ended.code != 0:
                raise SystemExit(f"the dataset cannot be made: {ended.last_words()}")
        self.pictures = pictures(self.template)
        self.good = {path: path.read_bytes() for path in self.films.iterdir()}

    def make_films(self):
        if self.films.exists():
            return
        self.films.mkdir()
        for n in range(3):
            source = f"gradients=s=96x64:r=10:d=1:n=4:seed={n}:speed=0.1"
            command = ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", source, "-c:v", "libx264"]
            child.run([*command, "-pix_fmt", "yuv420p", "-threads", "1", str(self.films / f"{n}.mp4")], self.work, 60)

    def make(self, n, random, folder):
        shutil.copytree(self.template, folder / "set", symlinks=True)
        beside = folder / "beside"
        beside.mkdir()
        for name in ("holiday.mp4", "secret.txt"):
            (beside / name).write_bytes(b"precious " + name.encode())
        do = random.choices(
            [self.of_state, self.of_registry, self.of_earlier, self.of_config, self.of_list, self.of_command],
            [6, 1, 1, 4, 2, 4],
        )[0]
        return do(random, folder)

    def of_state(self, random, folder):
        """A file of the state, by its values or its bytes, or something else in its place."""
        state = folder / "set/state"
        files = sorted(path for path in state.rglob("*") if path.is_file() and path.name != "lock")
        documents = [path for path in files if path.suffix == ".json"]
        path = random.choice(documents if random.random() < 0.9 else files)
        way = random.random()
        decides = False
        if path.suffix == ".json" and way < 0.65:
            document, what = hostile.change_json(json.loads(path.read_text()), random)
            path.write_text(json.dumps(document))
            decides = True
        elif way < 0.85:
            data, changes = change(path.read_bytes(), random, random.choice(files).read_bytes())
            path.write_bytes(data)
            what = "+".join(changes)
            decides = can_be_read(path)
        else:
            what = hostile.put_in_place(path, random, folder)
        return self.reading(random, folder, f"{path.name.partition('_')[0]} {what}", decides)

    def of_registry(self, random, folder):
        path = folder / "set/state/registry.sqlite"
        data, changes = change(path.read_bytes(), random, path.read_bytes())
        path.write_bytes(data)
        return self.reading(random, folder, f"registry {'+'.join(changes)}", False)

    def of_earlier(self, random, folder):
        """A new dataset without the pictures of a damaged one."""
        path = folder / "set/frames.parquet"
        data, changes = change(path.read_bytes(), random, path.read_bytes())
        path.write_bytes(data)
        (folder / "c.toml").write_text(f'inputs = ["{self.films}/0.mp4"]\n[dedup]\nagainst = ["set"]\n')
        command = ["dataset", "run", "-o", "other", "c.toml"]
        return Mutant(self, command, f"against {'+'.join(changes)}", True)

    def of_config(self, random, folder):
        text, what = hostile.toml(random, self.films)
        (folder / "c.toml").write_bytes(text)
        command = ["dataset", "validate", "c.toml"]
        if random.random() < 0.7:
            command = ["dataset", "run", "-o", random.choice(["set", "new"]), "--progress", "none", "c.toml"]
        return Mutant(self, command, f"config {what}", True)

    def of_list(self, random, folder):
        text, what = hostile.list_of_inputs(random, self.films, folder)
        (folder / "list.txt").write_bytes(text)
        command = ["dataset", "run", "--inputs", "list.txt", "-o", random.choice(["set", "new"]), "--progress", "none"]
        return Mutant(self, command, f"list {what}", True)

    def of_command(self, random, folder):
        command, what = hostile.command_line(random, self.films)
        return Mutant(self, command, f"command {what}", True)

    def reading(self, random, folder, about, decides):
        """A command that reads the state."""
        list_of = str(self.work / "films.txt")
        run = ["run", "--inputs", list_of, "-o", "set", "--every", "0.2s", "--format", FORMATS, "--progress", "none"]
        command = random.choice(
            [
                run,
                run,
                ["status", "set"],
                ["status", "set", "--json"],
                ["retry", "--failed", "-o", "set", "--progress", "none"],
                ["merge", "set", "-o", "merged", "--progress", "none"],
                ["dedup", "set", "--progress", "none"],
                ["dedup", "set", "--dry-run", "--progress", "none"],
            ]
        )
        return Mutant(self, ["dataset", *command], f"{command[0]}: {about}", decides)

    def repair(self):
        for path, content in self.good.items():
            path.unlink(missing_ok=True)
            path.write_bytes(content)


class Mutant:
    """`decides`: the change is one that may rightly leave fewer pictures."""

    def __init__(self, states, command, about, decides):
        self.states, self.arguments, self.about, self.decides = states, command, about, decides

    def command(self, folder):
        return [self.states.program, *self.arguments]

    def run(self, folder):
        before = outside(folder)
        ended = child.run(self.command(folder), folder, self.states.limit)
        if ended.fault():
            return ended.fault(), ended
        with LOCK:
            is_same = {path: path.read_bytes() if path.is_file() else None for path in self.states.good}
            if is_same != self.states.good:
                self.states.repair()
                return "outside changed", ended
        if not outside(folder).items() >= before.items():
            return "outside changed", ended
        left = pictures(folder / "set")
        says = ended.code != 0
        if left == 0 or left < self.states.pictures and not (self.decides or says):
            ended.stderr += f"\n{left} of {self.states.pictures} pictures are left".encode()
            return "less exported", ended
        return ("refused" if says else "ok"), ended


def outside(folder):
    """Digests of the files beside the dataset, which no command may change."""
    digests = {}
    for path in sorted((folder / "beside").rglob("*")):
        if path.is_file() and not path.is_symlink():
            digests[path] = hashlib.sha256(path.read_bytes()).hexdigest()
    return digests


def pictures(dataset):
    folder = dataset / "imagefolder"
    return sum(name.endswith((".jpg", ".png", ".webp")) for _, _, names in os.walk(folder) for name in names)


def can_be_read(path):
    try:
        json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError):
        return False
    return True
