#!/bin/sh
# ensure-tools.sh NEED...: makes sure that a command of the Makefile finds the tools that it needs.
#
#   build       Rust, a C++ compiler and cmake, for the C++ core of gRPC
#   mount       the right to mount, in a namespace of its own
#   kill        setpriv, so that what a test has started ends with it
#   go          Go, for the conformance suite, the check of the bundle, and the control plane and the tools of the
#               end-to-end tests
#   interpreter Python alone, for scripts that need no package
#   python      Python with pip and venv, for the compiler of the static build and for the bill of materials
#   emulator    QEMU, to run the static programs of the other architecture
#   containers  containerd, runc and buildah, for what is done with the image
#   node        root, and what a node of Kubernetes needs: plugins for its network, busybox for its pods, and
#               libseccomp, to build runc
#   strace      strace, to kill the driver at its system calls
#   documents   bash and curl, which the commands of the documents use
#   faults      prlimit, and the library that gives a process a clock of its own
#   fuzz        pkg-config, by which the fuzz targets find the core that was built
#   coverage    Python, and the tools of LLVM in the version of the compiler's own
#   lint        rustfmt and clippy; shellcheck where it can be had
#
# Says nothing when all is there. Otherwise it installs what it can, which is Debian packages when run as root, and
# says in one line what is still missing and what to do.
set -eu

# What other programs say is read here, so they say it in English; and versions sort the same everywhere.
export LC_ALL=C
here=$(dirname -- "$0")
# shellcheck source=scripts/ensure-tools/apt.sh
. "$here/ensure-tools/apt.sh"
# shellcheck source=scripts/ensure-tools/rust.sh
. "$here/ensure-tools/rust.sh"
# shellcheck source=scripts/ensure-tools/mount.sh
. "$here/ensure-tools/mount.sh"

say() {
    printf '%s\n' "$*" >&2
}

fail() {
    say "missing: $*"
    exit 1
}

has() {
    command -v "$1" >/dev/null 2>&1
}

lowest() {
    printf '%s\n' "$@" | sort -V | head -n 1
}

# older_than VERSION MINIMUM: true when the first is lower; a missing version is the lowest.
older_than() {
    [ "$1" != "$2" ] && [ "$(lowest "$1" "$2")" = "$1" ]
}

# need COMMAND=PACKAGE...: installs the packages of those commands that are not there.
need() {
    commands='' packages=''
    for pair in "$@"; do
        if ! has "${pair%%=*}"; then
            commands="$commands ${pair%%=*}" packages="$packages ${pair#*=}"
        fi
    done
    [ -n "$packages" ] || return 0
    # shellcheck disable=SC2086 # a list of names
    if can_install && install $packages; then
        return 0
    fi
    fail "${commands# }; install what your system calls$packages (on Debian as root: apt-get install$packages)"
}

need_go() {
    modules="$here/../tests/sanity $here/../tests/bundle $here/../tests/e2e/cluster $here/../tests/e2e/tools
        $here/../tests/node/containerd $here/../tests/node/runc"
    # shellcheck disable=SC2086 # a list of directories
    minimum=$(for module in $modules; do sed -n 's/^go \(.*\)$/\1/p' "$module/go.mod"; done | sort -V | tail -n 1)
    how='install it from its own site'
    if ! has go && can_install; then
        # Since 1.21 Go fetches the version that a module asks for.
        refresh
        if ! older_than "$(offered golang-go)" 1.21; then
            install golang-go || true
        fi
    fi
    has go || fail "Go $minimum or newer; $how"
    found=$(cd "$here/../tests/e2e/tools" && go env GOVERSION 2>/dev/null) || found=
    found=${found#go}
    if older_than "${found:-0}" "$minimum"; then
        fail "Go $minimum or newer, this is $(go version | cut -d ' ' -f 3); $how"
    fi
}

need_node() {
    # Kubelet takes what is root of a user namespace alone for nobody.
    if [ "$(id -u)" != 0 ] || ! grep -q '^ *0 *0 *4294967295$' /proc/self/uid_map; then
        fail 'the rights of root; run this as root of the machine, or of a privileged container'
    fi
    need busybox=busybox-static ip=iproute2 nsenter=util-linux setpriv=util-linux
    # A part of runc is C.
    need cc=gcc pkg-config=pkg-config
    if ! pkg-config --exists libseccomp && ! { can_install && install libseccomp-dev; }; then
        fail 'the headers of libseccomp (on Debian as root: apt-get install libseccomp-dev)'
    fi
    if [ ! -x /usr/lib/cni/bridge ] && ! { can_install && install containernetworking-plugins; }; then
        fail 'the network plugins in /usr/lib/cni (on Debian as root: apt-get install containernetworking-plugins)'
    fi
}

need_emulator() {
    case $(uname -m) in
    x86_64) need qemu-aarch64-static=qemu-user-static ;;
    *) need qemu-x86_64-static=qemu-user-static ;;
    esac
}

need_interpreter() {
    minimum=3.11
    need python3=python3
    found=$(python3 -c 'import platform; print(platform.python_version())')
    if older_than "$found" "$minimum"; then
        fail "Python $minimum or newer, this is $found"
    fi
}

need_python() {
    need_interpreter
    python3 -c 'import ensurepip, pip, venv' >/dev/null 2>&1 || {
        can_install && install python3-pip python3-venv
    } || fail 'pip and venv of Python (on Debian as root: apt-get install python3-pip python3-venv)'
}

need_faults() {
    need prlimit=util-linux
    # The command comes with the library, in a package of its own that this does not need.
    for library in /usr/lib/*/faketime/libfaketimeMT.so.1 /usr/lib*/faketime/libfaketimeMT.so.1; do
        [ ! -e "$library" ] || return 0
    done
    if can_install && install libfaketime; then
        return 0
    fi
    fail 'libfaketime (on Debian as root: apt-get install libfaketime)'
}

need_coverage() {
    need python3=python3
    version=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
    for tool in "$(rustc --print sysroot)"/lib/rustlib/*/bin/llvm-profdata; do
        [ ! -x "$tool" ] || return 0
    done
    need "llvm-profdata-$version=llvm-$version" "llvm-cov-$version=llvm-$version"
}

need_lint() {
    need_rust_lint
    if ! has shellcheck && can_install; then
        install shellcheck || true
    fi
}

# What nobody can install comes first, so that nothing is installed in vain.
case " $* " in
*' mount '*) need_mount ;;
esac
for what in "$@"; do
    case $what in
    build)
        need_rust
        need c++=g++ cmake=cmake make=make
        ;;
    mount) ;;
    kill) need setpriv=util-linux ;;
    go) need_go ;;
    documents) need bash=bash curl=curl ;;
    emulator) need_emulator ;;
    node) need_node ;;
    containers) need containerd=containerd runc=runc buildah=buildah ;;
    faults) need_faults ;;
    interpreter) need_interpreter ;;
    python) need_python ;;
    strace) need strace=strace ;;
    fuzz) need pkg-config=pkg-config ;;
    coverage) need_coverage ;;
    lint) need_lint ;;
    *)
        say "ensure-tools.sh: unknown need: $what"
        exit 64
        ;;
    esac
done
