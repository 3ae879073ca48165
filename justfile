# Short names; each line can be typed without just.

# Format, lints, licences
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo deny check

# What the tests need, then the whole suite
test:
    ./test.sh

# Set up, build, and upscale a sample clip
demo:
    ./quickstart.sh

# Benchmarks of the parts; whole runs are measured as bench/README.md says
bench:
    cargo bench --workspace

# Accept changed snapshots one by one
snap:
    cargo insta review

# The documentation of all crates
doc:
    cargo doc --workspace --no-deps --open
