"""Loads a dataset by the libraries that trainers use and compares every format with frames.parquet.

usage: check.py FOLDER

Every format that lies in FOLDER is checked; ends with 1 and one line at the first violation. YOLO and VOC are read by the
rules their readers document, the others by pycocotools, webdataset, datasets, pyarrow and mlcroissant.
"""

import hashlib
import io
import json
import os
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"

import pyarrow.parquet as parquet
from PIL import Image

PARTS = ("train", "val", "test")
# The hub's word for each.
HUB = {"train": "train", "val": "validation", "test": "test"}


def check(holds, message):
    if not holds:
        sys.exit(f"{message}")


def near(found, expected, tolerance):
    return len(found) == len(expected) and all(abs(a - b) <= tolerance for a, b in zip(found, expected))


class Frames:
    """What frames.parquet says."""

    def __init__(self, root):
        table = parquet.read_table(root / "frames.parquet")
        about = table.schema.metadata
        self.classes = json.loads(about[b"classes"])
        check(about[b"framewright_version"], "frames.parquet does not tell the version")
        check(len(about[b"config_hash"]) == 64, "frames.parquet does not tell the hash of the configuration")
        self.rows = table.to_pylist()
        self.kept = {row["image_id"]: row for row in self.rows if row["kept"]}
        groups = {}
        for row in self.rows:
            where = row["image_id"]
            check(row["kept"] == (row["drop_reason"] is None), f"{where}: kept or with a reason")
            check(row["kept"] == (row["split"] is not None), f"{where}: kept or without a part")
            check(row["kept"] == (row["file_name"] is not None), f"{where}: kept or without a file")
            check("." not in where, f"{where}: a dot in a key")
            check(len(row["dct"]) == len(row["dhash"]) == 64, f"{where}: a hash has 64 digits")
            if row["duplicate_of"] is not None:
                check(row["distance"] is not None, f"{where}: a duplicate without a distance")
            for found in row["objects"] or []:
                inside = found["x"] >= 0 and found["y"] >= 0 and found["w"] > 0 and found["h"] > 0
                inside &= found["x"] + found["w"] <= row["width"] + 0.01
                inside &= found["y"] + found["h"] <= row["height"] + 0.01
                check(inside, f"{where}: a box outside of the picture")
                check(self.classes[found["class"]] == found["label"], f"{where}: class and label differ")
            if row["kept"]:
                check(row["file_name"].startswith(row["split"] + "/"), f"{where}: {row['file_name']}")
                groups.setdefault(row["split_group"], set()).add(row["split"])
        check(len({row["image_id"] for row in self.rows}) == len(self.rows), "an image_id twice")
        self.cut_groups = [group for group, parts in groups.items() if len(parts) > 1]
        self.is_labelled = bool(self.classes)

    def of(self, part):
        return {name: row for name, row in self.kept.items() if row["split"] == part}

    def parts(self):
        return [part for part in PARTS if self.of(part)]

    def check_names(self, what, part, names):
        expected = set(self.of(part))
        names = list(names)
        check(len(names) == len(set(names)), f"{what}, {part}: a picture twice")
        check(set(names) == expected, f"{what}, {part}: {len(names)} pictures, expected {len(expected)}")

    def check_picture(self, what, name, picture):
        row = self.kept[name]
        if isinstance(picture, (str, Path)):
            content = Path(picture).read_bytes()
        elif isinstance(picture, bytes):
            content = picture
        else:
            check(picture.size == (row["width"], row["height"]), f"{what}: {name} has another size")
            return
        if row["sha256"] is not None:
            check(hashlib.sha256(content).hexdigest() == row["sha256"], f"{what}: {name} has another hash")
        size = Image.open(io.BytesIO(content)).size
        check(size == (row["width"], row["height"]), f"{what}: {name} has another size")

    def check_boxes(self, what, name, boxes, tolerance):
        """`boxes` are (class, [x, y, w, h] in pixels)."""
        expected = [(o["class"], [o["x"], o["y"], o["w"], o["h"]]) for o in self.kept[name]["objects"] or []]
        check(len(boxes) == len(expected), f"{what}: {name} has {len(boxes)} boxes, expected {len(expected)}")
        for (found_class, found), (expected_class, wanted) in zip(boxes, expected):
            check(found_class == expected_class, f"{what}: {name} has another class")
            check(near(found, wanted, tolerance), f"{what}: {name} has a box at {found}, expected {wanted}")


def check_coco(root, frames):
    from pycocotools.coco import COCO

    for part in frames.parts():
        # It prints what it does.
        sys.stdout, real = io.StringIO(), sys.stdout
        try:
            coco = COCO(root / "annotations" / f"instances_{part}.json")
        finally:
            sys.stdout = real
        images = coco.loadImgs(coco.getImgIds())
        frames.check_names("coco", part, (Path(image["file_name"]).stem for image in images))
        categories = coco.loadCats(sorted(coco.getCatIds()))
        check([c["id"] for c in categories] == list(range(1, len(frames.classes) + 1)), "coco: ids begin at 1")
        check([c["name"] for c in categories] == frames.classes, "coco: other classes")
        licences = {licence["id"] for licence in coco.dataset["licenses"]} | {0}
        for image in images:
            name = Path(image["file_name"]).stem
            frames.check_picture("coco", name, root / part / image["file_name"])
            row = frames.kept[name]
            for key in ("width", "height", "video_id", "frame_index", "pts_secs", "source"):
                check(image[key] == row[key], f"coco: {name} has another {key}")
            check(image["license"] in licences, f"coco: {name} has an unknown licence")
            found = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
            found = sorted(found, key=lambda annotation: annotation["id"])
            boxes = [(a["category_id"] - 1, a["bbox"]) for a in found]
            frames.check_boxes("coco", name, boxes, 0.01)
            for annotation in found:
                _, _, w, h = annotation["bbox"]
                check(abs(annotation["area"] - w * h) <= 0.01 and annotation["iscrowd"] == 0, f"coco: {name}: area")


def read_yaml(path):
    try:
        import yaml
    except ImportError:
        return None
    return yaml.safe_load(path.read_text())


def check_yolo(root, frames):
    data = read_yaml(root / "data.yaml")
    if data is not None:
        # https://docs.ultralytics.com/datasets/detect/: these keys must be there, `path` may be left out.
        check("train" in data and "val" in data and "names" in data, "yolo: data.yaml lacks a key")
        check(data["names"] == dict(enumerate(frames.classes)), f"yolo: other classes: {data['names']}")
    for part in PARTS:
        folder = root / "images" / part
        if data is not None and part in data:
            check((root / data[part]) == folder and folder.is_dir(), f"yolo: {part} is not there")
        pictures = sorted(folder.iterdir()) if folder.is_dir() else []
        frames.check_names("yolo", part, (picture.stem for picture in pictures))
        for picture in pictures:
            name = picture.stem
            frames.check_picture("yolo", name, picture)
            # The reader's rule: the last /images/ is /labels/, the extension is txt.
            labels = Path("/labels/".join(str(picture).rsplit("/images/", 1))).with_suffix(".txt")
            rows = labels.read_text().splitlines() if labels.exists() else []
            check(rows or not labels.exists(), f"yolo: {name} has an empty file")
            width, height = frames.kept[name]["width"], frames.kept[name]["height"]
            boxes = []
            for row in rows:
                parts = row.split()
                check(len(parts) == 5, f"yolo: {name}: a row has five numbers")
                number, (xc, yc, w, h) = int(parts[0]), map(float, parts[1:])
                check(0 <= number < len(frames.classes), f"yolo: {name}: no such class")
                check(all(0 <= value <= 1 for value in (xc, yc, w, h)), f"yolo: {name}: not relative: {row}")
                boxes.append((number, [(xc - w / 2) * width, (yc - h / 2) * height, w * width, h * height]))
            frames.check_boxes("yolo", name, boxes, 0.01 + 2e-6 * max(width, height))
        orphans = {label.stem for label in (root / "labels" / part).glob("*")} - {p.stem for p in pictures}
        check(not orphans, f"yolo: labels without a picture: {orphans}")


def check_voc(root, frames):
    for part in frames.parts():
        names = (root / "ImageSets" / "Main" / f"{part}.txt").read_text().split()
        frames.check_names("voc", part, names)
        for name in names:
            annotation = ElementTree.parse(root / "Annotations" / f"{name}.xml").getroot()
            check(annotation.tag == "annotation", f"voc: {name}: {annotation.tag}")
            frames.check_picture("voc", name, root / "JPEGImages" / annotation.findtext("filename"))
            row = frames.kept[name]
            check(annotation.findtext("source/image") == row["source"], f"voc: {name} has another source")
            size = [int(annotation.findtext(f"size/{side}")) for side in ("width", "height", "depth")]
            check(size == [row["width"], row["height"], 3], f"voc: {name} has another size")
            boxes = []
            for found in annotation.findall("object"):
                corner = {side: int(found.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")}
                check(1 <= corner["xmin"] <= corner["xmax"] <= row["width"], f"voc: {name}: {corner}")
                check(1 <= corner["ymin"] <= corner["ymax"] <= row["height"], f"voc: {name}: {corner}")
                width, height = corner["xmax"] - corner["xmin"] + 1, corner["ymax"] - corner["ymin"] + 1
                number = frames.classes.index(found.findtext("name"))
                boxes.append((number, [corner["xmin"] - 1, corner["ymin"] - 1, width, height]))
            frames.check_boxes("voc", name, boxes, 2.01)


def check_webdataset(root, frames):
    import webdataset

    for part in frames.parts():
        shards = sorted(str(path) for path in root.glob(f"{part}-*.tar"))
        check(shards, f"webdataset: no files of {part}")
        numbers = [f"{part}-{number:06}.tar" for number in range(len(shards))]
        check([Path(shard).name for shard in shards] == numbers, "webdataset: numbers have gaps")
        samples = list(webdataset.WebDataset(shards, shardshuffle=False, empty_check=False))
        frames.check_names("webdataset", part, (sample["__key__"] for sample in samples))
        for sample in samples:
            name = sample["__key__"]
            said = json.loads(sample["json"])
            extensions = [key for key in sample if not key.startswith("__") and key != "json"]
            check(len(extensions) == 1, f"webdataset: {name} has {extensions}")
            frames.check_picture("webdataset", name, sample[extensions[0]])
            check(said["image_id"] == name and said["url"] == frames.kept[name]["url"], f"webdataset: {name}: json")
            boxes = [(found["class"], found["bbox"]) for found in said.get("objects", [])]
            frames.check_boxes("webdataset", name, boxes, 0.01)


def check_hub(what, loaded, frames):
    check(set(loaded) == {HUB[part] for part in frames.parts()}, f"{what}: parts {set(loaded)}")
    for part in frames.parts():
        rows = list(loaded[HUB[part]])
        frames.check_names(what, part, (row["image_id"] for row in rows))
        for row in rows:
            name = row["image_id"]
            frames.check_picture(what, name, row["image"])
            check(row["source"] == frames.kept[name]["source"], f"{what}: {name} has another source")
            objects = row.get("objects")
            check((objects is not None) == frames.is_labelled, f"{what}: {name}: labelled or not")
            if objects:
                check(isinstance(objects, dict), f"{what}: {name}: objects are {type(objects)}")
                boxes = list(zip(objects["categories"], objects["bbox"]))
                frames.check_boxes(what, name, boxes, 0.01)


def check_imagefolder(root, frames):
    from datasets import load_dataset

    with tempfile.TemporaryDirectory() as cache:
        check_hub("imagefolder", load_dataset("imagefolder", data_dir=str(root), cache_dir=cache), frames)


def check_parquet(root, frames):
    from datasets import ClassLabel, load_dataset

    with tempfile.TemporaryDirectory() as cache:
        loaded = load_dataset(str(root), cache_dir=cache)
        check_hub("parquet", loaded, frames)
        features = next(iter(loaded.values())).features
        check(type(features["image"]).__name__ == "Image", f"parquet: pictures are {features['image']}")
        if frames.is_labelled:
            categories = features["objects"]["categories"].feature
            check(isinstance(categories, ClassLabel), f"parquet: classes are {categories}")
            check(categories.names == frames.classes, "parquet: other classes")
    for path in root.glob("data/*.parquet"):
        file = parquet.ParquetFile(path)
        groups = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
        check(max(groups) <= 100, f"parquet: groups of {max(groups)} rows")
        check(file.metadata.created_by == "framewright", f"parquet: created by {file.metadata.created_by}")


def check_card(root, frames):
    """The card tells the hub what to load."""
    if not ((root / "parquet").is_dir() or (root / "imagefolder").is_dir()):
        return
    from datasets import load_dataset

    with tempfile.TemporaryDirectory() as cache:
        check_hub("card", load_dataset(str(root), cache_dir=cache), frames)


def check_croissant(path, frames):
    described = json.loads(path.read_text())
    check(described["dct:conformsTo"] == "http://mlcommons.org/croissant/1.1", "croissant: another version")
    for file in described["distribution"]:
        if file["@type"] == "cr:FileObject":
            content = (path.parent / file["contentUrl"]).read_bytes()
            check(hashlib.sha256(content).hexdigest() == file["sha256"], f"croissant: {file['name']}: another hash")
        else:
            includes = file["includes"] if isinstance(file["includes"], list) else [file["includes"]]
            found = {picture.stem for pattern in includes for picture in path.parent.glob(pattern)}
            check(found == set(frames.kept), f"croissant: {file['includes']} finds {len(found)} pictures")
    try:
        import mlcroissant
    except ImportError:
        print("skipped: mlcroissant is not here")
        return
    dataset = mlcroissant.Dataset(jsonld=path)
    errors = dataset.metadata.ctx.issues.errors
    check(not errors, f"croissant: {errors}")
    records = list(dataset.records("frames"))
    check(len(records) == len(frames.rows), f"croissant: {len(records)} records of {len(frames.rows)}")
    for record, row in zip(records, frames.rows):
        name = record["frames/image_id"]
        name = name.decode() if isinstance(name, bytes) else name
        check(name == row["image_id"], f"croissant: {name} is not {row['image_id']}")


def main():
    root = Path(sys.argv[1]).resolve()
    frames = Frames(root)
    checks = {
        "coco": check_coco,
        "yolo": check_yolo,
        "voc": check_voc,
        "webdataset": check_webdataset,
        "imagefolder": check_imagefolder,
        "parquet": check_parquet,
        "croissant.json": check_croissant,
    }
    done = []
    for name, checked in checks.items():
        if (root / name).exists():
            checked(root / name, frames)
            done.append(name)
    check(done, f"nothing to check in {root}")
    check_card(root, frames)
    hidden = [path.name for path in root.glob(".*") if path.suffix in (".new", ".old")]
    check(not hidden, f"left behind: {hidden}")
    if frames.cut_groups:
        print(f"note: {len(frames.cut_groups)} groups are in several parts, cut in time")
    print(f"{len(frames.kept)} pictures of {len(frames.rows)} frames: {', '.join(done)}")


if __name__ == "__main__":
    main()
