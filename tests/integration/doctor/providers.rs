//! What is wrong with providers: each fault by itself, on one node.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use super::clinic::{Clinic, LONGEST};

#[test]
fn what_is_no_socket_of_a_provider_is_told() {
    let clinic = Clinic::open();
    let stray = clinic.world.providers().join("stray.sock");
    fs::write(&stray, "").unwrap();
    clinic.finds("provider-socket", &[], "stray.sock is no socket", "remove it");
    fs::remove_file(&stray).unwrap();
    symlink("nowhere", &stray).unwrap();
    clinic.finds("provider-socket", &[], "a symlink that leads to no socket", "remove it");
    fs::remove_file(&stray).unwrap();
    symlink(clinic.provider.socket(), &stray).unwrap();
    clinic.finds("provider-socket", &[], "it is a symlink", "--provider-socket-check=warn");
    let relaxed = ["--provider-socket-check=warn"];
    clinic.warns("provider-socket", &relaxed, "stray.sock is a symlink", "remove it");
    fs::remove_file(&stray).unwrap();
    let odd = clinic.world.providers().join("an.odd\u{1b}name.sock");
    drop(UnixListener::bind(&odd).unwrap());
    clinic.warns("provider-name", &[], "no class can name", "at most 30 letters");
}

#[test]
fn a_provider_that_died_is_told() {
    let mut clinic = Clinic::open();
    clinic.examine(&[]).says("provider", "good", "test answers", "");
    clinic.provider.stop();
    if !clinic.provider.socket().exists() {
        drop(UnixListener::bind(clinic.provider.socket()).unwrap());
    }
    clinic.finds("provider", &[], "test does not answer on ", "restart it");
}

#[test]
fn a_provider_that_hangs_is_told_in_time_and_hides_no_other() {
    let clinic = Clinic::open();
    let _stuck = UnixListener::bind(clinic.world.providers().join("stuck.sock")).unwrap();
    let report = clinic.examine(&[]);
    assert!(report.took < LONGEST, "{:?}", report.took);
    assert_eq!(report.checks("wrong"), ["provider"], "{:#}", report.json);
    report.says("provider", "wrong", "stuck does not answer on ", "restart it");
    report.says("provider", "good", "test answers", "");
}

#[test]
fn a_node_without_a_provider_is_told() {
    let mut clinic = Clinic::open();
    clinic.finds("provider-required", &["--provider=vault"], "vault has no socket here", "runs on this node");
    clinic.provider.stop();
    fs::remove_file(clinic.provider.socket()).ok();
    clinic.finds("provider", &[], "there is no provider", "--provider-volume");
    fs::remove_dir(clinic.world.providers()).unwrap();
    clinic.finds("provider-directory", &[], "no directory of provider sockets", "linux.providersDir");
}

#[test]
fn a_directory_that_others_may_write_is_warned_about() {
    let clinic = Clinic::open();
    fs::set_permissions(clinic.world.providers(), Permissions::from_mode(0o777)).unwrap();
    clinic.finds("provider-socket", &[], "others than its owner can write", "--provider-socket-check=warn");
    let relaxed = ["--provider-socket-check=off"];
    clinic.warns("provider-directory", &relaxed, "can be written by others than root", "mode 0755");
}
