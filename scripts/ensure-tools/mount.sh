# shellcheck shell=sh
# For ensure-tools.sh: the right to mount, which nobody can install.

need_mount() {
    if [ ! -e /proc/self/mountinfo ]; then
        fail 'the file system proc, which tells of mounts; run as root: mount -t proc proc /proc'
    fi
    need unshare=util-linux mount=mount
    # shellcheck disable=SC2016 # for the inner shell
    if said=$("${here:?}/../tests/sandbox.sh" sh -c 'mount -t tmpfs none /tmp && test -w /tmp' 2>&1); then
        return 0
    fi
    said=$(printf '%s\n' "$said" | tail -n 1)
    if [ "$(id -u)" = 0 ]; then
        no_mount_for_root
    fi
    no_mount_for_others
}

no_mount_for_root() {
    capabilities=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
    # Bit 21 is CAP_SYS_ADMIN.
    if [ $((0x$capabilities >> 21 & 1)) = 0 ]; then
        fail 'the right to mount: this is root without CAP_SYS_ADMIN, as in most containers; give it that' \
            '(docker run --privileged)'
    fi
    fail "the right to mount: this is root with CAP_SYS_ADMIN, and is told: $said; in a container, seccomp or AppArmor" \
        'may be what forbids it (docker run --privileged)'
}

no_mount_for_others() {
    for setting in kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000 \
        kernel.apparmor_restrict_unprivileged_userns=0; do
        name=${setting%%=*}
        value=$(cat "/proc/sys/$(printf '%s\n' "$name" | tr . /)" 2>/dev/null) || continue
        # The last one forbids when it is on, the others when they are off.
        case $name=$value in
        kernel.apparmor*=1 | kernel.unprivileged*=0 | user.max*=0)
            fail "user namespaces: $name is $value; run this as root, or allow them (as root: sysctl -w $setting)"
            ;;
        esac
    done
    if ! root_is_mount_point; then
        fail 'user namespaces, which a process in a chroot may not make; run this as root, or outside'
    fi
    fail "user namespaces: $said; a container may forbid them, and a chroot does; run this as root, or outside"
}

root_is_mount_point() {
    grep -q '^[^ ]* [^ ]* [^ ]* [^ ]* / ' /proc/self/mountinfo
}
