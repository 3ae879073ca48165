#!/usr/bin/env bash
# Data, training, export and evaluation of lite-x2, into the folder DIR. What is there already is kept.
#
# run.sh DIR [ASSETS]      an hour and a half on two cores, minutes on a GPU; training goes on where it was ended
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:?which folder?}
assets=${2:-$here/../../../shared/assets}
mkdir -p "$out"

[ -f "$out/data/set.json" ] || python3 "$here/dataset.py" --assets "$assets" --out "$out/data"
python3 "$here/train.py" --data "$out/data" --out "$out/checkpoint.pt" --resume
python3 "$here/export.py" "$out/checkpoint.pt" "$out/lite-x2.safetensors"
cd "$out"
python3 "$here/evaluate.py" lite-x2.safetensors --assets "$assets" --json evaluation.json --sheet sheet.png
