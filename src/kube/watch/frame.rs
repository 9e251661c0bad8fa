//! One line of a watch.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::types::Watched;

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

impl<'de, T: Watched> Deserialize<'de> for Frame<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Frame<T>, D::Error> {
        from.deserialize_map(FrameVisitor(PhantomData))
    }
}

/// Reads a frame in one pass. Its type decides what its object is, and comes first, as every server writes it.
struct FrameVisitor<T>(PhantomData<T>);

impl<'de, T: Watched> Visitor<'de> for FrameVisitor<T> {
    type Value = Frame<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Frame<T>, A::Error> {
        let (mut kind, mut frame) = (None, None);
        while let Some(field) = map.next_key()? {
            match (field, &kind) {
                (Field::Type, _) => kind = Some(map.next_value()?),
                (Field::Object, Some(kind)) => {
                    frame = Some(match kind {
                        EventType::Added | EventType::Modified => Frame::Present(map.next_value()?),
                        EventType::Deleted => Frame::Gone(map.next_value()?),
                        EventType::Bookmark => Frame::Bookmark(map.next_value::<T>()?.version().to_owned()),
                        EventType::Error => Frame::Error(map.next_value::<Status>()?.code),
                    });
                }
                (Field::Object, None) => return Err(de::Error::custom("the object comes before its type")),
                (Field::Other, _) => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        frame.ok_or_else(|| de::Error::missing_field("object"))
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Field {
    Type,
    Object,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum EventType {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::json_problem;
    use crate::types::Pod;

    fn decoded(line: &str) -> Result<Frame<Pod>, String> {
        serde_json::from_str(line).map_err(|error| json_problem(&error))
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
            r#"{"object":{"metadata":{"name":"hunter2"}},"type":"ADDED"}"#,
            r#"["hunter2"]"#,
        ];
        for row in rows {
            let problem = decoded(row).unwrap_err();
            assert!(!problem.to_lowercase().contains("hunter2"), "{row}: {problem}");
        }
    }
}
