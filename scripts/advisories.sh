#!/bin/sh
# advisories.sh CARGO-DENY [--if-reachable]: checks the lock file against the advisory database of RustSec, for
# advisories, for crates that nobody keeps any more, and for withdrawn releases. Without the database's newest state it
# does not judge: that is a failure, or with --if-reachable a line that says so.
set -eu

cargo_deny=$1
must_reach=yes
patience=300
if [ "${2:-}" = --if-reachable ]; then
    must_reach=no
    patience=30
fi

# Apart from the check, so that a network that is not there cannot be taken for an advisory. What the tool says of its
# attempts names hosts of this machine's network, which are nobody's business in a log of CI.
if ! timeout "$patience" "$cargo_deny" --locked fetch db >/dev/null 2>&1; then
    echo 'advisories: NOT CHECKED: could not fetch the advisory database' >&2
    if [ "$must_reach" = no ]; then
        exit 0
    fi
    echo 'run this where its repository can be reached' >&2
    exit 1
fi
"$cargo_deny" --locked --workspace check --deny warnings advisories
echo 'advisories: checked against the newest state of the database'
