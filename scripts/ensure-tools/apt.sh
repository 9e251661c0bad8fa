# shellcheck shell=sh
# For ensure-tools.sh: Debian's packages.

can_install() {
    [ "$(id -u)" = 0 ] && has apt-get
}

# refresh: asks once for what there is. That it fails is no end: what is missing then is said by who needs it.
refresh() {
    [ -z "${refreshed:-}" ] || return 0
    refreshed=yes
    log=$(mktemp)
    tries=60
    # A machine that has just started looks for updates of its own, and holds the lock meanwhile.
    until apt-get update -q >"$log" 2>&1 </dev/null; do
        tries=$((tries - 1))
        if [ "$tries" = 0 ] || ! grep -q 'Could not get lock' "$log"; then
            tail -n 5 -- "$log" >&2
            break
        fi
        sleep 5
    done
    rm -f -- "$log"
}

# offered PACKAGE: the version that would be installed, without what Debian adds to it; nothing when there is none.
offered() {
    apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: *\([0-9]*:\)\{0,1\}\([0-9][^-+~]*\).*/\2/p'
}

# install PACKAGE...: quietly, and never asking; false when it did not work.
install() {
    refresh
    say "installing $*"
    log=$(mktemp)
    if DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" \
        >"$log" 2>&1 </dev/null; then
        rm -f -- "$log"
        return 0
    fi
    tail -n 5 -- "$log" >&2
    rm -f -- "$log"
    return 1
}

# owner FILE: the package that it belongs to; false when it is none's. Packages know /usr/bin, and PATH may say /bin.
owner() {
    has dpkg-query && dpkg-query -S "$(readlink -f -- "$1")" 2>/dev/null | cut -d : -f 1 | grep .
}
