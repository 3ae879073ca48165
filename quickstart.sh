#!/usr/bin/env bash
# From a fresh Debian or Ubuntu machine with Rust to an upscaled clip: system packages, release build, a clip upscaled,
# and a picture of before and after. Can be run again at any time.
#
# FRAMEWRIGHT_MODEL  another network than the built-in one, an .onnx or .safetensors file
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
PATH=$PATH:${HOME:-/nonexistent}/.cargo/bin

step() { printf '\n== %s\n' "$*"; }
die() {
  printf 'error: %s\n' "$2" >&2
  exit "$1"
}

model=${FRAMEWRIGHT_MODEL:-lite-x2}
case $model in
  *.onnx | *.safetensors)
    [ -f "$model" ] || die 78 "FRAMEWRIGHT_MODEL names no file: $model"
    ;;
esac
cargo --version > /dev/null 2>&1 || die 69 "cargo does not run; install Rust with rustup and start again"

step "system packages"
scripts/system-packages.sh

step "release build"
cargo build --release --locked --package framewright
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
framewright=$target/release/framewright

work=$target/quickstart
mkdir -p "$work"
input=samples/talk.mp4

# 69: a library is missing, here ONNX Runtime. One that FRAMEWRIGHT_ORT names is not replaced.
needs=0
"$framewright" upscale "$input" --model "$model" --plan-only --quiet > "$work/plan.txt" 2>&1 || needs=$?
if [ "$needs" -eq 69 ] && [ -z "${FRAMEWRIGHT_ORT:-}" ]; then
  step "ONNX Runtime"
  "$framewright" setup
fi

step "upscale"
"$framewright" upscale "$input" -o "$work/upscaled.mp4" --model "$model" \
  --report "$work/report.json" --overwrite

step "before and after"
size=$(ffprobe -v error -select_streams v -show_entries stream=width,height -of csv=p=0:s=x "$work/upscaled.mp4")
ffmpeg -v error -y -i "$input" -i "$work/upscaled.mp4" -frames:v 1 -filter_complex "
  [0:v]select='eq(n,24)',scale=${size/x/:}:flags=neighbor,setsar=1[before];
  [1:v]select='eq(n,24)',setsar=1[after];
  [before][after]hstack" -update 1 "$work/before-after.png"

cat << END

before and after  $work/before-after.png
the clip          $input
upscaled          $work/upscaled.mp4
what was done     $work/report.json
the program       $framewright

Next: $framewright upscale YOUR-VIDEO -o LARGER.mkv
END
