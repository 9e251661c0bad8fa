//! Not yet.
use crate::runner::Case;
/// None.
pub const CASES: &[Case] = &[];
