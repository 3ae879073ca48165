#!/usr/bin/env bash
# From a fresh Debian or Ubuntu machine with Rust to an upscaled clip: system packages, release build,
# a sample clip, ONNX Runtime if the network needs it, and a picture of before and after. Can be run again at any time.
#
# FRAMEWRIGHT_MODEL  the network, an .onnx or .safetensors file; else the one in ../shared/assets
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
PATH=$PATH:${HOME:-/nonexistent}/.cargo/bin

step() { printf '\n== %s\n' "$*"; }
die() {
  printf 'error: %s\n' "$2" >&2
  exit "$1"
}

model=${FRAMEWRIGHT_MODEL:-../shared/assets/models/realesr-animevideov3-x2.onnx}
if [ ! -f "$model" ] && [ "$model" != nearest-x2 ]; then
  die 78 "there is no model; set FRAMEWRIGHT_MODEL to the file of an upscaling network, not $model"
fi
cargo --version > /dev/null 2>&1 || die 69 "cargo does not run; install Rust with rustup and start again"

step "system packages"
scripts/system-packages.sh

step "release build"
cargo build --release --locked --package framewright
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
framewright=$target/release/framewright

step "a sample clip"
work=$target/quickstart
mkdir -p "$work"
source_clip=../shared/assets/clips/2d/dialogue_limited.mp4
if [ -f "$source_clip" ]; then
  # At half size, so that two cores are done in about a minute.
  input=(-ss 5 -t 3 -i "$source_clip" -vf scale=-2:240)
else
  input=(-f lavfi -i "testsrc2=size=320x180:rate=24:duration=2" -f lavfi -i "sine=duration=2")
fi
ffmpeg -v error -y "${input[@]}" -c:v libx264 -crf 16 -pix_fmt yuv420p -c:a aac "$work/sample.mp4"
echo "$work/sample.mp4"

# 69: a library is missing, here ONNX Runtime. One that FRAMEWRIGHT_ORT names is not replaced.
needs=0
"$framewright" upscale "$work/sample.mp4" --model "$model" --plan-only --quiet > "$work/plan.txt" 2>&1 || needs=$?
if [ "$needs" -eq 69 ] && [ -z "${FRAMEWRIGHT_ORT:-}" ]; then
  step "ONNX Runtime"
  "$framewright" setup
fi

step "upscale"
"$framewright" upscale "$work/sample.mp4" -o "$work/upscaled.mp4" --model "$model" \
  --report "$work/report.json" --overwrite

step "before and after"
size=$(ffprobe -v error -select_streams v -show_entries stream=width,height -of csv=p=0:s=x "$work/upscaled.mp4")
ffmpeg -v error -y -i "$work/sample.mp4" -i "$work/upscaled.mp4" -frames:v 1 -filter_complex "
  [0:v]select='eq(n,24)',scale=${size/x/:}:flags=neighbor,setsar=1[before];
  [1:v]select='eq(n,24)',setsar=1[after];
  [before][after]hstack" -update 1 "$work/before-after.png"

cat << END

before and after  $work/before-after.png
the clip          $work/sample.mp4
upscaled          $work/upscaled.mp4
what was done     $work/report.json
the program       $framewright

Next: $framewright upscale YOUR-VIDEO -o LARGER.mkv --model $model
END
