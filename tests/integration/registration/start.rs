//! What keeps the driver from registering itself shows at its start.

use std::fs;

use super::{NAME, node, socket};
use kit::driver::{DriverProcess, program};
use kit::world::World;

/// Starts the driver, expects it to give up with exit code 1, and returns its log.
fn failing_start(world: &World) -> String {
    let mut driver = DriverProcess::spawn(&program("secrets-store-csi-driver"), &world.arguments());
    assert_eq!(driver.wait().code(), Some(1), "log:\n{}", driver.log());
    driver.log()
}

#[test]
fn what_cannot_be_registered_is_told_with_its_flag() {
    let rows = [
        (
            vec!["--kubelet-registration-dir=/nowhere/at/all"],
            "--kubelet-registration-dir /nowhere/at/all is not",
        ),
        (
            vec!["--kubelet-registration-dir=/dev/null"],
            "--kubelet-registration-dir /dev/null is not a directory",
        ),
        (vec!["--endpoint=tcp://127.0.0.1:0"], "be left out with a tcp endpoint"),
        (vec!["--nodeid="], "could not use flag --nodeid"),
        (vec!["--drivername=../x"], "could not use flag --drivername"),
        (vec!["--kubelet-registration-path=csi.sock"], "could not use flag --kubelet-registration-path"),
    ];
    for (flags, text) in rows {
        let world = node(&flags);
        let log = failing_start(&world);
        assert!(log.contains(text), "{flags:?}: {log}");
        assert!(!world.path("csi/csi.sock").exists(), "{flags:?}: nothing was served");
    }
}

#[test]
fn a_directory_too_deep_for_a_socket_is_told() {
    let world = World::without_driver(&[]);
    let deep = world.path(&"d".repeat(100));
    fs::create_dir(&deep).unwrap();
    let mut world = world;
    world.add_flags(&[&format!("--kubelet-registration-dir={}", deep.display())]);
    let log = failing_start(&world);
    assert!(log.contains("at most 107 bytes"), "{log}");
}

#[test]
fn a_file_in_the_sockets_place_is_told_and_left_alone() {
    let world = node(&[]);
    fs::write(socket(&world), "precious").unwrap();
    let log = failing_start(&world);
    assert!(log.contains(&format!("{NAME}-reg.sock exists and is not a socket")), "{log}");
    assert_eq!(fs::read_to_string(socket(&world)).unwrap(), "precious");
}

#[test]
fn a_driver_that_does_not_come_to_serve_csi_is_never_offered() {
    let world = node(&[]);
    fs::create_dir_all(world.path("csi/csi.sock")).unwrap();
    let changed = || fs::metadata(world.path("registry")).unwrap().modified().unwrap();
    let before = changed();
    let log = failing_start(&world);
    assert!(log.contains("csi.sock exists and is not a socket"), "{log}");
    // Whatever is made or removed in a directory leaves its time there.
    assert_eq!(changed(), before);
}
