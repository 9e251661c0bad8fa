#!/bin/sh
# image.sh NAME ROOT ENTRYPOINT OUT: packs a directory as the image NAME, whose entrypoint is that list in JSON, into
# the archive OUT, in the format that `docker save` writes and every engine loads.
set -eu

name=$1
root=$2
entrypoint=$3
out=$4
case $(uname -m) in
x86_64) architecture=amd64 ;;
aarch64) architecture=arm64 ;;
*) architecture=$(uname -m) ;;
esac
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
tar --create --file "$work/layer.tar" --directory "$root" --owner=0 --group=0 --numeric-owner .
digest=$(sha256sum "$work/layer.tar" | cut -d ' ' -f 1)
{
    printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":%s},' "$architecture" "$entrypoint"
    printf '"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$digest"
} >"$work/config.json"
printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$name" >"$work/manifest.json"
tar --create --file "$out" --directory "$work" manifest.json config.json layer.tar
