//! What a user gets of the driver on a node.

mod capacity;
mod life;
mod mount;
mod operation;
mod refresh;
mod restarts;

use crate::stage::Stage;

/// A sentence, and how it is shown.
pub type Case = e2e::runner::Case<Stage>;

/// Cases that are about the same.
pub struct Group {
    /// What they are about.
    pub name: &'static str,
    /// Whether they are quick enough for each submission.
    pub is_smoke: bool,
    /// The cases.
    pub cases: &'static [Case],
}

/// All cases, in an order in which each leaves the next what it needs.
pub const GROUPS: &[Group] = &[
    Group { name: "Mounting", is_smoke: true, cases: mount::CASES },
    Group { name: "Refreshing", is_smoke: true, cases: refresh::CASES },
    Group { name: "From start to end", is_smoke: false, cases: life::CASES },
    Group { name: "Restarts and outages", is_smoke: false, cases: restarts::CASES },
    Group { name: "Operating", is_smoke: false, cases: operation::CASES },
    Group { name: "Capacity", is_smoke: false, cases: capacity::CASES },
];
