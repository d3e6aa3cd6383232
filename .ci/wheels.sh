#!/usr/bin/env bash
# A folder of wheels for image builds without network: NumPy as installed in .venv, for the base image's Python.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1
mkdir -p "$folder"
numpy=$(.venv/bin/python -c 'from importlib.metadata import version; print(version("numpy"))')
compgen -G "$folder/numpy-$numpy-*" >/dev/null && exit 0
.venv/bin/python -m pip download --quiet --no-deps --only-binary :all: --python-version 3.11 --dest "$folder" "numpy==$numpy"
