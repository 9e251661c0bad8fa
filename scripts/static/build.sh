#!/bin/sh
# build.sh ARCH CACHE [CARGO-ARGUMENT...]: builds the static programs for x86_64 or aarch64 into
# CARGO_TARGET_DIR/static/ARCH: the driver, the operator and the reference provider, stripped, and the symbols of each
# beside it (PROGRAM.debug, the same program with them). CACHE is a directory for the C++ compiler. The C library is
# Rust's own: see libc.sh.
#
# Rust's standard library for musl is rustup's. Where rustup is not there, or may not have it, the library is built from
# the sources that the distribution has for its own compiler (Debian's rustc-web, cargo-web and rust-web-src), and
# linked with the distribution's musl (musl-dev of either architecture).
set -eu

arch=$1
cache=$2
shift 2
here=$(cd -- "$(dirname -- "$0")" && pwd)
root=$(cd -- "$here/../.." && pwd)
rust_target=$arch-unknown-linux-musl
programs='secrets-store-csi-driver secrets-store-csi-operator e2e-provider'

fail() {
    printf '%s\n' "build.sh: $*" >&2
    exit 1
}

case $arch in
x86_64 | aarch64) ;;
*) fail "no static build for $arch: only for x86_64 and aarch64" ;;
esac

# stamp FILE...: a name for what these files say, remarks apart. It is in the paths that cargo compares: with other tools
# the C++ core is built again, and with the same ones it is not, wherever the checkout is.
stamp() {
    grep -hv '^ *#' -- "$@" | sha256sum | cut -c 1-12
}

zig=$cache/zig-$(stamp "$here/zig-requirements.txt")
tools=$cache/static-$(stamp "$here/zig-requirements.txt" "$here/tool.sh")

install_zig() {
    [ ! -e "$zig/complete" ] || return 0
    echo "installing the C++ compiler of the static build" >&2
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --no-compile \
        --require-hashes --only-binary :all: --upgrade --target "$zig" --requirement "$here/zig-requirements.txt"
    touch "$zig/complete"
}

install_tools() {
    mkdir -p "$tools/stubs"
    cmp -s "$here/tool.sh" "$tools/tool.sh" || cp -- "$here/tool.sh" "$tools/tool.sh"
    for machine in x86_64 aarch64; do
        for tool in cc c++ ar ranlib; do
            ln -sf tool.sh "$tools/$machine-linux-musl-$tool"
        done
    done
    ln -sf tool.sh "$tools/rustc"
    # The standard library asks for these two by name; what they would hold is linked anyway. This is what an archive
    # without members looks like.
    printf '!<arch>\n' >"$tools/stubs/libunwind.a"
    printf '!<arch>\n' >"$tools/stubs/libc.a"
}

rustup_has_target() {
    command -v rustup >/dev/null 2>&1 || return 1
    rustup target list --installed 2>/dev/null | grep -qx "$rust_target" && return 0
    rustup target add "$rust_target" >&2
}

distribution=/usr/bin/cargo
has_distribution() {
    [ -x "$distribution" ] && [ -x /usr/bin/rustc ] || return 1
    [ -f "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/std/Cargo.toml" ]
}

install_zig
install_tools
if rustup_has_target; then
    cargo=cargo
elif has_distribution; then
    echo "no $rust_target from rustup: building the standard library from the distribution's sources" >&2
    cargo=$distribution
    export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
    set -- "$@" -Zbuild-std=std,panic_abort
else
    fail "no standard library for $rust_target: run 'rustup target add $rust_target', or install the distribution's" \
        "compiler with its sources (on Debian as root: apt-get install rustc-web cargo-web rust-web-src musl-dev)"
fi

cd -- "$root"
target_dir=${CARGO_TARGET_DIR:-$root/target}
cargo_home=${CARGO_HOME:-$HOME/.cargo}
"$cargo" fetch --quiet --locked --target "$rust_target"
STATIC_ZIG=$zig/ziglang/zig
STATIC_TARGET=$rust_target
STATIC_STUBS=$tools/stubs
STATIC_SYMBOLS=$target_dir/$rust_target/symbols
STATIC_LIBC=$("$here/libc.sh" "$arch")
STATIC_RUSTC=$tools/rustc
# The last that fits counts, so the more special ones come after the more general.
STATIC_MAPS="$root=/src
$target_dir=/target
$cargo_home=/cargo
$STATIC_ZIG=/zig
$zig/ziglang/lib=/zig/lib"
for registry in "$cargo_home"/registry/src/*/; do
    STATIC_MAPS="$STATIC_MAPS
${registry%/}=/crates"
done
case $STATIC_MAPS in
*[[:blank:]]*) fail "a directory's name has a space in it, which the compilers' wrappers cannot take: $STATIC_MAPS" ;;
esac
export STATIC_ZIG STATIC_TARGET STATIC_STUBS STATIC_SYMBOLS STATIC_LIBC STATIC_MAPS STATIC_RUSTC

# Zig keeps what it compiles of musl and libc++ there.
export ZIG_GLOBAL_CACHE_DIR="$zig/cache" ZIG_LOCAL_CACHE_DIR="$zig/cache"
export RUSTC_WRAPPER="$here/rustc.sh"
prefix=$tools/$arch-linux-musl
# grpcio-sys hands plain CXX to cmake.
export CXX="$prefix-c++"
upper=$(printf '%s' "$rust_target" | tr 'a-z-' 'A-Z_')
lower=$(printf '%s' "$rust_target" | tr - _)
# No flag here may name a directory of this machine: see tool.sh.
flags='-C target-feature=+crt-static -C link-self-contained=no -C relocation-model=pie -C link-arg=-pie'
flags="$flags -C force-unwind-tables=no -C link-arg=-Wl,-z,relro,-z,now,-z,noexecstack -C link-arg=-Wl,--gc-sections"
# Cargo does not know what else is linked: programs of another C library have to be linked again.
libc_is=$(sha256sum <"$STATIC_LIBC")
linked=$target_dir/$rust_target/libc
if [ "$(cat "$linked" 2>/dev/null)" != "$libc_is" ]; then
    "$cargo" clean --quiet --locked --profile static --target "$rust_target" \
        --package secrets-store-csi-driver --package secrets-store-operator --package secrets-store-reference-provider
    mkdir -p "${linked%/*}"
    printf '%s\n' "$libc_is" >"$linked"
fi
env \
    "CC_$lower=$prefix-cc" "CXX_$lower=$prefix-c++" "AR_$lower=$prefix-ar" "RANLIB_$lower=$prefix-ranlib" \
    "CARGO_TARGET_${upper}_LINKER=$prefix-cc" "CARGO_TARGET_${upper}_RUSTFLAGS=$flags" \
    "$cargo" build --locked --profile static --target "$rust_target" --bins "$@"

out=$target_dir/static/$arch
mkdir -p "$out"
for program in $programs; do
    # Cargo and rustc name the twin as they name a crate.
    install -m 0555 "$target_dir/$rust_target/static/$program" "$out/$program"
    install -m 0444 "$STATIC_SYMBOLS/$(printf '%s' "$program" | tr - _)" "$out/$program.debug"
done
ls -l "$out"
