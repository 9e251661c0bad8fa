//! The second process: the only one that may mount.
//!
//! The driver parses what kubelet, providers and the API server send. So it gives the right to mount away before it
//! reads the first byte of theirs: it starts its own program once more, as the mounter, and drops CAP_SYS_ADMIN for
//! good. The mounter does two things: it makes the tmpfs of a volume, attaches it to a target below kubelet's
//! directory of pods and hands back a descriptor of its root; and it takes such a tmpfs down. It sees paths of
//! targets and nothing else: no secret, no name of one, no network, no file's content.
//!
//! ```text
//! driver: client ──(request, reply socket)──> mounter: service ──> sys::mount, openat2, umount2
//!               <──(answer, descriptor of the root)──
//! ```
//!
//! Whoever takes the driver over can ask the mounter for a limited, closed tmpfs in the place of a pod's CSI volume
//! where nothing is mounted yet, and to take down what this driver mounted there. That is what the driver could do to these volumes anyway.
//!
//! To audit it, read in this order: `service.rs` (every check), `whose.rs` (what counts as a volume), `protocol.rs` (what
//! can be asked), `program.rs` (how it starts and what it gives up). `client.rs` is the driver's side.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set their own stage"))]

pub mod client;
pub mod program;
mod protocol;
pub mod service;
pub mod whose;
