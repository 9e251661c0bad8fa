//! The static programs as `make static` leaves them: that each needs nothing but a kernel, and is built as a program
//! that is trusted with a cluster should be. `make test-static` builds them and runs this.
//!
//! What the driver does is not repeated here: the same command runs the integration tests against the static driver.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on should stop there"
)]
#![allow(clippy::disallowed_methods, reason = "tests set their own stage")]

mod elf;
mod empty_root;

use std::path::{Path, PathBuf};

/// The architectures that are looked at, as rustc calls them: those that are shipped, or those that
/// `TEST_ARCHITECTURES` names because no other was built.
fn architectures() -> Vec<&'static str> {
    let built = std::env::var("TEST_ARCHITECTURES");
    let is_built = |name: &str| built.as_deref().is_ok_and(|built| built.split(' ').any(|one| one == name));
    let all = ["x86_64", "aarch64"];
    let these: Vec<_> = all.into_iter().filter(|name| built.is_err() || is_built(name)).collect();
    assert!(!these.is_empty(), "TEST_ARCHITECTURES names none of {all:?}");
    these
}

const DRIVER: &str = "secrets-store-csi-driver";
/// The programs in images, and how large the project lets them be.
const SHIPPED: [(&str, usize); 2] = [(DRIVER, 6 << 20), ("secrets-store-csi-operator", 3 << 20)];

/// A file that `make static` has made.
fn built(architecture: &str, name: &str) -> PathBuf {
    static_directory().join(architecture).join(name)
}

/// target/release/deps/static-<hash> -> target/static
fn static_directory() -> PathBuf {
    let this = std::env::current_exe().expect("a running program has a path");
    this.ancestors().nth(3).expect("tests run from the target directory").join("static")
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}; run `make static`", path.display()))
}
