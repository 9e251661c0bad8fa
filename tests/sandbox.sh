#!/bin/sh
# Runs a command in a mount namespace of its own, so that what it mounts is gone with it and nobody else sees it.
# Without root a user namespace makes the caller root within it. Cargo calls this as the runner of its programs.
set -eu
if [ "$(id -u)" = 0 ]; then
    exec unshare --mount --propagation private -- "$@"
fi
exec unshare --user --map-root-user --mount --propagation private -- "$@"
