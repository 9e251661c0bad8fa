//! What the end-to-end tests of the driver and of the operator share: a control plane of real programs, its
//! administrator, and the runner of their cases.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should stop there"
)]

pub mod admin;
pub mod audit;
pub mod control_plane;
pub mod kinds;
pub mod operator;
pub mod patience;
pub mod permission;
pub mod runner;
pub mod tool;
pub mod web;
