//! The HTTP responder, what it says of health and readiness, and the routes that every server of ours offers.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set their own stage"))]

pub mod admin;
pub mod health;
pub mod http;
