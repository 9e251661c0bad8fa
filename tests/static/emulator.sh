#!/bin/sh
# emulator.sh ARCH PROGRAM [ARGUMENT...]: runs a program of another architecture, and the programs that it starts. The
# kernel is told which emulator runs them, in a user namespace of its own, so that the machine's own list stays as it is
# (Linux 6.7 or later).
set -eu
if [ "${1:-}" != inside ]; then
    exec unshare --user --map-root-user --mount -- "$0" inside "$@"
fi
architecture=$2
shift 2
case $architecture in
aarch64) machine='\xb7' ;;
x86_64) machine='\x3e' ;;
*) echo "no emulator is known for $architecture" >&2 && exit 2 ;;
esac
list=/proc/sys/fs/binfmt_misc
mount -t binfmt_misc binfmt_misc $list
# An executable of 64 bits in this byte order, position-independent or not, for that machine.
start='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00'$machine'\x00'
counts='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
emulator=$(command -v "qemu-$architecture-static")
printf '%s' ":$architecture:M::$start:$counts:$emulator:F" >$list/register
exec "$@"
