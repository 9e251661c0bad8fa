//! The first command on a machine that lacks something: `scripts/ensure-tools.sh` installs it, or says in one true
//! sentence what is missing and what to do. What a machine has is played by stand-ins, what it permits is the kernel's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop there"
)]
#![allow(clippy::disallowed_methods, reason = "tests set their own stage")]

mod compiler;
mod machine;
mod mounts;
mod tools;
