//! The copy of a volume's state in a Kubernetes Secret: two of its files, which have to be whole and of one state.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::content::{ALWAYS, State};

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

/// Files of each class's Secret, and their keys: a root's file and one in a directory.
pub const SECRET_ITEMS: [(&str, &str); 2] = [(ALWAYS[0], "number"), (ALWAYS[2], "chain")];
