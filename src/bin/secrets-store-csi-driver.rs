//! The driver, its mounter and its doctor: see `driver.rs`, `mounter/program.rs` and `doctor/lib.rs`.
use std::alloc::System;

use base::panics;
use secrets_store_csi_driver::driver;
use zeroizing_alloc::ZeroAlloc;

/// Overwrites what is freed, for the copies of tokens and secrets that libraries make of ours.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> std::process::ExitCode {
    panics::end_the_process();
    mounter::program::main().or_else(doctor::main).unwrap_or_else(driver::main)
}
