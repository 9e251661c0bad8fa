//! What a service account's token says of itself. Nothing is verified: that is the API server's part.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::token::{TokenError, read};

/// When the token in that file expires, as it says itself; none where it does not say.
///
/// # Errors
/// Whatever is wrong with the file.
pub fn expiry(file: &Path) -> Result<Option<SystemTime>, TokenError> {
    Ok(expiry_of(read(file)?.expose()))
}

/// Uid of the pod to which the token is bound, as it says itself; none where it does not say.
pub fn pod_uid(token: &str) -> Option<String> {
    let bound: Bound = claims(token)?;
    Some(bound.to?.pod?.uid)
}

fn expiry_of(token: &str) -> Option<SystemTime> {
    let Expiring { exp } = claims(token)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(exp?))
}

fn claims<T: DeserializeOwned>(token: &str) -> Option<T> {
    let payload = token.split('.').nth(1)?;
    let claims = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload).ok()?);
    serde_json::from_slice(&claims).ok()
}

#[derive(Deserialize)]
struct Expiring {
    exp: Option<u64>,
}

#[derive(Deserialize)]
struct Bound {
    #[serde(rename = "kubernetes.io")]
    to: Option<BoundTo>,
}

#[derive(Deserialize)]
struct BoundTo {
    pod: Option<BoundPod>,
}

#[derive(Deserialize)]
struct BoundPod {
    uid: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn the_expiry_is_read_where_there_is_one() {
        let at = UNIX_EPOCH + Duration::from_secs(1_775_034_487);
        let rows = [
            ("a token", token(r#"{"aud":["x"],"exp":1775034487,"sub":"y"}"#), Some(at)),
            ("one that lasts", token(r#"{"sub":"y"}"#), None),
            ("another type", token(r#"{"exp":"soon"}"#), None),
            ("no JSON", token("hunter2"), None),
            ("no base64", "a.!!.b".to_owned(), None),
            ("no parts", "opaque".to_owned(), None),
            ("beyond time", token(r#"{"exp":18446744073709551615}"#), None),
        ];
        for (name, token, expected) in rows {
            assert_eq!(expiry_of(&token), expected, "{name}");
        }
    }

    #[test]
    fn the_pod_is_read_where_the_token_is_bound_to_one() {
        let rows = [
            ("bound", token(r#"{"kubernetes.io":{"pod":{"name":"web","uid":"u1"}}}"#), Some("u1")),
            ("bound to no pod", token(r#"{"kubernetes.io":{"namespace":"team"}}"#), None),
            ("not of a cluster", token(r#"{"sub":"y"}"#), None),
            ("another type", token(r#"{"kubernetes.io":{"pod":{"uid":7}}}"#), None),
            ("no parts", "opaque".to_owned(), None),
        ];
        for (name, token, expected) in rows {
            assert_eq!(pod_uid(&token).as_deref(), expected, "{name}");
        }
    }
}
