//! One line of a watch: what is read is what the line says, and what cannot be read is told by its place alone.

use kube::error::json_problem;
use kube::types::{Pod, SecretMeta, SecretProviderClass, Watched, is_older};
use kube::watch::frame::Frame;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::input::Input;

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let kind = input.below(3);
    let line = input.rest();
    match kind {
        0 => frame::<Pod>(line),
        1 => frame::<SecretMeta>(line),
        _ => frame::<SecretProviderClass>(line),
    }
    let mut input = Input::new(line);
    order(&input.text(), &input.text(), &input.text());
}

fn frame<T: Watched + std::fmt::Debug>(line: &[u8]) {
    let decoded = serde_json::from_slice::<Frame<T>>(line);
    let value: Option<Value> = serde_json::from_slice(line).ok();
    let frame = match decoded {
        Ok(frame) => frame,
        Err(error) => return assert_is_a_place(&json_problem(&error)),
    };
    assert!(serde_json::from_slice::<IgnoredAny>(line).is_ok(), "no JSON was read as {frame:?}");
    // What is in fields that nobody asked for is skipped, and may be a text or a number that no other reader takes.
    let Some(value) = value else { return };
    // An object may also be written as the list of its fields, which no server does.
    let (Value::Object(line), Some(kind)) = (&value, value["type"].as_str()) else { return };
    let version = line["object"].pointer("/metadata/resourceVersion").and_then(Value::as_str);
    let is_usual = line["object"].is_object() && line["object"]["metadata"].is_object();
    let check_object = |object: &T| {
        if is_usual {
            assert_eq!(object.version(), version.unwrap_or_default());
            let text = |name: &str| line["object"]["metadata"][name].as_str().unwrap_or_default();
            assert_eq!((&*object.key().namespace, &*object.key().name), (text("namespace"), text("name")));
        }
    };
    match frame {
        Frame::Present(object) => {
            assert!(matches!(kind, "ADDED" | "MODIFIED"), "{kind}");
            check_object(&object);
        }
        Frame::Gone(object) => {
            assert_eq!(kind, "DELETED");
            check_object(&object);
        }
        Frame::Bookmark(reached) => {
            assert_eq!(kind, "BOOKMARK");
            assert!(!is_usual || reached == version.unwrap_or_default());
        }
        Frame::Error(code) => {
            assert_eq!(kind, "ERROR");
            let told = line["object"].get("code").and_then(Value::as_u64).unwrap_or_default();
            assert!(!line["object"].is_object() || u64::from(code) == told, "{code} {told}");
        }
    }
}

/// The words are ours, and the numbers say where.
pub fn assert_is_a_place(problem: &str) {
    let words = ["it ends early", "it is not JSON", "a field has the wrong type"];
    let place = words.iter().find_map(|words| problem.strip_prefix(words));
    let place = place.and_then(|place| place.strip_prefix(" (line ")?.strip_suffix(')'));
    let numbers = place.and_then(|place| place.split_once(", column "));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    assert!(numbers.is_some_and(|(line, column)| is_number(line) && is_number(column)), "{problem:?}");
}

/// Versions are in one order, as numbers are.
fn order(a: &str, b: &str, c: &str) {
    assert!(!(is_older(a, b) && is_older(b, a)), "{a} {b}");
    assert!(!(is_older(a, b) && is_older(b, c)) || is_older(a, c), "{a} {b} {c}");
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match (a.parse::<u128>(), b.parse::<u128>()) {
        (Ok(one), Ok(other)) if is_number(a) && is_number(b) => assert_eq!(is_older(a, b), one < other),
        _ => assert!(!is_older(a, b) || (is_number(a) && is_number(b)), "{a} {b}"),
    }
}
