//! The cases, by what goes wrong.

mod api_server;
mod api_trust;
mod clock;
mod crowd;
mod descriptors;
mod logs;
mod provider_flaps;
mod provider_garbage;
mod provider_silence;
mod provider_wire;
mod volume_caps;
mod watches;

use crate::runner::Case;

/// All of them, in the order of the table.
pub fn all() -> Vec<Case> {
    [
        &provider_silence::CASES[..],
        &crowd::CASES,
        &provider_flaps::CASES,
        &provider_garbage::CASES,
        &provider_wire::CASES,
        &api_server::CASES,
        &api_trust::CASES,
        &watches::CASES,
        &volume_caps::CASES,
        &descriptors::CASES,
        &logs::CASES,
        &clock::CASES,
    ]
    .concat()
}
