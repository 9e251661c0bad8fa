#!/bin/sh
# The tools of the static build, told apart by the name under which this is called:
#
#   ARCH-linux-musl-cc, ARCH-linux-musl-c++    Zig's clang, which is the linker, too
#   ARCH-linux-musl-ar, ARCH-linux-musl-ranlib
#   rustc                                      wraps the compiler that it gets as its first argument
#
# A program that is linked stripped gets a twin that is not, with our code at the same addresses, for debuggers.
#
# build.sh makes those names, and sets
#   STATIC_ZIG      the program zig
#   STATIC_TARGET   what rustc calls the target
#   STATIC_STUBS    a directory of empty libraries
#   STATIC_SYMBOLS  where twins go
#   STATIC_MAPS     lines FROM=TO: directories of this machine, and what they are called in the program
# All that names this machine is added here and not in flags that cargo sees: those become part of the symbols' names.
set -eu

# Arguments that only some machine's paths differ in would make two builds of one commit differ.
maps() {
    printf '%s\n' "$STATIC_MAPS" | sed "s|^|$1|"
}

# fits ARGUMENT: false for what the caller means for another compiler or linker than Zig's.
fits() {
    case $1 in
    # Given in Zig's own words below.
    --target=*) return 1 ;;
    # Taken for a processor's name.
    -march=armv8-a+crypto) return 1 ;;
    # Rust's standard library names its own start files and compiler library; Zig brings both.
    -nostartfiles | -nodefaultlibs) return 1 ;;
    esac
}

compile() {
    compiler=$1
    target=$2
    shift 2
    for argument in "$@"; do
        shift
        if fits "$argument"; then
            set -- "$@" "$argument"
        fi
    done
    # abseil calls the functions of 64 bit offsets by their own names, which musl shows on demand.
    set -- "$@" -D_LARGEFILE64_SOURCE
    # Hardening, and what lets the linker leave out what nobody calls.
    set -- "$@" -fstack-protector-strong -ftrivial-auto-var-init=zero -ffunction-sections -fdata-sections
    # Nothing of this is ever unwound: it throws no exceptions, and a panic in Rust ends the process.
    set -- "$@" -fno-unwind-tables -fno-asynchronous-unwind-tables
    # Without it Zig adds debug information, which nobody reads for code that nobody here wrote.
    set -- "$@" -g0
    case $target in
    aarch64-*) set -- "$@" -mcpu=generic+crypto ;;
    esac
    if [ "$compiler" = c++ ]; then
        # An error to this clang, and usual in gRPC's sources.
        set -- "$@" -Wno-missing-template-arg-list-after-template-kw -fno-exceptions
    fi
    # shellcheck disable=SC2046 # one argument a line, and build.sh refuses directories with spaces
    set -- "$STATIC_ZIG" "$compiler" -target "$target" "$@" $(maps -ffile-prefix-map=)
    case " $* " in
    *" -Wl,--strip-all "*) link_twin "$@" ;;
    esac
    exec "$@"
}

# link_twin COMMAND...: runs a command that links a stripped program so that it links one with all its symbols, to
# STATIC_SYMBOLS. Taking a program apart afterwards would make its bytes depend on one more tool.
link_twin() {
    is_output=
    for argument in "$@"; do
        shift
        if [ -n "$is_output" ]; then
            argument=${argument##*/}
            argument=$STATIC_SYMBOLS/${argument%-*}
        fi
        is_output=
        case $argument in
        -Wl,--strip-all) continue ;;
        -o) is_output=yes ;;
        esac
        set -- "$@" "$argument"
    done
    mkdir -p "$STATIC_SYMBOLS"
    "$@"
}

name=${0##*/}
case $name in
rustc)
    # Not for what runs on this machine while it builds: that is linked against the libraries that are here.
    case " $* " in
    *" --target $STATIC_TARGET "*) set -- "$@" -L "native=$STATIC_STUBS" ;;
    esac
    # shellcheck disable=SC2046 # as above
    exec "$@" $(maps --remap-path-prefix=)
    ;;
*-cc) compile cc "${name%-cc}" "$@" ;;
*-c++) compile c++ "${name%-c++}" "$@" ;;
*-ar) exec "$STATIC_ZIG" ar "$@" ;;
*-ranlib) exec "$STATIC_ZIG" ranlib "$@" ;;
*)
    echo "tool.sh: called by the unknown name $name" >&2
    exit 64
    ;;
esac
