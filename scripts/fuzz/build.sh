#!/bin/sh
# build.sh fuzz|coverage: builds the targets of fuzz/ into CARGO_TARGET_DIR/fuzz/MODE, and says where on standard output.
#
# It is the stable compiler, the one that builds what ships, with its unstable flags unlocked: libFuzzer needs nothing
# but the instrumentation, which is stable, and the address sanitizer, whose runtime comes with the compiler. cargo-fuzz
# would be two hundred crates more to do the same with a compiler of another day.
#
# The C++ core of gRPC is not compiled again: its archives are those of the driver's own build, which has to be there.
# The library's build script takes a core that is installed when it is asked to, and is told that they are one. Nothing
# of them is fuzzed, they are only linked.
set -eu

mode=$1
root=$(cd -- "$(dirname -- "$0")/../.." && pwd)
target_dir=${CARGO_TARGET_DIR:?is not set: run this through make}
triple=$(rustc -vV | sed -n 's/^host: //p')
out=$target_dir/fuzz/$mode

fail() {
    printf '%s\n' "build.sh: $*" >&2
    exit 1
}

# pairs LOCK-FILE: each package with its version.
pairs() {
    awk -F '"' '/^name = / { name = $2 } /^version = / { print name, $2 }' "$1" | sort
}

# What is fuzzed has to be what ships, in every library too.
mkdir -p "$out/core"
pairs "$root/Cargo.lock" >"$out/core/shipped"
other=$(pairs "$root/fuzz/Cargo.lock" | comm -23 - "$out/core/shipped" |
    grep -v -e '^arbitrary ' -e '^jobserver ' -e '^libfuzzer-sys ' -e '^secrets-store-csi-driver-fuzz ') || true
[ -z "$other" ] || fail "fuzz/Cargo.lock is not that of what ships: $(echo "$other" | tr '\n' ' '): run" \
    "cp Cargo.lock fuzz/ && cargo update --workspace --manifest-path fuzz/Cargo.toml"

# What the build script said at the end of the driver's last build.
newest_core() {
    for output in "$target_dir"/release/build/grpcio-sys-*/output; do
        [ ! -e "$output" ] || printf '%s\n' "$output"
    done | xargs -r ls -t | head -n 1
}

core=$(newest_core)
[ -n "$core" ] || fail "no archives of gRPC in $target_dir/release: build the driver first (make build)"
sources=$(sed -n 's|^cargo:rustc-env=BINDING_PATH=\(.*\)/bindings/.*|\1|p' "$core")
[ -d "$sources/grpc/include" ] || fail "no headers of gRPC in $sources: build the driver first (make build)"

# write FILE: from standard input, unless it says that already; so what is built from it stays.
write() {
    cat >"$1.new"
    cmp -s "$1.new" "$1" || cp -- "$1.new" "$1"
}

# An archive that is a list of archives, and the description of an installed library.
{
    find "$(dirname -- "$core")/out/build" -name 'lib*.a' | sort
    find "$target_dir"/release/build/libz-sys-*/out -name libz.a | head -n 1
} | sed '1s/^/GROUP(\n/; $s/$/\n)/' |
    write "$out/core/libgrpc_unsecure.a"
write "$out/core/grpc_unsecure.pc" <<PC
Name: grpc_unsecure
Description: the core of gRPC, as the driver's own build made it
Version: $(printf '%s\n' "$sources" | sed 's/.*+\([0-9.]*\).*/\1/')
Cflags: -I$sources/grpc/include
Libs: -L$out/core -lgrpc_unsecure
PC
export GRPCIO_SYS_USE_PKG_CONFIG=1 PKG_CONFIG_PATH="$out/core"

case $mode in
fuzz)
    flags='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4'
    flags="$flags -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
    flags="$flags -Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address"
    ;;
coverage) flags='-Cinstrument-coverage -Copt-level=1' ;;
*) fail "unknown mode: $mode" ;;
esac

# With a target of its own, so that build scripts are left as they are.
RUSTC_BOOTSTRAP=1 RUSTFLAGS="$flags --cfg fuzzing" CARGO_TARGET_DIR=$out CARGO_INCREMENTAL=0 \
    cargo build --release --locked --bins --target "$triple" \
    --manifest-path "$root/fuzz/Cargo.toml" >&2
printf '%s\n' "$out/$triple/release"
