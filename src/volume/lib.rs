//! The volume: a tmpfs on the target directory that kubelet names, and the files in it.
//!
//! ```text
//! <target>/                                 root of the tmpfs; mode 0700 while unfinished, 0755 when live
//!     ..2026_11_23_08_30_00.123456789/      a generation: the whole content as one provider answer had it
//!         password
//!         tls/key.pem
//!     ..data -> ..2026_11_23_08_30_00.123456789      switched in one step
//!     password -> ..data/password           what the pod sees
//!     tls -> ..data/tls
//! ```
//!
//! Nothing here knows Kubernetes, providers or gRPC. Once a directory is open no path reaches the kernel any more,
//! only single names relative to a descriptor, and no symlink is followed: a hostile provider's file names and a
//! hostile neighbour's links lead nowhere else.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set their own stage"))]

pub mod content;
pub mod file_path;
pub mod limits;
pub mod live;
pub mod payload;
pub mod place;
pub mod target;
#[cfg(test)]
mod tests;
pub mod tree;
pub mod writer;
