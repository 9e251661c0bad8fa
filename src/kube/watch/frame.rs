//! One line of a watch.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::kube::error::json_problem;
use crate::kube::types::Watched;

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<T> {
    /// The object is new, or now like this.
    Present(T),
    /// The object is gone, or no longer selected; this was its last state.
    Gone(T),
    /// Nothing happened up to this version.
    Bookmark(String),
    /// The stream ends with this HTTP status code.
    Error(u16),
}

impl<T: Watched> Frame<T> {
    /// Reads a line.
    ///
    /// # Errors
    /// The place of what is wrong, never a value.
    pub fn decode(line: &[u8]) -> Result<Frame<T>, String> {
        let Envelope::<IgnoredAny> { kind, .. } = parsed(line)?;
        match kind.as_str() {
            "ADDED" | "MODIFIED" => Ok(Frame::Present(parsed::<Envelope<T>>(line)?.object)),
            "DELETED" => Ok(Frame::Gone(parsed::<Envelope<T>>(line)?.object)),
            "BOOKMARK" => Ok(Frame::Bookmark(parsed::<Envelope<T>>(line)?.object.version().to_owned())),
            "ERROR" => Ok(Frame::Error(parsed::<Envelope<Status>>(line)?.object.code)),
            _ => Err("an event of an unknown type".to_owned()),
        }
    }
}

fn parsed<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|error| json_problem(&error))
}

#[derive(Deserialize)]
struct Envelope<T> {
    #[serde(rename = "type")]
    kind: String,
    object: T,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::types::Pod;

    fn decoded(line: &str) -> Result<Frame<Pod>, String> {
        Frame::decode(line.as_bytes())
    }

    #[test]
    fn each_type_of_event_is_read() {
        let pod = |version: &str| Pod { resource_version: version.into(), ..Pod::default() };
        let object = r#""object":{"metadata":{"resourceVersion":"7"}}"#;
        let rows = [
            ("ADDED", Frame::Present(pod("7"))),
            ("MODIFIED", Frame::Present(pod("7"))),
            ("DELETED", Frame::Gone(pod("7"))),
            ("BOOKMARK", Frame::Bookmark("7".into())),
        ];
        for (kind, frame) in rows {
            assert_eq!(decoded(&format!(r#"{{"type":"{kind}",{object}}}"#)).unwrap(), frame, "{kind}");
        }
        let gone = r#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}"#;
        assert_eq!(decoded(gone).unwrap(), Frame::Error(410));
        assert_eq!(decoded(r#"{"type":"ERROR","object":{}}"#).unwrap(), Frame::Error(0));
    }

    #[test]
    fn what_cannot_be_read_is_told_without_its_values() {
        let rows = [
            "",
            "hunter2",
            r#"{"type":"ADDED"}"#,
            r#"{"type":"HUNTER2","object":{}}"#,
            r#"{"object":{}}"#,
            r#"{"type":"ADDED","object":"hunter2"}"#,
            r#"{"type":"ADDED","object":{"metadata":"hunter2"}}"#,
            r#"{"type":"ERROR","object":{"code":"hunter2"}}"#,
        ];
        for row in rows {
            let problem = decoded(row).unwrap_err();
            assert!(!problem.to_lowercase().contains("hunter2"), "{row}: {problem}");
        }
    }
}
