"""Damaged media files: `upscale` into nothing, and for every fourth `dataset run`.

A loss is silent when the run ends with 0, says nothing of damage, and gives fewer frames than the clip had before it
was damaged although something tells: ffprobe finds more, complains, or is promised more by the container. Where nothing
in the file tells, such as in a raw stream that is cut between two pictures, the loss is counted as `untold` and is no
finding. A file is given up when the run ends with an error, and ffprobe decodes frames of it without a rule of ours
against it.
"""

import json
import threading

import child
import clips
from changes import change

WORDS = ["damaged", "truncated", "cut off", "not decoded", "cannot be decoded", "lost", "missing"]
# What is refused by a rule although FFmpeg would go on.
RULES = ["of a known kind", "memory", "larger than", "too large", "cover picture", "has no video", "pixels"]


class Media:
    kind = "media"

    def __init__(self, setting):
        self.program, self.limit = setting.program, setting.limit
        names = clips.SHORT if setting.short else None
        self.clips = clips.Clips(setting.assets, setting.work / "clips", names)
        self.lock, self.whole = threading.Lock(), {}

    def frames_of_clip(self, name, folder):
        """Frames that the program finds in the clip before it was damaged; 0 where it refuses it."""
        with self.lock:
            if name not in self.whole:
                clip = Mutant(self, name, self.clips.folder / name, "whole", False)
                ended = child.run(clip.command(folder), folder, self.limit)
                self.whole[name] = clip.seen_by_upscale(folder)[0] if ended.code == 0 else 0
                probed = self.clips.frames(name).frames
                if self.whole[name] != probed:
                    words = f"the program finds {self.whole[name]} frames, ffprobe {probed} {ended.last_words()}"
                    print(f"  whole {name}: {words}", flush=True)
            return self.whole[name]

    def make(self, n, random, folder):
        """Writes the mutant of number `n`, and tells what it is."""
        name = self.clips.names[n % len(self.clips.names)]
        other = self.clips.read(random.choice(self.clips.names))
        data, changes = change(self.clips.read(name), random, other)
        path = folder / f"{n:05}.{name}"
        path.write_bytes(data)
        return Mutant(self, name, path, "+".join(changes), of_dataset=n % 4 == 3)


class Mutant:
    def __init__(self, media, name, path, about, of_dataset):
        self.media, self.name, self.path, self.of_dataset = media, name, path, of_dataset
        self.about = f"{name} {about}{' dataset' if of_dataset else ''}"

    def command(self, folder):
        if self.of_dataset:
            options = ["--inputs", "list.txt", "--every", "1f", "-o", "set", "--workers", "1"]
            return [self.media.program, "dataset", "run", *options, "--progress", "none", "--json"]
        options = ["-m", "nearest-x2", "--encoder", "null", "--progress", "none", "--report", "report.json"]
        return [self.media.program, "upscale", str(self.path), *options]

    def run(self, folder):
        """(word, code, words): what became of it, for the table."""
        whole = self.media.frames_of_clip(self.name, folder)
        (folder / "list.txt").write_text(f"{self.path}\n")
        ended = child.run(self.command(folder), folder, self.media.limit)
        if ended.fault():
            return ended.fault(), ended
        if ended.code == 3 and not self.of_dataset:
            return "said", ended
        if ended.code != 0:
            return self.refused(ended, whole), ended
        ours, says = self.seen_by_dataset(folder, ended) if self.of_dataset else self.seen_by_upscale(folder)
        if says:
            return "said", ended
        if ours >= whole:
            return "ok", ended
        found = clips.frames_of(self.path)
        ended.stderr += f"\n{ours} frames, {whole} in the clip, ffprobe: {vars(found)}".encode()
        promised = max(found.frames, found.promised, found.packets)
        return ("silent" if promised > ours or found.complaints else "untold"), ended

    def refused(self, ended, whole):
        words = ended.stderr + ended.stdout
        if whole == 0 or any(rule.encode() in words for rule in RULES):
            return "refused"
        found = clips.frames_of(self.path)
        ended.stderr += f"\nffprobe: {vars(found)}".encode()
        return "given up" if found.frames > 0 else "refused"

    def seen_by_upscale(self, folder):
        report = json.loads((folder / "report.json").read_text())
        counts = sum(value for key, value in report.items() if key in ("corrupt_frames", "undecodable_packets"))
        return report["frames_in"], bool(counts or report["truncated"] or tells(report["warnings"]))

    def seen_by_dataset(self, folder, ended):
        extracts = list((folder / "set/state/videos").glob("*/extract.json"))
        record = json.loads(extracts[0].read_text())["value"] if extracts else {"frames": [], "notes": []}
        said = json.loads(ended.stdout).get("warnings", []) if ended.stdout else []
        return len(record["frames"]), tells([*record["notes"], *said])


def tells(notes):
    return any(word in note for note in notes for word in WORDS)
