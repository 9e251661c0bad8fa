//! Every case, in groups, in the order in which they are played. A case is a sentence about what an administrator gets.

mod changed;
mod created;
mod drop_in;
mod metrics;
mod openshift;
mod path;
mod refusals;
mod settings;
mod states;
mod trouble;

use crate::stage::Stage;

/// Name of a group, and its cases.
pub type Group = (&'static str, &'static [Case]);
/// A case of this program's stage.
pub type Case = e2e::runner::Case<Stage>;

/// All of them.
pub const GROUPS: &[Group] = &[
    ("What the API server takes", created::CASES),
    ("What the API server takes for a change", changed::CASES),
    ("The administrator's path", path::CASES),
    ("Settings", settings::CASES),
    ("States", states::CASES),
    ("OpenShift", openshift::CASES),
    ("In the place of OpenShift's operator", drop_in::CASES),
    ("Metrics", metrics::CASES),
    ("Trouble", trouble::CASES),
    ("What is refused, and what does not end", refusals::CASES),
];
