#!/bin/sh
# libc.sh ARCH: prints where the C library is that the static programs for ARCH are linked with: the musl that comes
# with Rust's standard library for that target. Zig brings one, too, and takes it where it gets no other, but with an
# allocator that is not musl's: it never gives memory back to the kernel, holds what is free apart for each processor,
# and does not notice what is freed twice.
#
# Where Rust's library is not rustup's, the distribution's musl is asked for.
set -eu

arch=$1
target=$arch-unknown-linux-musl
libc=$("${RUSTC:-rustc}" --print sysroot)/lib/rustlib/$target/lib/self-contained/libc.a
if [ ! -f "$libc" ] && [ -z "${RUSTC:-}" ] && command -v rustup >/dev/null 2>&1; then
    rustup target add "$target" >&2 || true
fi
[ -f "$libc" ] || libc=/usr/lib/$arch-linux-musl/libc.a
[ -f "$libc" ] || {
    printf '%s %s\n' "libc.sh: no musl for $arch: run 'rustup target add $target', or install the distribution's for" \
        "that architecture (on Debian as root: apt-get install musl-dev:ARCHITECTURE)" >&2
    exit 1
}
printf '%s\n' "$libc"
