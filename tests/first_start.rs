//! The first command on a machine that lacks something: `scripts/ensure-tools.sh` installs it, or says in one true
//! sentence what is missing and what to do. What a machine has is played by stand-ins, what it permits is the kernel's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop there"
)]
#![allow(clippy::disallowed_methods, reason = "tests set their own stage")]

#[path = "first_start/compiler.rs"]
mod compiler;
#[path = "first_start/machine.rs"]
mod machine;
#[path = "first_start/mounts.rs"]
mod mounts;
#[path = "first_start/tools.rs"]
mod tools;
