#!/bin/sh
# container.sh ROOT PROGRAM [BIND SOURCE TARGET]... -- [VARIABLE=VALUE]... ENTRYPOINT ARGUMENT...
#
# Becomes PROGRAM as a container runtime would run it from an image that holds nothing else: with the mounts of its pod,
# a root that nobody can write, and these variables alone. To be run in a mount namespace of its own. What is more than in
# the image are the libraries of a program that is not static.
set -eu
root=$1 program=$2
shift 2
mount -t tmpfs -o mode=0755 tmpfs "$root"
for name in usr lib lib64; do
    if [ -L "/$name" ]; then
        cp -P "/$name" "$root/$name"
    elif [ -d "/$name" ]; then
        mkdir "$root/$name"
        mount --rbind "/$name" "$root/$name"
    fi
done
for name in proc dev; do
    mkdir "$root/$name"
    mount --rbind "/$name" "$root/$name"
done
while [ "$1" != -- ]; do
    mkdir -p "$root$3"
    mount "$1" "$2" "$root$3"
    shift 3
done
shift
: >"$root/secrets-store-csi-driver"
mount --bind "$program" "$root/secrets-store-csi-driver"
mount -o remount,ro "$root"
exec chroot "$root" /usr/bin/env -i "$@"
