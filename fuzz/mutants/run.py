#!/usr/bin/env python3
"""Tries mutants of media, models, configurations and states against the program; `README.md` has the commands."""

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import child
import clips
import media
import models
import states

KINDS = {"media": media.Media, "models": models.Models, "states": states.States}
ROOT = Path(__file__).resolve().parents[2]
GOOD = ["ok", "refused", "said", "untold"]
BAD = ["broken harness", "silent", "given up", "signal", "panic", "hang", "odd code", "raw control character", "outside changed", "less exported"]


def main():
    setting = arguments()
    own = None
    if setting.work is None:
        own = tempfile.TemporaryDirectory(prefix="framewright-mutants-")
        setting.work = Path(own.name)
    setting.work.mkdir(parents=True, exist_ok=True)
    found = False
    print(f"{'kind':8}{'tried':>7}" + "".join(f"{word:>{len(word) + 2}}" for word in GOOD + BAD) + "     secs")
    for name in KINDS if setting.kind == "all" else [setting.kind]:
        found |= try_kind(name, setting)
    if own:
        own.cleanup()
    sys.exit(1 if found else 0)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=[*KINDS, "all"])
    parser.add_argument("--program", required=True, type=os.path.abspath)
    parser.add_argument("--n", type=int, default=2000, help="mutants of each kind")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--only", type=int, help="this one, and print what the program said")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="of a few small files only")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--limit", type=float, default=120, help="seconds after which a run hangs")
    parser.add_argument("--assets", type=Path, default=clips.default_assets())
    parser.add_argument("--work", type=Path, help="where clips are kept for the next time")
    parser.add_argument("--keep", type=Path, default=Path("mutants-found"), help="where bad files go")
    setting = parser.parse_args()
    setting.root = ROOT
    return setting


def try_kind(name, setting):
    """Tries all mutants of a kind and prints its row; whether anything was found."""
    begun = time.monotonic()
    kind = KINDS[name](setting)
    numbers = [setting.only] if setting.only is not None else range(setting.first, setting.first + setting.n)
    words, findings = Counter(), []
    with ThreadPoolExecutor(setting.jobs) as pool:
        for n, word, about, ended in pool.map(lambda n: try_one(kind, n, setting), numbers):
            words[word] += 1
            if word in BAD:
                findings.append((n, word, about, ended))
                print(f"  {name} {n} {word} ({ended.code}): {about}: {ended.last_words()[:300]}", flush=True)
            elif setting.only is not None:
                print(f"  {word} ({ended.code}): {about}\n{ended.stderr.decode(errors='replace')}")
    row = "".join(f"{words[word]:>{len(word) + 2}}" for word in GOOD + BAD)
    print(f"{name:8}{sum(words.values()):>7}{row}{time.monotonic() - begun:>9.0f}", flush=True)
    for n, *_ in findings:
        short = " --short" if setting.short else ""
        print(f"  again: {sys.argv[0]} {name} --seed {setting.seed} --only {n}{short} --program {setting.program}")
    return bool(findings)


def try_one(kind, n, setting):
    folder = Path(tempfile.mkdtemp(prefix=f"{kind.kind}-", dir=setting.work))
    try:
        mutant = kind.make(n, Random(f"{setting.seed}/{kind.kind}/{n}"), folder)
        word, ended = mutant.run(folder)
        if word in BAD:
            keep(folder, setting.keep / f"{kind.kind}-{setting.seed}-{n}")
        return n, word, mutant.about, ended
    except Exception:
        # One mutant that cannot be judged must not end a run of hours.
        return n, "broken harness", "", child.Ended(0, b"", traceback.format_exc().encode(), False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def keep(folder, to):
    shutil.rmtree(to, ignore_errors=True)
    to.parent.mkdir(parents=True, exist_ok=True)

    def too_much(where, names):
        paths = [Path(where) / name for name in names]
        plain = [path.is_symlink() or path.is_dir() or path.is_file() and path.stat().st_size < 50 << 20 for path in paths]
        return [path.name for path, is_kept in zip(paths, plain) if not is_kept]

    shutil.copytree(folder, to, symlinks=True, ignore=too_much)


if __name__ == "__main__":
    main()
