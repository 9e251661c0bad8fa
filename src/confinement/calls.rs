//! The system calls that our processes make. What is not here ends them: above all programs, namespaces, mounts (but for
//! the mounter), other processes' memory, the kernel's keys, tracing, `bpf` and `io_uring`.
//!
//! A call that is missing shows with `--seccomp=log` in the kernel's log (`type=1326 … syscall=<number>`).

use libc::c_long;

use super::Role;

/// A system call, and for which arguments.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Its number on this architecture.
    pub number: i64,
    /// For which: those that meet all of these. Several entries of one number are alternatives.
    pub only: &'static [Condition],
}

/// A condition on one argument's lower 32 bits. Arguments are counted from 0.
#[derive(Debug, Clone, Copy)]
pub enum Condition {
    /// It is this.
    Equal {
        /// Which argument.
        argument: u8,
        /// The value.
        value: u64,
    },
    /// None of these bits is set.
    None {
        /// Which argument.
        argument: u8,
        /// The bits.
        of: u64,
    },
    /// All of these bits are set.
    All {
        /// Which argument.
        argument: u8,
        /// The bits.
        of: u64,
    },
    /// It is the number of this process.
    ThisProcess {
        /// Which argument.
        argument: u8,
    },
}

/// What a role may call.
pub fn permitted(role: Role) -> impl Iterator<Item = &'static Call> {
    let own = match role {
        Role::Driver => [CONNECTED, WRITING, OLD_READING, OLD_CONNECTED, OLD_WRITING],
        // musl reads the list of mounts by the older names.
        Role::Mounter => [MOUNTING, OLD_READING, &[], &[], &[]],
        Role::Operator => [CONNECTED, OLD_READING, OLD_CONNECTED, &[], &[]],
    };
    COMMON.iter().chain(own.into_iter().flatten())
}

/// Answered as by a kernel that does not know them, where they are permitted at all. The arguments of `clone3` are in
/// memory, where no filter can look at them, and every library falls back to `clone`. `tkill` names no process that
/// could be compared; musl's `abort` tries it and then crashes, which is as good an end.
pub const UNKNOWN: &[Call] = &[any(libc::SYS_clone3), any(libc::SYS_tkill)];

/// Refused with EACCES, as by a file system without execution: code is what the program was loaded with.
pub const EXECUTABLE_MEMORY: &[Call] = &[
    only(libc::SYS_mmap, &[Condition::All { argument: 2, of: PROT_EXEC }]),
    only(libc::SYS_mprotect, &[Condition::All { argument: 2, of: PROT_EXEC }]),
];

/// Every process: memory, locks, time, signals, the end of a process, and descriptors that are open or opened by name.
const COMMON: &[Call] = &[
    any(libc::SYS_brk),
    any(libc::SYS_mmap),
    any(libc::SYS_mprotect),
    any(libc::SYS_mremap),
    any(libc::SYS_munmap),
    any(libc::SYS_madvise),
    any(libc::SYS_futex),
    any(libc::SYS_getrandom),
    any(libc::SYS_clock_gettime),
    any(libc::SYS_clock_getres),
    any(libc::SYS_clock_nanosleep),
    any(libc::SYS_nanosleep),
    any(libc::SYS_gettimeofday),
    any(libc::SYS_rt_sigaction),
    any(libc::SYS_rt_sigprocmask),
    any(libc::SYS_rt_sigreturn),
    any(libc::SYS_sigaltstack),
    any(libc::SYS_restart_syscall),
    any(libc::SYS_exit),
    any(libc::SYS_exit_group),
    any(libc::SYS_getpid),
    any(libc::SYS_gettid),
    // A panic ends in `abort`, which is a signal to this very process.
    any(libc::SYS_tkill),
    only(libc::SYS_tgkill, &[Condition::ThisProcess { argument: 0 }]),
    only(libc::SYS_kill, &[Condition::ThisProcess { argument: 0 }]),
    any(libc::SYS_sched_yield),
    any(libc::SYS_read),
    any(libc::SYS_readv),
    any(libc::SYS_write),
    any(libc::SYS_writev),
    any(libc::SYS_close),
    any(libc::SYS_fcntl),
    any(libc::SYS_lseek),
    any(libc::SYS_fstat),
    any(libc::SYS_newfstatat),
    any(libc::SYS_statx),
    any(libc::SYS_fstatfs),
    any(libc::SYS_openat),
    any(libc::SYS_openat2),
    any(libc::SYS_readlinkat),
    any(libc::SYS_sendmsg),
    any(libc::SYS_recvmsg),
    any(libc::SYS_sendto),
    any(libc::SYS_recvfrom),
];

/// Mounts.
const MOUNTING: &[Call] = &[
    any(libc::SYS_fsopen),
    any(libc::SYS_fsconfig),
    any(libc::SYS_fsmount),
    any(libc::SYS_move_mount),
    any(libc::SYS_umount2),
    // Before 5.2, and in sandboxes without `fsopen`.
    any(libc::SYS_mount),
];

/// Threads and sockets, and what it takes to wait for them.
const CONNECTED: &[Call] = &[
    // Threads, neither processes nor namespaces.
    only(
        libc::SYS_clone,
        &[Condition::All { argument: 0, of: THREAD }, Condition::None { argument: 0, of: NAMESPACES }],
    ),
    any(libc::SYS_clone3),
    any(libc::SYS_set_robust_list),
    any(libc::SYS_rseq),
    any(libc::SYS_sched_getaffinity),
    any(libc::SYS_sched_getparam),
    any(libc::SYS_sched_getscheduler),
    any(libc::SYS_getcpu),
    any(libc::SYS_membarrier),
    any(libc::SYS_mincore),
    // Names of threads, and of what glibc's malloc maps.
    only(libc::SYS_prctl, &[Condition::Equal { argument: 0, value: PR_SET_NAME }]),
    only(libc::SYS_prctl, &[Condition::Equal { argument: 0, value: PR_GET_NAME }]),
    only(libc::SYS_prctl, &[Condition::Equal { argument: 0, value: PR_SET_VMA }]),
    // Of this process alone.
    only(libc::SYS_prlimit64, &[Condition::Equal { argument: 0, value: 0 }]),
    any(libc::SYS_getrusage),
    any(libc::SYS_sysinfo),
    any(libc::SYS_uname),
    any(libc::SYS_getppid),
    any(libc::SYS_getuid),
    any(libc::SYS_geteuid),
    any(libc::SYS_getgid),
    any(libc::SYS_getegid),
    // Sockets of this machine and of the internet.
    only(libc::SYS_socket, &[Condition::Equal { argument: 0, value: family(libc::AF_UNIX) }]),
    only(libc::SYS_socket, &[Condition::Equal { argument: 0, value: family(libc::AF_INET) }]),
    only(libc::SYS_socket, &[Condition::Equal { argument: 0, value: family(libc::AF_INET6) }]),
    // How glibc learns the machine's addresses. What else speaks netlink, as audit and firewall do, is not for it.
    only(
        libc::SYS_socket,
        &[
            Condition::Equal { argument: 0, value: family(libc::AF_NETLINK) },
            Condition::Equal { argument: 2, value: family(libc::NETLINK_ROUTE) },
        ],
    ),
    only(libc::SYS_socketpair, &[Condition::Equal { argument: 0, value: family(libc::AF_UNIX) }]),
    any(libc::SYS_bind),
    any(libc::SYS_listen),
    any(libc::SYS_accept),
    any(libc::SYS_accept4),
    any(libc::SYS_connect),
    any(libc::SYS_shutdown),
    any(libc::SYS_getsockname),
    any(libc::SYS_getpeername),
    any(libc::SYS_getsockopt),
    any(libc::SYS_setsockopt),
    any(libc::SYS_sendmmsg),
    any(libc::SYS_recvmmsg),
    any(libc::SYS_epoll_create1),
    any(libc::SYS_epoll_ctl),
    any(libc::SYS_epoll_pwait),
    any(libc::SYS_epoll_pwait2),
    any(libc::SYS_eventfd2),
    any(libc::SYS_pipe2),
    any(libc::SYS_ppoll),
    any(libc::SYS_pselect6),
    // Blocking or not, how much there is to read, and whether it is a terminal.
    only(libc::SYS_ioctl, &[Condition::Equal { argument: 1, value: FIONBIO }]),
    only(libc::SYS_ioctl, &[Condition::Equal { argument: 1, value: FIONREAD }]),
    only(libc::SYS_ioctl, &[Condition::Equal { argument: 1, value: FIOCLEX }]),
    only(libc::SYS_ioctl, &[Condition::Equal { argument: 1, value: TCGETS }]),
    only(libc::SYS_ioctl, &[Condition::Equal { argument: 1, value: TIOCGWINSZ }]),
    any(libc::SYS_dup),
    any(libc::SYS_dup3),
    any(libc::SYS_getdents64),
];

/// The tree of a volume, and the end of the mounter.
const WRITING: &[Call] = &[
    any(libc::SYS_wait4),
    any(libc::SYS_waitid),
    any(libc::SYS_pread64),
    any(libc::SYS_pwrite64),
    any(libc::SYS_preadv),
    any(libc::SYS_pwritev),
    any(libc::SYS_ftruncate),
    any(libc::SYS_getcwd),
    any(libc::SYS_statfs),
    any(libc::SYS_faccessat),
    any(libc::SYS_faccessat2),
    any(libc::SYS_mkdirat),
    any(libc::SYS_unlinkat),
    any(libc::SYS_renameat),
    any(libc::SYS_renameat2),
    any(libc::SYS_symlinkat),
    any(libc::SYS_fchmod),
    any(libc::SYS_fchmodat),
    any(libc::SYS_fchown),
    any(libc::SYS_umask),
];

/// The same by their older names, which musl prefers where the architecture has them.
#[cfg(target_arch = "x86_64")]
const OLD_CONNECTED: &[Call] = &[
    any(libc::SYS_poll),
    any(libc::SYS_select),
    any(libc::SYS_pipe),
    any(libc::SYS_dup2),
    any(libc::SYS_epoll_create),
    any(libc::SYS_epoll_wait),
    any(libc::SYS_eventfd),
    any(libc::SYS_getdents),
    any(libc::SYS_getrlimit),
    any(libc::SYS_time),
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_CONNECTED: &[Call] = &[];

/// Those of them that change files.
#[cfg(target_arch = "x86_64")]
const OLD_WRITING: &[Call] = &[
    any(libc::SYS_access),
    any(libc::SYS_mkdir),
    any(libc::SYS_rmdir),
    any(libc::SYS_unlink),
    any(libc::SYS_rename),
    any(libc::SYS_chmod),
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_WRITING: &[Call] = &[];

/// Those of them that look at a file.
#[cfg(target_arch = "x86_64")]
const OLD_READING: &[Call] =
    &[any(libc::SYS_open), any(libc::SYS_stat), any(libc::SYS_lstat), any(libc::SYS_readlink)];
#[cfg(not(target_arch = "x86_64"))]
const OLD_READING: &[Call] = &[];

const fn any(number: c_long) -> Call {
    Call { number, only: &[] }
}

const fn only(number: c_long, only: &'static [Condition]) -> Call {
    Call { number, only }
}

const fn family(family: libc::c_int) -> u64 {
    family.unsigned_abs() as u64
}

const PROT_EXEC: u64 = libc::PROT_EXEC.unsigned_abs() as u64;
const PR_SET_NAME: u64 = libc::PR_SET_NAME.unsigned_abs() as u64;
const PR_GET_NAME: u64 = libc::PR_GET_NAME.unsigned_abs() as u64;
const PR_SET_VMA: u64 = 0x5356_4d41;
const FIONBIO: u64 = 0x5421;
const FIONREAD: u64 = 0x541b;
const FIOCLEX: u64 = 0x5451;
const TCGETS: u64 = 0x5401;
const TIOCGWINSZ: u64 = 0x5413;
const THREAD: u64 = (libc::CLONE_THREAD | libc::CLONE_VM).unsigned_abs() as u64;
const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET)
    .unsigned_abs() as u64;
