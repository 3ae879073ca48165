#!/usr/bin/env bash
# Installs the Debian/Ubuntu packages that building and testing need. Does nothing when all are there.
set -euo pipefail

packages=(
  ffmpeg libavcodec-dev libavformat-dev libavutil-dev libswscale-dev # linked; the tools judge the tests
  gcc libc6-dev pkg-config                                           # Rust's linker, and how FFmpeg is found
  clang libclang-dev                                                 # bindings are made from FFmpeg's headers
  python3 python3-pip                                                # brings ONNX Runtime
  ca-certificates
)

if ! command -v dpkg-query > /dev/null; then
  echo "this is not Debian or Ubuntu; install the counterparts of: ${packages[*]}" >&2
  exit 0
fi
missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2> /dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo > /dev/null; then
    echo "run this as root: apt-get install ${missing[*]}" >&2
    exit 77
  fi
  as_root=(sudo)
fi
echo "installing ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install --yes --no-install-recommends "${missing[@]}"
