#!/bin/sh
# advisories.sh CARGO-DENY: checks the lock file against the advisory database of RustSec, for advisories, for crates
# that nobody keeps any more, and for withdrawn releases. Without the database's newest state it does not judge.
set -eu

cargo_deny=$1
log=$(mktemp)
trap 'rm -f -- "$log"' EXIT

# Apart from the check, so that a network that is not there cannot be taken for an advisory.
if ! timeout 300 "$cargo_deny" --locked fetch db >"$log" 2>&1; then
    tail -n 3 -- "$log" >&2
    echo 'could not fetch the advisory database, so nothing was checked: run this where its repository can be reached' >&2
    exit 1
fi
"$cargo_deny" --locked check --deny warnings advisories
