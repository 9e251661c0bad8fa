//! `sanity CSI_SANITY CONTROLLER`: runs the conformance suite against the driver.
//!
//! Brings up what the suite needs around the driver (the API server double, the reference provider, a class) and
//! leaves the rest to `run.sh`, which also says what the two Go programs are. `make sanity` builds them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on ends"
)]

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use kit::driver::{DriverProcess, program};
use kit::objects::objects;
use kit::world::World;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [suite, controller] = &arguments[..] else {
        eprintln!("usage: sanity CSI_SANITY CONTROLLER");
        return ExitCode::from(USAGE);
    };
    let mut world = World::without_driver(&[]);
    let socket = world.providers().join("e2e-provider.sock");
    let endpoint = format!("--endpoint=unix://{}", socket.display());
    let provider = DriverProcess::spawn(&program("e2e-provider"), &[endpoint, "--control-addr=0".to_owned()]);
    provider.wait_for_log("serving secrets for tests");
    world.class("sanity", "e2e-provider", objects(&["foo"]));
    world.start_driver();

    let status = Command::new(RUN)
        .args([suite, controller])
        .arg(world.path("csi/csi.sock"))
        .env("SANITY_PODS_DIR", world.path("pods"))
        .status()
        .unwrap_or_else(|error| panic!("could not run {RUN}: {error}"));
    let left = world.mounts();
    if !left.is_empty() {
        eprintln!("sanity: volumes are still mounted: {left:?}");
    }
    if status.success() && left.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("the driver's log:\n{}", world.driver().log());
    // A signal has no code; nothing else about it is of use here.
    let code = status.code().and_then(|code| u8::try_from(code).ok()).filter(|code| *code != 0);
    ExitCode::from(code.unwrap_or(1))
}

const RUN: &str = kit::in_repository!("/tests/sanity/run.sh");
/// EX_USAGE of sysexits.
const USAGE: u8 = 64;
