//! The kernel: every system call of the driver that touches files, mounts or sockets by descriptor.
//!
//! Nothing here knows volumes, secrets or Kubernetes. Each wrapper sets the flags that must never be forgotten
//! (close-on-exec, no-follow) itself, and each error reads like a line of strace.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set their own stage"))]

pub mod at;
pub mod cgroup;
pub mod epoll;
pub mod message;
pub mod mount;
pub mod mountinfo;
pub mod privileges;
pub mod proc;
pub mod process;
pub mod socket;
pub mod tcp;
