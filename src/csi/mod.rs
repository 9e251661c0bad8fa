//! The Container Storage Interface as kubelet speaks it: messages in, use cases called, statuses out. Translates,
//! never decides.

pub mod identity;
pub mod node;
pub mod request;
