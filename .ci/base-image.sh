#!/usr/bin/env bash
# Debian with Python as guided-evolution/base:bookworm, made here because no registry can be reached in CI.
set -euo pipefail
cd "$(dirname "$0")"
image=guided-evolution/base:bookworm
cache=${GE_CACHE:-/var/cache/guided-evolution}
archive=$cache/base-bookworm.tar
if docker image inspect "$image" >/dev/null 2>&1; then exit 0; fi
if [ ! -s "$archive" ]; then
    ./packages.sh debootstrap
    mkdir -p "$cache"
    root=$(mktemp -d "$cache/root.XXXXXX")
    trap 'rm -rf "$root"' EXIT
    mirror=$(apt-get indextargets --format "\$(CODENAME) \$(SITE)" | sed -n "s/^bookworm //p" | head -n 1)
    debootstrap --variant=minbase --include=python3,python3-pip bookworm "$root" "$mirror"
    rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
    # Device files need no place in an image: the engine makes its own.
    tar -C "$root" --numeric-owner --exclude=./dev/* -cf "$archive.part" .
    mv "$archive.part" "$archive"
fi
docker import --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' "$archive" "$image" >/dev/null
