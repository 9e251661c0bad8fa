//! All else that is needed: packages, where they can be had.

use crate::machine::Machine;

#[test]
fn what_no_package_manager_of_ours_has_is_named_with_its_debian_package() {
    let said =
        "missing: strace; install what your system calls strace (on Debian as root: apt-get install strace)";
    Machine::new().ensure(&["strace"]).assert_fails(&[said]);
    Machine::debian(&[]).of_a_user().ensure(&["strace"]).assert_fails(&[said]);
}

#[test]
fn packages_that_cannot_be_installed_are_named_after_what_apt_says() {
    let machine = Machine::debian(&[]).install_fails("E: Unable to locate package containerd");
    machine.with_version(&["runc"], "1").ensure(&["containers"]).assert_fails(&[
        "installing containerd buildah",
        "E: Unable to locate package containerd",
        "missing: containerd buildah; install what your system calls containerd buildah (on Debian as root: apt-get \
         install containerd buildah)",
    ]);
}

#[test]
fn a_machine_that_looks_for_updates_of_its_own_is_waited_for() {
    let locked = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 77 (apt-get)";
    let machine = Machine::debian(&[]).package("strace", "strace", "6").update_fails(&[locked, locked]);
    machine.ensure(&["strace"]).assert_well(&["installing strace"]);
    assert_eq!(machine.updates(), 3);
}

#[test]
fn without_a_network_apt_says_so_and_what_is_in_reach_is_installed() {
    let offline = "E: Failed to fetch the list of packages  Could not resolve host";
    let machine = Machine::debian(&[]).package("strace", "strace", "6").update_fails(&[offline]);
    machine.ensure(&["strace"]).assert_well(&[offline, "installing strace"]);
    assert_eq!(machine.updates(), 1);
}

#[test]
fn a_go_that_could_not_fetch_a_newer_one_is_not_installed() {
    let machine = Machine::debian(&[("golang-go", "2:1.19~1")]);
    let said = machine.ensure(&["go"]);
    assert!(!said.is_well);
    assert_eq!(said.lines.len(), 1, "{:?}", said.lines);
    assert!(
        said.lines.iter().all(
            |line| line.starts_with("missing: Go 1.") && line.ends_with("; install it from its own site")
        )
    );
    assert_eq!(machine.installed().len(), 0);

    let machine = Machine::debian(&[("golang-go", "2:1.24~2")]);
    machine.ensure(&["go"]);
    assert_eq!(machine.installed(), ["golang-go"]);
}

#[test]
fn what_nobody_can_install_is_looked_for_before_anything_is_installed() {
    let machine = Machine::debian(&[]).with("unshare", "exit 1").with_version(&["mount"], "1");
    assert!(!machine.ensure(&["strace", "mount"]).is_well);
    assert_eq!(machine.installed().len(), 0);
}
