//! Reads the documents: their parts, the commands in them, and what these print. The tests here hold them against the
//! programs; `make e2e` runs the commands.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should stop there"
)]

pub mod markdown;
pub mod output;
pub mod script;
