#!/bin/sh
# Runs a command in a mount namespace of its own, so that what it mounts is gone with it and nobody else sees it.
# Without root a user namespace makes the caller root within it. Cargo calls this as the runner of its programs.
set -eu
if [ "$(id -u)" != 0 ]; then
    exec unshare --user --map-root-user --mount --propagation private -- "$@"
fi
if grep -q '^[^ ]* [^ ]* [^ ]* [^ ]* / ' /proc/self/mountinfo; then
    exec unshare --mount --propagation private -- "$@"
fi
# The root is that of a chroot, and no mount point. So nobody in it can make private the mount that it is a part of, and
# where that is a shared one, whatever is mounted directly in the root appears outside too. But proc is a mount of its
# own, and what is mounted within it after it was made private stays here. So the root is bound there, made private in
# turn, and entered. The directory is one that every kernel has.
# shellcheck disable=SC2016 # for the inner shells
exec unshare --mount --propagation unchanged -- sh -euc '
    mount --make-private /proc
    mount --rbind / /proc/fs
    mount --make-rprivate /proc/fs
    exec chroot /proc/fs sh -euc '\''cd -- "$0" && exec "$@"'\'' "$PWD" "$@"
' sh "$@"
