//! The static driver of the other architecture, in an emulator. `make test-emulated` builds it and runs this.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on should stop there"
)]
#![allow(clippy::disallowed_methods, reason = "tests set their own stage")]

use std::path::Path;

use kit::driver::DriverProcess;
use kit::world::World;

#[test]
fn the_other_architecture_serves_in_an_emulator() {
    // The emulator has neither filters of system calls nor openat2.
    let mut world = World::without_driver(&["--kubelet-pods-dir=", "--seccomp=off"]);
    let other = if std::env::consts::ARCH == "x86_64" { "aarch64" } else { "x86_64" };
    let this = std::env::current_exe().expect("a running program has a path");
    // target/release/deps/emulated-<hash> -> target/static
    let built = this.ancestors().nth(3).expect("tests run from the target directory").join("static");
    let program = built.join(other).join("secrets-store-csi-driver").display().to_string();
    let arguments = [vec![other.to_owned(), program], world.arguments()].concat();
    let emulator = Path::new(kit::repository::ROOT).join("tests/static/emulator.sh");
    world.start_driver_as(DriverProcess::spawn(&emulator, &arguments));
    let name = world.plugin_name();
    assert_eq!(name, "secrets-store.csi.k8s.io");
    let (code, page) = world.http_get("/healthz");
    assert_eq!((code, page.as_str()), (200, "ok"));
}
