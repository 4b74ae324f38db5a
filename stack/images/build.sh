#!/bin/sh
# Builds the images of the servers that runledger needs, from Debian packages:
#
#   build.sh [base] [postgres] [nats]      all three without arguments
#
# An image that was built from the same files is left alone. The base image is
# pulled, and made with debootstrap where it cannot be pulled.
set -eu
cd "$(dirname "$0")"

base=debian:trixie-slim
label=runledger.checksum
build_log=$(mktemp)
base_dir=
trap 'rm -f "$build_log"; remove_base_dir' EXIT
trap 'exit 130' INT TERM

say() { echo "images: $*" >&2; }
fail() { say "$*"; exit 1; }
present() { docker image inspect "$1" >/dev/null 2>&1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
remove_base_dir() { [ -z "$base_dir" ] || as_root rm -rf "$base_dir"; }

get_base() {
    ! present "$base" || return 0
    say "pulling $base"
    ! docker pull --quiet "$base" >/dev/null 2>&1 || return 0
    say "cannot pull it; making it with debootstrap, which takes about a minute"
    base_dir=$(mktemp -d)
    find_debootstrap || fail \
        "$base can be neither pulled nor made here: give Docker access to a registry," \
        "or install debootstrap (apt-get install debootstrap), then try again"
    as_root env DEBOOTSTRAP_DIR="$debootstrap_dir" "$debootstrap" --variant=minbase trixie "$base_dir/root" \
        >"$build_log" 2>&1 || {
        tail -n 20 "$build_log" >&2
        fail "debootstrap could not make $base: see the lines above"
    }
    as_root tar -C "$base_dir/root" -c . | docker import - "$base" >/dev/null
}

# What is installed; else the package's own files, unpacked for this once: it is a shell script.
find_debootstrap() {
    debootstrap_dir=/usr/share/debootstrap
    debootstrap=$(command -v debootstrap || true)
    [ -z "$debootstrap" ] || return 0
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    download_debootstrap || { as_root apt-get update && download_debootstrap; } >"$build_log" 2>&1 || return 1
    debootstrap_dir=$base_dir/package/usr/share/debootstrap
    debootstrap=$base_dir/package/usr/sbin/debootstrap
}

download_debootstrap() {
    mkdir -p "$base_dir/package" &&
        (cd "$base_dir/package" && apt-get download debootstrap && dpkg-deb -x debootstrap_*.deb .) >"$build_log" 2>&1
}

# build NAME TAG FILE...: the first file is the Dockerfile.
build() {
    name=$1 tag=$2
    shift 2
    checksum=$(cat "$@" | cksum | tr ' ' -)
    [ "$(docker image inspect -f "{{index .Config.Labels \"$label\"}}" "$tag" 2>/dev/null)" != "$checksum" ] ||
        return 0
    get_base
    say "building $tag"
    docker build --tag "$tag" --label "$label=$checksum" --file "$1" . >"$build_log" 2>&1 || {
        tail -n 20 "$build_log" >&2
        fail "cannot build the $name image $tag: see the lines above"
    }
}

docker version >/dev/null 2>&1 || fail "Docker does not answer: start it, or set DOCKER_HOST"

# One process at a time, where the system has flock (macOS does not): a second
# one waits, and then finds the images there.
if command -v flock >/dev/null; then
    exec 9>"${TMPDIR:-/tmp}/runledger-images-$(id -u).lock"
    flock 9
fi

[ $# -gt 0 ] || set -- base postgres nats
for image in "$@"; do
    case $image in
    base) get_base ;;
    postgres) build postgres runledger-postgres:17 postgres.Dockerfile postgres-entrypoint.sh ;;
    nats) build nats runledger-nats:2.10 nats.Dockerfile ;;
    *) fail "there is no image '$image'; say base, postgres or nats" ;;
    esac
done
