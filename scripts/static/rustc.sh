#!/bin/sh
# rustc.sh RUSTC ARGUMENT...: the compiler as cargo calls it for the static build. A program is linked with the C
# library STATIC_LIBC, and the rest is what STATIC_RUSTC makes of it: see tool.sh. A flag that cargo sees would become
# part of the symbols' names, and have the C++ core built again.
set -eu

case " $* " in
*" --crate-type bin "*)
    # Not for build scripts, which run on this machine.
    case " $* " in
    *" --target $STATIC_TARGET "*) set -- "$@" -C "link-arg=$STATIC_LIBC" ;;
    esac
    ;;
esac
exec "$STATIC_RUSTC" "$@"
