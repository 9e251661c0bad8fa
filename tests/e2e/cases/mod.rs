//! Every case, in groups, in the order in which they are played. A case is a sentence about what a user gets.
//!
//! Each makes namespaces of its own and leaves the rest to [`Stage::tidy`](crate::stage::Stage::tidy).

mod chart;
mod chart_release;
mod chart_upgrade;
mod chart_writers;
mod crowd;
mod doctor;
mod documented_providers;
mod documents;
mod install;
mod kustomize;
mod monitoring;
mod mount;
mod outage;
mod parity;
mod permission;
mod pod_status;
mod refusal;
mod rotation;
mod sync;
mod sync_crowd;
mod sync_outage;
mod sync_owners;
mod sync_permission;
mod throttle;
mod token;

use crate::stage::Stage;

/// Name of a group, and its cases.
pub type Group = (&'static str, &'static [Case]);
/// A case of this program's stage.
pub type Case = e2e::runner::Case<Stage>;

/// All of them. Those that need Secret sync are in the groups that say so.
pub const GROUPS: &[Group] = &[
    ("Installing", install::CASES),
    ("The chart: values", chart::CASES),
    ("The chart: values as people write them", chart_writers::CASES),
    ("The chart: releases", chart_release::CASES),
    ("The chart: changing from upstream's", chart_upgrade::CASES),
    ("The kustomization", kustomize::CASES),
    ("Monitoring", monitoring::CASES),
    ("Mounting", mount::CASES),
    ("Pods that cannot start", refusal::CASES),
    ("Pod statuses", pod_status::CASES),
    ("Rotating", rotation::CASES),
    ("The driver's token", token::CASES),
    ("The driver's role", permission::CASES),
    ("The doctor", doctor::CASES),
    ("An API server that throttles", throttle::CASES),
    ("An API server that is away", outage::CASES),
    ("Many pods", crowd::CASES),
    ("Secret sync", sync::CASES),
    ("Secret sync: owners", sync_owners::CASES),
    ("Secret sync: the role", sync_permission::CASES),
    ("Secret sync: an API server that is away", sync_outage::CASES),
    ("Secret sync: many pods", sync_crowd::CASES),
    ("The API server double", parity::CASES),
    ("The providers of the documents", documented_providers::CASES),
    ("The documents", documents::CASES),
];
