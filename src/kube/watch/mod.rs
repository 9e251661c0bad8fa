//! Following a collection: list it once, then watch what changes, for as long as the process lives.
//!
//! `cycle` decides what is asked next and after what pause, and knows neither clock nor socket. `frame` reads one line
//! of a stream, `page` a part of a list. `cache` holds what is wanted of the collection and tells its listener what changed. [`Reflector`] turns
//! the wheel, [`Follower`] starts it when it is first needed. Nothing here knows what the objects are for.
//!
//! The threat is a server that answers wrongly or not at all: every line is bounded, every list and every wait has an end, no request
//! comes back without a pause, and what the cache holds is bounded by what its user wants.

pub mod cache;
mod cycle;
mod follower;
pub mod frame;
mod page;
mod reflector;

#[cfg(test)]
mod reflector_tests;

pub use cache::{Cache, CacheState, Change};
pub use follower::{Follower, Pause};
pub use reflector::{Reflector, Selection};
