#!/bin/sh
# Write the locks of the systems other than Linux (which has requirements.lock and requirements-cpu.lock beside this
# folder), with hashes, resolved anew and not run: `make locks`. It needs uv (pip install uv) and the package index.
#
# face-recognition-models, which is data, has no wheel at all.
#
# Versions are those of requirements-cpu.lock, which the tests run with, wherever the platform has a wheel of them.
set -eu
cd "$(dirname "$0")/.."
known=$(mktemp)
trap 'rm -f "$known"' EXIT
sed -n 's/^\([A-Za-z0-9_.-]*==[^ ]*\).*/\1/p' requirements-cpu.lock | grep -v '^c2pa-python=' > "$known" # not for Windows
export MACOSX_DEPLOYMENT_TARGET=14.0 # torch has no wheel for older ones

# Required by a package and used by nobody (docs/decisions/009-cpu-install.md), and a second OpenCV.
unused="jax jaxlib opencv-contrib-python sounddevice warp-lang roma trimesh"

lock() {
  # shellcheck disable=SC2046
  uv pip compile pyproject.toml --extra serve --quiet --generate-hashes --only-binary :all: --no-binary face-recognition-models --no-annotate --no-header \
    --python-version 3.11 --python-platform "$2" --constraints "$known" \
    $(printf -- '--no-emit-package %s ' $unused) --output-file "locks/$1.lock"
}

lock macos-arm64 aarch64-apple-darwin
lock windows-x86_64 x86_64-pc-windows-msvc
