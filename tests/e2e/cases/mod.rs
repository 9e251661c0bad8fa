//! Every case, in groups, in the order in which they are played. A case is a sentence about what a user gets.

mod mount;

use crate::runner::Case;

/// Name of a group, and its cases.
pub type Group = (&'static str, &'static [Case]);

/// All of them.
pub const GROUPS: &[Group] = &[("Mounting", mount::CASES)];
