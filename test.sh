#!/usr/bin/env bash
# Installs what the tests need and runs the whole suite. Leaves nothing outside target/ but system packages
# and cargo-nextest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
PATH=$PATH:${HOME:-/nonexistent}/.cargo/bin
mkdir -p "${CARGO_TARGET_DIR:-target}"
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)

step() { printf '\n== %s\n' "$*"; }

step "what the tests need"
scripts/system-packages.sh
cargo nextest --version > /dev/null 2>&1 || cargo install --locked cargo-nextest
# All at once: with other packages than the tests, cargo chooses other features and builds the dependencies twice.
cargo build --locked --workspace --bins --tests
if [ -z "${FRAMEWRIGHT_ORT:-}" ]; then
  XDG_DATA_HOME=$target/test-data "$target/debug/framewright" setup
  export FRAMEWRIGHT_ORT=$target/test-data/framewright/libonnxruntime.so
fi
# The independent computation of the pixels and the readers of datasets are in Python.
modules='numpy, onnxruntime, pycocotools, webdataset, datasets, pyarrow, mlcroissant, PIL, yaml'
if ! python3 -c "import $modules" 2> /dev/null; then
  export PYTHONPATH=$target/test-python
  python3 -c "import $modules" 2> /dev/null ||
    python3 -m pip install --quiet --upgrade --target "$PYTHONPATH" numpy onnxruntime pycocotools webdataset datasets \
      pyarrow mlcroissant pillow pyyaml
fi
# Pages are fetched by yt-dlp.
if ! command -v yt-dlp > /dev/null; then
  export PYTHONPATH=$target/test-python${PYTHONPATH:+:$PYTHONPATH} PATH=$target/test-python/bin:$PATH
  command -v yt-dlp > /dev/null || python3 -m pip install --quiet --target "$target/test-python" yt-dlp
fi
[ -d ../shared/assets ] || echo "skipped: ../shared/assets is not here, tests that need it check nothing"

step "tests"
profile=default
[ "${CI:-}" != true ] || profile=ci
cargo nextest run --locked --workspace --profile "$profile"

step "hostile files, models, configurations and states"
python3 -B fuzz/mutants/run.py all --short --n 60 --program "$target/debug/framewright" --keep "$target/mutants-found"

step "examples in the documentation"
cargo test --locked --workspace --doc

step "every interleaving of the queue (loom)"
RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=$target/loom \
  cargo test --locked --package framewright-pipeline --test loom --release
