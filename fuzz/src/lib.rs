//! What must hold for every input: one module for each fuzz target, each with a function `check` that panics when a
//! property is broken.
//!
//! The properties are written against what the driver promises, not against how it does it: where that is possible
//! beside a second, simpler implementation, and otherwise by going there and back. What comes in is bytes alone, so
//! an input is a file that can be kept, sent and run again.

pub mod api_object;
pub mod durations;
pub mod flags;
pub mod http_request;
pub mod mount_response;
pub mod mount_table;
pub mod paths;
pub mod publish_request;
pub mod tls_material;
pub mod volume_writer;
pub mod watch_frame;

mod input;
mod message;
mod text;
