//! The right to mount: where it is missing, the true cause is named, and a chroot is no cause.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::machine::{Machine, Said, project};

/// A machine whose commands may do what the kernel lets them.
fn machine() -> Machine {
    Machine::new().with_real("mount").with_real("unshare")
}

#[test]
fn root_may_mount() {
    machine().ensure(&["mount"]).assert_well(&[]);
}

#[test]
fn root_without_the_capability_is_told_its_name() {
    let without = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"];
    machine().ensure_through(&without, &["mount"]).assert_fails(&[
        "missing: the right to mount: this is root without CAP_SYS_ADMIN, as in most containers; give it that (docker \
         run --privileged)",
    ]);
}

#[test]
fn root_with_the_capability_that_is_refused_all_the_same_is_told_what_was_said() {
    let refused = "echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1";
    machine().with("unshare", refused).ensure(&["mount"]).assert_fails(&[
        "missing: the right to mount: this is root with CAP_SYS_ADMIN, and is told: unshare: unshare failed: Operation \
         not permitted; in a container, seccomp or AppArmor may be what forbids it (docker run --privileged)",
    ]);
}

#[test]
fn who_is_not_root_is_told_the_setting_that_forbids_user_namespaces() {
    let refused = "echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1";
    for (directory, file, value, cure) in [
        ("/proc/sys/kernel", "unprivileged_userns_clone", "0", "1"),
        ("/proc/sys/user", "max_user_namespaces", "0", "10000"),
        ("/proc/sys/kernel", "apparmor_restrict_unprivileged_userns", "1", "0"),
    ] {
        let name = format!("{}.{file}", directory.trim_start_matches("/proc/sys/"));
        let machine = machine().of_a_user().with("unshare", refused);
        machine.directory(directory, file, value).ensure(&["mount"]).assert_fails(&[&format!(
            "missing: user namespaces: {name} is {value}; run this as root, or allow them (as root: sysctl -w \
             {name}={cure})"
        )]);
    }
}

#[test]
fn a_setting_that_permits_is_not_blamed() {
    let refused = "echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1";
    let machine = machine().of_a_user().with("unshare", refused);
    machine.directory("/proc/sys/kernel", "apparmor_restrict_unprivileged_userns", "0").ensure(&["mount"]).assert_fails(&[
        "missing: user namespaces: unshare: unshare failed: Operation not permitted; a container may forbid them, and \
         a chroot does; run this as root, or outside",
    ]);
}

/// A directory with this system's programs and the project, to change the root to: no mount point, on a mount whose
/// events others see.
struct Chroot {
    place: TempDir,
}

impl Chroot {
    fn new(has_proc: bool) -> Chroot {
        let chroot = Chroot { place: tempfile::tempdir().unwrap() };
        let place = chroot.place.path();
        mount(&["-t", "tmpfs", "tmpfs"], place);
        let root = chroot.root();
        for name in ["tmp", "project", "dev"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        mount(&["--rbind", "/dev"], &root.join("dev"));
        mount(&["--bind", &project().display().to_string()], &root.join("project"));
        for name in ["bin", "sbin", "lib", "lib64", "usr", "etc"] {
            let (here, there) = (Path::new("/").join(name), root.join(name));
            match std::fs::read_link(&here) {
                Ok(target) => std::os::unix::fs::symlink(target, there).unwrap(),
                Err(_) if here.is_dir() => {
                    std::fs::create_dir(&there).unwrap();
                    mount(&["--bind", &here.display().to_string()], &there);
                }
                Err(_) => {}
            }
        }
        if has_proc {
            std::fs::create_dir(root.join("proc")).unwrap();
            mount(&["--rbind", "/proc"], &root.join("proc"));
        }
        mount(&["--make-rshared"], place);
        chroot
    }

    fn root(&self) -> PathBuf {
        self.place.path().join("root")
    }

    fn run(&self, script: &str) -> Said {
        let output = Command::new("chroot")
            .arg(self.root())
            .args(["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-c", script])
            .output()
            .unwrap();
        Said::of(&output)
    }

    /// What is mounted in it, seen from outside.
    fn mounts(&self) -> Vec<String> {
        let place = self.place.path().display().to_string();
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        table.lines().filter(|line| line.contains(&place)).map(str::to_owned).collect()
    }
}

impl Drop for Chroot {
    fn drop(&mut self) {
        mount_command("umount", &["-l"], self.place.path());
    }
}

fn mount(arguments: &[&str], place: &Path) {
    mount_command("mount", arguments, place);
}

fn mount_command(command: &str, arguments: &[&str], place: &Path) {
    let status = Command::new(command).args(arguments).arg(place).status();
    assert!(status.as_ref().is_ok_and(|status| status.success()), "{command} {arguments:?}: {status:?}");
}

#[test]
fn root_may_mount_in_a_chroot_whose_root_is_no_mount_point() {
    let chroot = Chroot::new(true);
    chroot.run("cut -d ' ' -f 5 /proc/self/mountinfo | grep -c '^/$'").assert_fails(&["0"]);
    chroot.run("/project/scripts/ensure-tools.sh mount").assert_well(&[]);
}

#[test]
fn what_is_mounted_in_a_chroot_is_seen_by_nobody_outside() {
    let chroot = Chroot::new(true);
    let before = chroot.mounts();
    let script = "mount -t tmpfs inner /tmp && mount -t tmpfs inner /dev && mount -t tmpfs inner /proc/fs &&
        unset PATH && while read -r line; do case $line in *inner*) echo seen;; esac; done </proc/self/mountinfo";
    chroot.run(&format!("/project/tests/sandbox.sh sh -c '{script}'")).assert_well(&["seen", "seen", "seen"]);
    assert_eq!(chroot.mounts(), before);
}

#[test]
fn a_command_in_a_chroot_has_its_directory_its_arguments_and_a_root_like_any_other() {
    let chroot = Chroot::new(true);
    let script = "cd /project/tests && sandbox.sh sh -c 'pwd; printf \"%s|\" \"$@\"; echo; mount --make-rprivate / && \
                  unshare --mount --propagation private echo private' sh 'two words' '' \"'\" '$HOME'";
    chroot.run(&format!("PATH=$PATH:/project/tests; {script}")).assert_well(&[
        "/project/tests",
        "two words||'|$HOME|",
        "private",
    ]);
    let said = chroot.run("/project/tests/sandbox.sh sh -c 'exit 7'; echo $?");
    said.assert_well(&["7"]);
}

#[test]
fn who_is_not_root_cannot_mount_in_a_chroot_and_is_told_so() {
    // To the kernel this is root, but one that goes the way of others: a chroot is what stops it there.
    let script = "mkdir /tmp/bin && printf '#!/bin/sh\\necho 1000\\n' >/tmp/bin/id && chmod +x /tmp/bin/id &&
        PATH=/tmp/bin:$PATH /project/scripts/ensure-tools.sh mount";
    Chroot::new(true).run(script).assert_fails(&[
        "missing: user namespaces, which a process in a chroot may not make; run this as root, or outside",
    ]);
}

#[test]
fn where_proc_is_not_mounted_the_command_that_does_it_is_named() {
    Chroot::new(false).run("/project/scripts/ensure-tools.sh mount").assert_fails(&[
        "missing: the file system proc, which tells of mounts; run as root: mount -t proc proc /proc",
    ]);
}
