//! What is given up is gone: tried in processes of their own, since nothing of it comes back; and what the kernel is
//! told about each call, read back from its programs.

use std::net::ToSocketAddrs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::mount::mount_bind;
use rustix::net::{AddressFamily, SocketType};

use super::*;
use sys::proc;

/// Tells the second run of this program that it is the one to be confined.
const INSIDE: &str = "CONFINEMENT_TEST";

/// Runs the test of this name again in a process of its own, which gives up what `role` does and then does `deed`.
/// The outer run gets how that process ended.
fn outcome(name: &str, role: Role, seccomp: Seccomp, deed: impl FnOnce()) -> ExitStatus {
    if std::env::var_os(INSIDE).is_some() {
        confine(role, seccomp).unwrap();
        deed();
        std::process::exit(0);
    }
    Command::new(std::env::current_exe().unwrap())
        .args([&format!("tests::{name}"), "--exact", "--test-threads=1"])
        .env(INSIDE, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap()
}

#[track_caller]
fn assert_ended_by_filter(name: &str, role: Role, deed: impl FnOnce()) {
    let status = outcome(name, role, Seccomp::Enforce, deed);
    assert!(was_ended_by_filter(&status), "{status}");
}

#[test]
fn a_program_that_the_driver_tries_to_run_ends_it() {
    // In its own place, since to start a process for it is forbidden as well, and one that is not there, since one that
    // is would be ended by its own calls: either would hide that the driver may run programs.
    let deed = || panic!("it was looked for: {}", Command::new("/nowhere/at/all").exec());
    assert_ended_by_filter("a_program_that_the_driver_tries_to_run_ends_it", Role::Driver, deed);
}

#[test]
fn a_process_that_the_driver_tries_to_start_ends_it() {
    let deed = || drop(Command::new("/bin/true").status());
    assert_ended_by_filter("a_process_that_the_driver_tries_to_start_ends_it", Role::Driver, deed);
}

#[test]
fn both_have_a_core_size_of_nothing_and_are_not_dumpable_each_apart() {
    let name = "both_have_a_core_size_of_nothing_and_are_not_dumpable_each_apart";
    let deed = || {
        // Without the list, which permits neither question.
        let nothing = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
        assert_eq!(rustix::process::getrlimit(rustix::process::Resource::Core), nothing);
        let dumpable = rustix::process::dumpable_behavior();
        assert_eq!(dumpable, Ok(rustix::process::DumpableBehavior::NotDumpable));
    };
    for role in [Role::Driver, Role::Mounter, Role::Operator] {
        assert!(outcome(name, role, Seccomp::Off, deed).success(), "{role:?}");
    }
}

#[test]
fn a_mount_that_the_driver_tries_to_make_ends_it() {
    let deed = || assert_eq!(mount_bind("/proc", "/tmp"), Ok(()));
    assert_ended_by_filter("a_mount_that_the_driver_tries_to_make_ends_it", Role::Driver, deed);
}

#[test]
fn a_socket_for_the_kernels_audit_that_the_driver_tries_to_make_ends_it() {
    let audit = rustix::net::netlink::AUDIT;
    let deed = || drop(rustix::net::socket(AddressFamily::NETLINK, SocketType::RAW, Some(audit)));
    let name = "a_socket_for_the_kernels_audit_that_the_driver_tries_to_make_ends_it";
    assert_ended_by_filter(name, Role::Driver, deed);
}

#[test]
fn names_and_addresses_are_found_with_what_is_permitted() {
    let name = "names_and_addresses_are_found_with_what_is_permitted";
    let deed = || {
        // glibc asks the kernel for the machine's addresses to sort what it finds.
        let found = ("localhost", 80).to_socket_addrs().unwrap();
        assert!(found.into_iter().all(|address| address.ip().is_loopback()));
        // The first protocol of netlink, which is that of routes.
        rustix::net::socket(AddressFamily::NETLINK, SocketType::RAW, None).unwrap();
    };
    assert!(outcome(name, Role::Driver, Seccomp::Enforce, deed).success());
}

#[test]
fn a_socket_that_the_mounter_tries_to_make_ends_it() {
    let deed = || drop(std::net::TcpListener::bind("127.0.0.1:0"));
    assert_ended_by_filter("a_socket_that_the_mounter_tries_to_make_ends_it", Role::Mounter, deed);
}

#[test]
fn the_list_holds_on_threads_that_are_started_later() {
    let deed = || drop(std::thread::spawn(|| mount_bind("/proc", "/tmp")).join());
    assert_ended_by_filter("the_list_holds_on_threads_that_are_started_later", Role::Driver, deed);
}

#[test]
fn with_log_a_forbidden_call_is_made_and_fails_for_want_of_the_capability() {
    let name = "with_log_a_forbidden_call_is_made_and_fails_for_want_of_the_capability";
    let deed = || {
        assert_eq!(mount_bind("/proc", "/tmp"), Err(rustix::io::Errno::PERM));
        let dumpable = rustix::process::dumpable_behavior();
        assert_eq!(dumpable, Ok(rustix::process::DumpableBehavior::NotDumpable));
    };
    assert!(outcome(name, Role::Driver, Seccomp::Log, deed).success());
}

/// In a confined process: no capability but those of the role is left in any set.
fn assert_little_is_left(role: Role) {
    let status = String::from_utf8(proc::read("/proc/thread-self/status").unwrap()).unwrap();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
    let set = |name: &str| u64::from_str_radix(field(name), 16).unwrap();
    let kept = role.capabilities().bits();
    assert_eq!([set("CapEff:"), set("CapPrm:"), set("CapBnd:")], [kept; 3]);
    assert_eq!([set("CapInh:"), set("CapAmb:")], [0; 2]);
    assert_eq!([field("NoNewPrivs:"), field("Seccomp:")], ["1", "2"]);
}

#[test]
fn the_driver_keeps_four_capabilities_and_can_never_get_another() {
    let name = "the_driver_keeps_four_capabilities_and_can_never_get_another";
    let deed = || assert_little_is_left(Role::Driver);
    assert!(outcome(name, Role::Driver, Seccomp::Enforce, deed).success());
    assert_eq!(Role::Driver.capabilities().bits().count_ones(), 4);
}

#[test]
fn the_mounter_keeps_one_capability_and_can_never_get_another() {
    let name = "the_mounter_keeps_one_capability_and_can_never_get_another";
    let deed = || assert_little_is_left(Role::Mounter);
    assert!(outcome(name, Role::Mounter, Seccomp::Enforce, deed).success());
    assert_eq!(Role::Mounter.capabilities(), Capabilities::SYS_ADMIN);
}

#[test]
fn the_operator_keeps_no_capability_and_can_never_get_one() {
    let name = "the_operator_keeps_no_capability_and_can_never_get_one";
    let deed = || assert_little_is_left(Role::Operator);
    assert!(outcome(name, Role::Operator, Seccomp::Enforce, deed).success());
    assert_eq!(Role::Operator.capabilities(), Capabilities::empty());
}

#[test]
fn a_program_that_the_operator_tries_to_run_ends_it() {
    let deed = || panic!("it was looked for: {}", Command::new("/nowhere/at/all").exec());
    assert_ended_by_filter("a_program_that_the_operator_tries_to_run_ends_it", Role::Operator, deed);
}

#[test]
fn a_file_that_the_operator_tries_to_remove_ends_it() {
    let deed = || drop(std::fs::remove_file("/nowhere/at/all"));
    assert_ended_by_filter("a_file_that_the_operator_tries_to_remove_ends_it", Role::Operator, deed);
}

#[test]
fn the_operator_has_threads_and_the_network_and_changes_no_file() {
    let family = |family: libc::c_int| [u64::from(family.unsigned_abs()), 1, 0, 0, 0, 0];
    for call in
        [libc::SYS_openat, libc::SYS_connect, libc::SYS_accept4, libc::SYS_listen, libc::SYS_getrandom]
    {
        assert_eq!(verdict(Role::Operator, call, [0; 6]), ALLOW, "{call}");
    }
    for one in [libc::AF_INET, libc::AF_INET6] {
        assert_eq!(verdict(Role::Operator, libc::SYS_socket, family(one)), ALLOW, "{one}");
    }
    assert_eq!(verdict(Role::Operator, libc::SYS_socket, family(libc::AF_PACKET)), KILL);
    let forbidden = [
        libc::SYS_execve,
        libc::SYS_ptrace,
        libc::SYS_bpf,
        libc::SYS_mkdirat,
        libc::SYS_unlinkat,
        libc::SYS_renameat2,
        libc::SYS_symlinkat,
        libc::SYS_ftruncate,
        libc::SYS_fchmodat,
        libc::SYS_fchown,
        libc::SYS_pwrite64,
        libc::SYS_wait4,
        libc::SYS_fsopen,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_io_uring_setup,
    ];
    for call in forbidden {
        assert_eq!(verdict(Role::Operator, call, [0; 6]), KILL, "{call}");
    }
}

/// What the kernel does about a call: the strictest of what the programs answer to it.
fn verdict(role: Role, call: i64, arguments: [u64; 6]) -> u32 {
    verdict_or(seccompiler::SeccompAction::KillProcess, role, call, arguments)
}

fn verdict_or(otherwise: seccompiler::SeccompAction, role: Role, call: i64, arguments: [u64; 6]) -> u32 {
    let number = u32::try_from(call).unwrap();
    // struct seccomp_data: the number, the architecture, the instruction pointer, six arguments.
    let mut data = vec![0_u32; 16];
    data[0] = number;
    data[1] = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
    for (index, argument) in arguments.into_iter().enumerate() {
        data[4 + 2 * index] = u32::try_from(argument & 0xffff_ffff).unwrap();
        data[5 + 2 * index] = u32::try_from(argument >> 32).unwrap();
    }
    let programs = filter::programs(role, otherwise).unwrap();
    // Stricter actions have lower numbers, taken as signed.
    let answers = programs.iter().map(|program| run(program, &data));
    answers.min_by_key(|answer| answer.cast_signed()).unwrap()
}

/// The kernel's interpreter, as far as these programs go.
fn run(program: &[seccompiler::sock_filter], data: &[u32]) -> u32 {
    let (mut accumulator, mut next) = (0_u32, 0_usize);
    loop {
        let instruction = &program[next];
        let value = instruction.k;
        next += 1;
        let mut jump = |is_true: bool| {
            next += usize::from(if is_true { instruction.jt } else { instruction.jf });
        };
        match instruction.code {
            0x20 => accumulator = data[value as usize / 4],
            0x54 => accumulator &= value,
            0x05 => next += value as usize,
            0x15 => jump(accumulator == value),
            0x25 => jump(accumulator > value),
            0x35 => jump(accumulator >= value),
            0x06 => return value,
            other => panic!("an instruction that is not known here: {other:#x}"),
        }
    }
}

const ALLOW: u32 = 0x7fff_0000;
const LOG: u32 = 0x7ffc_0000;
const KILL: u32 = 0x8000_0000;
const ERRNO: u32 = 0x0005_0000;

#[test]
fn calls_are_permitted_for_the_arguments_that_the_driver_has_a_use_for() {
    let (own, family) = (u64::from(std::process::id()), |family: libc::c_int| family.unsigned_abs().into());
    let netlink = |protocol| [family(libc::AF_NETLINK), 3, family(protocol)];
    let threads = 0x003d_0f00;
    let rows: [(i64, [u64; 3], u32); 29] = [
        (libc::SYS_openat, [0, 0, 0], ALLOW),
        (libc::SYS_execve, [0, 0, 0], KILL),
        (libc::SYS_execveat, [0, 0, 0], KILL),
        (libc::SYS_ptrace, [0, 0, 0], KILL),
        (libc::SYS_bpf, [0, 0, 0], KILL),
        (libc::SYS_move_mount, [0, 0, 0], KILL),
        (libc::SYS_umount2, [0, 0, 0], KILL),
        (libc::SYS_setns, [0, 0, 0], KILL),
        (libc::SYS_io_uring_setup, [0, 0, 0], KILL),
        (libc::SYS_clone, [threads, 0, 0], ALLOW),
        (libc::SYS_clone, [family(libc::SIGCHLD), 0, 0], KILL),
        (libc::SYS_clone, [threads | u64::from(libc::CLONE_NEWNS.unsigned_abs()), 0, 0], KILL),
        (libc::SYS_clone3, [0, 0, 0], ERRNO | libc::ENOSYS.unsigned_abs()),
        (libc::SYS_mmap, [0, 0, family(libc::PROT_READ | libc::PROT_WRITE)], ALLOW),
        (
            libc::SYS_mmap,
            [0, 0, family(libc::PROT_READ | libc::PROT_EXEC)],
            ERRNO | libc::EACCES.unsigned_abs(),
        ),
        (libc::SYS_mprotect, [0, 0, family(libc::PROT_EXEC)], ERRNO | libc::EACCES.unsigned_abs()),
        (libc::SYS_prlimit64, [0, 7, 0], ALLOW),
        (libc::SYS_prlimit64, [1, 7, 0], KILL),
        (libc::SYS_tgkill, [own, 1, 6], ALLOW),
        (libc::SYS_tgkill, [1, 1, 6], KILL),
        (libc::SYS_kill, [u64::from(u32::MAX), 9, 0], KILL),
        (libc::SYS_socket, [family(libc::AF_UNIX), 1, 0], ALLOW),
        (libc::SYS_socket, [family(libc::AF_PACKET), 3, 0], KILL),
        (libc::SYS_socket, netlink(libc::NETLINK_ROUTE), ALLOW),
        (libc::SYS_socket, netlink(libc::NETLINK_AUDIT), KILL),
        (libc::SYS_socket, netlink(libc::NETLINK_NETFILTER), KILL),
        (libc::SYS_socket, netlink(libc::NETLINK_KOBJECT_UEVENT), KILL),
        (libc::SYS_prctl, [family(libc::PR_SET_NAME), 0, 0], ALLOW),
        (libc::SYS_prctl, [family(libc::PR_SET_DUMPABLE), 1, 0], KILL),
    ];
    for (call, [a, b, c], expected) in rows {
        assert_eq!(
            verdict(Role::Driver, call, [a, b, c, 0, 0, 0]),
            expected,
            "call {call} with {a:#x}, {b:#x}, {c:#x}"
        );
    }
}

#[test]
fn with_log_a_forbidden_call_is_logged_and_executable_memory_is_refused_all_the_same() {
    let rows = [
        (libc::SYS_execve, 0, LOG),
        (libc::SYS_mmap, libc::PROT_READ, ALLOW),
        (libc::SYS_mmap, libc::PROT_EXEC, ERRNO | libc::EACCES.unsigned_abs()),
        (libc::SYS_mprotect, libc::PROT_EXEC, ERRNO | libc::EACCES.unsigned_abs()),
    ];
    for role in [Role::Driver, Role::Mounter, Role::Operator] {
        for (call, protection, expected) in rows {
            let arguments = [0, 0, protection.unsigned_abs().into(), 0, 0, 0];
            let answer = verdict_or(seccompiler::SeccompAction::Log, role, call, arguments);
            assert_eq!(answer, expected, "{role:?}: call {call} with {protection}");
        }
    }
}

#[test]
fn a_process_that_aborts_as_musl_does_is_not_taken_for_one_that_made_a_forbidden_call() {
    for role in [Role::Driver, Role::Mounter, Role::Operator] {
        assert_eq!(verdict(role, libc::SYS_tkill, [1, 6, 0, 0, 0, 0]), ERRNO | libc::ENOSYS.unsigned_abs());
    }
}

#[test]
fn the_mounter_may_mount_and_hardly_anything_else() {
    for call in
        [libc::SYS_fsopen, libc::SYS_move_mount, libc::SYS_umount2, libc::SYS_recvmsg, libc::SYS_openat2]
    {
        assert_eq!(verdict(Role::Mounter, call, [0; 6]), ALLOW, "{call}");
    }
    let forbidden = [
        libc::SYS_socket,
        libc::SYS_connect,
        libc::SYS_clone,
        libc::SYS_execve,
        libc::SYS_unlinkat,
        libc::SYS_mkdirat,
        libc::SYS_open_tree,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_unshare,
    ];
    for call in forbidden {
        assert_eq!(verdict(Role::Mounter, call, [0; 6]), KILL, "{call}");
    }
}
