//! The Secrets: a thread that looks at every version of each, and what they have to come to.

use std::collections::HashMap;
use std::time::Duration;

use crate::board::{Board, Tally};
use crate::stage::Stage;
use crash::copy::state;
use kit::mirror::SECRETS_PATH;

/// Looks at the Secrets whenever anything changes, until the scene ends.
pub fn run(stage: &Stage, board: &Board) {
    let mut versions: HashMap<String, String> = HashMap::new();
    while !board.is_stopped() {
        // Every change rings; a pause of no news is there to see the end of the scene.
        stage.mirror.world.api.wait(PAUSE, |_| {
            for secret in stage.mirror.world.api.list(SECRETS_PATH) {
                let text = |field: &str| secret["metadata"][field].as_str().unwrap_or_default().to_owned();
                let (name, version) = (text("name"), text("uid") + "/" + &text("resourceVersion"));
                if versions.get(&name) == Some(&version) {
                    continue;
                }
                match state(&secret) {
                    Ok(_) => Tally::add(&board.tally.syncs),
                    Err(fault) => board.fault(format!("Secret {name}: {fault}")),
                }
                versions.insert(name, version);
            }
            board.is_stopped()
        });
    }
}

const PAUSE: Duration = Duration::from_millis(100);
