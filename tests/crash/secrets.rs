//! The Secrets: a thread that looks at every version of each, and what they have to come to.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::board::{Board, Tally};
use crate::content::State;
use crate::stage::{SECRET_ITEMS, Stage};

/// Looks at the Secrets whenever anything changes, until the scene ends.
pub fn run(stage: &Stage, board: &Board) {
    let mut versions: HashMap<String, String> = HashMap::new();
    while !board.is_stopped() {
        // Every change rings; a pause of no news is there to see the end of the scene.
        stage.mirror.world.api.wait(PAUSE, |_| {
            for secret in stage.mirror.world.api.list(SECRETS) {
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

/// The one state of which all content of a Secret is.
pub fn state(secret: &Value) -> Result<State, String> {
    let mut states = Vec::new();
    for (path, key) in SECRET_ITEMS {
        let text = secret["data"][key].as_str().ok_or(format!("no key {key}"))?;
        let bytes = STANDARD.decode(text).map_err(|_| format!("{key} is no base64"))?;
        let state = State::named_in(&bytes).ok_or(format!("{key} names no state"))?;
        if state.files()[path].bytes != bytes {
            return Err(format!("{key} is not whole"));
        }
        states.push(state);
    }
    let first = states.remove(0);
    match states.into_iter().find(|other| *other != first) {
        Some(other) => Err(format!("a mix of {first} and {other}")),
        None => Ok(first),
    }
}

/// All Secrets that the scene's classes ask for.
pub const SECRETS: &str = "/api/v1/namespaces/default/secrets";
const PAUSE: Duration = Duration::from_millis(100);
