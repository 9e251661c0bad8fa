//! Objects of the API server: what is read is what is there, what is written back loses nothing of others, and what is
//! wrong is told without a value.

use std::collections::BTreeMap;
use std::time::Duration;

use base::text::printable;
use kube::error::{ApiError, Call, TransportError};
use kube::types::{
    ClassSeed, CsiDriver, NewSecret, ObjectKey, Parameters, Pod, Secret, SecretMeta, SecretObjects,
    SecretPatch, SecretProviderClass, SecretProviderClassPodStatus,
};
use serde::de::{DeserializeOwned, DeserializeSeed};
use serde_json::{Map, Value};
use sync::secret_object;

use crate::input::Input;
use crate::text::{assert_is_harmless, assert_is_without};

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let kind = input.below(6);
    let code =
        [200, 400, 401, 403, 404, 409, 410, 422, 429, 500, 503, 504, 302, 502, 405, 999][input.below(16)];
    let body = input.rest();
    match kind {
        0 => class(body),
        1 => pod_status(body),
        2 => secret(body),
        3 => drop((read::<Pod>(body), read::<CsiDriver>(body))),
        4 => answer(code, body),
        _ => secret_objects(body),
    }
}

/// As every answer is read; what cannot be is told by its place.
fn read<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    match serde_json::from_slice(body) {
        Ok(object) => Some(object),
        Err(error) => {
            crate::watch_frame::assert_is_a_place(&kube::error::json_problem(&error));
            None
        }
    }
}

fn class(body: &[u8]) {
    let class: Option<SecretProviderClass> = read(body);
    let Some(value) = read::<Value>(body) else { return };
    // A tree has one of two fields with one name; the text of it is read as the tree is.
    let text = value.to_string();
    let from_text = ClassSeed::Usual.deserialize(&mut serde_json::Deserializer::from_str(&text)).unwrap();
    let from_tree = ClassSeed::Usual.deserialize(value.clone()).unwrap();
    assert_eq!(from_text, from_tree);
    let whole = ClassSeed::Whole.deserialize(value.clone()).unwrap();
    match from_text {
        Err(error) => {
            assert_eq!(whole.unwrap_err(), error);
            assert_is_harmless(&error.to_string(), 300);
            keys_apart(&value, &mut |key, text| {
                assert_is_without(&error.to_string(), text.as_bytes(), &[key])
            });
        }
        Ok(read) => {
            if text.as_bytes() == body {
                assert!(class.as_ref() == Some(&read));
            }
            let spec = value.get("spec").cloned().unwrap_or_default();
            let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
            let provider = text(spec.get("provider"));
            assert!(
                read.provider == provider
                    || read.provider.len() > 500 && provider.starts_with(&read.provider)
            );
            let objects = spec.get("secretObjects").cloned().unwrap_or_default();
            assert_eq!(read.secret_objects, serde_json::from_value(objects).unwrap());
            let none = Map::new();
            let parameters = spec.get("parameters").and_then(Value::as_object).unwrap_or(&none);
            let expected: Vec<_> =
                parameters.iter().map(|(key, value)| (key.clone(), text(Some(value)))).collect();
            let Parameters::Held(whole) = whole.unwrap().parameters else { panic!("a small input") };
            assert!(whole.iter().eq(expected.iter().map(|(key, value)| (key.as_str(), value.as_str()))));
            match &read.parameters {
                Parameters::Held(held) => assert_eq!(*held, whole),
                Parameters::TooLarge { count, bytes } => {
                    let as_json =
                        serde_json::to_string(&expected.iter().cloned().collect::<BTreeMap<_, _>>());
                    // Without the braces, and with a comma for each.
                    assert_eq!((*count, *bytes), (expected.len(), as_json.unwrap().len() - 1));
                    assert!(*count > 1024 || *bytes > 128 * 1024);
                }
            }
            assert_eq!(
                read.excess().is_some(),
                read.secret_objects.left_out().is_some()
                    || matches!(read.parameters, Parameters::TooLarge { .. })
            );
            if let Some(excess) = read.excess() {
                assert_is_harmless(&excess, 2000);
            }
        }
    }
}

/// Every text of a value with the path of keys that leads to it.
fn keys_apart(value: &Value, found: &mut dyn FnMut(&str, &str)) {
    fn walk(keys: &str, value: &Value, found: &mut dyn FnMut(&str, &str)) {
        match value {
            Value::String(text) => found(keys, text),
            Value::Array(values) => values.iter().for_each(|value| walk(keys, value, found)),
            Value::Object(values) => {
                values.iter().for_each(|(key, value)| walk(&format!("{keys} {key}"), value, found));
            }
            _ => {}
        }
    }
    walk(
        "spec.parameters metadata namespace resourceVersion the object is not an object a string",
        value,
        found,
    );
}

fn pod_status(body: &[u8]) {
    let Some(status) = read::<SecretProviderClassPodStatus>(body) else { return };
    let written = serde_json::to_value(&status).unwrap();
    let again: SecretProviderClassPodStatus = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(again, status);
    assert_eq!(serde_json::to_value(&again).unwrap(), written);
    // A new one of that name has the name and nothing else.
    let (namespace, name) = (&status.metadata.namespace, &status.metadata.name);
    let new = SecretProviderClassPodStatus::named(namespace, name);
    let again: SecretProviderClassPodStatus =
        serde_json::from_value(serde_json::to_value(&new).unwrap()).unwrap();
    assert_eq!(again, new);
    assert_eq!(ObjectKey::new(namespace, name).to_string(), format!("{namespace}/{name}"));
    // What somebody else wrote is still there.
    let Ok(Value::Object(before)) = serde_json::from_slice(body) else { return };
    keeps(&before, &written, &["apiVersion", "kind", "metadata", "status"]);
    let known = ["name", "namespace", "uid", "resourceVersion", "labels", "ownerReferences"];
    keeps_within("metadata", &before, &written, &known);
    let known = ["podName", "secretProviderClassName", "mounted", "targetPath", "objects"];
    keeps_within("status", &before, &written, &known);
    if let Some(labels) = before.get("metadata").and_then(|metadata| metadata["labels"].as_object()) {
        assert!(labels.is_empty() || written["metadata"]["labels"] == Value::Object(labels.clone()));
    }
}

fn keeps_within(part: &str, before: &Map<String, Value>, written: &Value, known: &[&str]) {
    if let Some(Value::Object(before)) = before.get(part) {
        keeps(before, &written[part], known);
    }
}

fn keeps(before: &Map<String, Value>, written: &Value, known: &[&str]) {
    for (key, value) in before.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
        assert_eq!(written.get(key), Some(value), "{key}");
    }
}

fn secret(body: &[u8]) {
    let meta: Option<SecretMeta> = read(body);
    let Some(secret) = read::<Secret>(body) else { return };
    // Who reads the whole object reads its metadata as well.
    if let Some(meta) = meta {
        assert_eq!(meta, secret.meta);
    }
    assert!(
        secret.meta.is_managed()
            == (secret.meta.labels.get("secrets-store.csi.k8s.io/managed").is_some_and(|v| v == "true"))
    );
    let shown = format!("{secret:?}");
    if let Ok(Value::Object(object)) = serde_json::from_slice(body) {
        let meta = format!("{:?}{}", secret.meta, secret.kind);
        let keys: Vec<_> = secret.data.keys().map(String::as_str).chain([meta.as_str()]).collect();
        secret.data.values().for_each(|value| assert_is_without(&shown, value.expose(), &keys));
        if let Some(data) = object.get("data").and_then(Value::as_object) {
            data.values()
                .filter_map(Value::as_str)
                .for_each(|text| assert_is_without(&shown, text.as_bytes(), &keys));
        }
    }
    let Secret { meta, kind, data } = &secret;
    let new = NewSecret {
        key: &meta.key,
        kind,
        labels: &meta.labels,
        annotations: &meta.annotations,
        owners: &meta.owners,
        data,
    };
    let again: Secret = serde_json::from_value(serde_json::to_value(&new).unwrap()).unwrap();
    assert_eq!((&again.data, &again.kind, &again.meta.key), (data, kind, &meta.key));
    assert_eq!((&again.meta.labels, &again.meta.annotations), (&meta.labels, &meta.annotations));
    assert_eq!(again.meta.owners, meta.owners);
    patch(&secret);
}

/// A patch with everything of a Secret, and with every second key taken away.
fn patch(secret: &Secret) {
    let Secret { meta, data, .. } = secret;
    let mut at = 0;
    let mut every_second = |value| {
        at += 1;
        Some(value).filter(|_| at % 2 == 1)
    };
    let data: BTreeMap<_, _> = data.iter().map(|(key, value)| (key.as_str(), every_second(value))).collect();
    let texts = |map: &'_ BTreeMap<String, String>| map.is_empty();
    let patch = SecretPatch {
        key: &meta.key,
        resource_version: &meta.resource_version,
        labels: meta.labels.iter().map(|(key, value)| (key.as_str(), Some(value.as_str()))).collect(),
        annotations: meta.annotations.keys().map(|key| (key.as_str(), None)).collect(),
        owners: Some(meta.owners.as_slice()).filter(|owners| !owners.is_empty()),
        data,
    };
    let written = serde_json::to_value(&patch).unwrap();
    assert_eq!(written["metadata"]["resourceVersion"], *meta.resource_version);
    assert_eq!(written["metadata"].get("labels").is_none(), texts(&meta.labels));
    let none = Map::new();
    let fields = written.get("data").and_then(Value::as_object).unwrap_or(&none);
    assert_eq!(fields.len(), patch.data.len());
    for (key, value) in &patch.data {
        let kept: Option<Secret> = read(format!("{{\"data\":{{\"k\":{}}}}}", fields[*key]).as_bytes());
        let expected = value.cloned().unwrap_or_default();
        assert_eq!(kept.unwrap().data["k"], expected);
        assert_eq!(fields[*key].is_null(), value.is_none());
    }
}

/// What goes wrong on the way is told in words that are made printable where they come from.
fn transport_errors(text: &str) {
    let cause = printable(text, 300);
    assert_is_harmless(&cause, 300);
    assert!(text.chars().any(char::is_control) || text.len() > 300 || !text.is_ascii() || cause == text);
    let call = |namespace: &str| {
        let (resource, namespace) = ("pods".to_owned(), namespace.to_owned());
        Box::new(Call { verb: "get", resource, namespace, name: "web".to_owned() })
    };
    let lost = [
        TransportError::Connect { cause: cause.clone() },
        TransportError::Lost { cause: cause.clone() },
        TransportError::Timeout,
        TransportError::Tls { cause: cause.clone() },
        TransportError::TooLarge { limit: 4096 },
        TransportError::Protocol { cause: "the answer is malformed" },
    ];
    for (at, error) in lost.into_iter().enumerate() {
        let error = ApiError::Transport { call: call("team"), error };
        assert_eq!(error.is_retryable(), at < 3, "{error}");
        assert_is_harmless(&error.to_string(), 500);
        assert!(error.code().is_none() && error.reason().is_empty() && error.retry_after().is_none());
    }
    let rest = [
        ApiError::OutOfTime { call: call("") },
        ApiError::Shape { call: call("team"), problem: cause.clone() },
        ApiError::Encode { call: call("") },
        ApiError::InvalidName { what: "name", value: cause },
    ];
    for (at, error) in rest.into_iter().enumerate() {
        assert_eq!(error.is_retryable(), at == 0, "{error}");
        assert!(!error.is_not_found() && !error.is_conflict());
        assert_is_harmless(&error.to_string(), 500);
    }
}

fn answer(code: u16, body: &[u8]) {
    transport_errors(&String::from_utf8_lossy(body));
    let call = || {
        let (resource, namespace, name) = ("secrets".to_owned(), "team".to_owned(), "db".to_owned());
        Box::new(Call { verb: "get", resource, namespace, name })
    };
    let told = ApiError::from_answer(call(), code, None, body);
    let about_secret = ApiError::from_answer_about_secret(call(), code, Some(Duration::from_secs(3)), body);
    for error in [&told, &about_secret] {
        assert_is_harmless(&error.to_string(), 1024 + 100);
        assert_is_harmless(error.reason(), 64);
        assert_eq!(error.code(), Some(code));
        assert_eq!(error.is_not_found(), code == 404);
        assert_eq!(error.is_forbidden(), code == 403);
        assert_eq!(error.is_gone(), code == 410);
        assert_eq!(error.is_unauthorized(), code == 401);
        assert_eq!(error.is_too_many_requests(), code == 429);
        assert!(!(error.is_conflict() && error.is_already_exists()));
        assert!(!error.is_undecided() || (error.is_retryable() && error.is_forbidden()));
        assert!(!error.is_refused_by_policy() || error.is_forbidden());
    }
    assert_eq!(about_secret.retry_after(), Some(Duration::from_secs(3)));
    about_secret_tells_no_content(code, body);
}

/// The server, or a policy that it asks, may repeat what it was sent, wherever it uses words of its own: in the
/// message, and in causes that quote a value. Such words of ours in their place must not come out.
fn about_secret_tells_no_content(code: u16, body: &[u8]) {
    let Ok(mut status) = serde_json::from_slice::<Value>(body) else { return };
    if !status.is_object() || String::from_utf8_lossy(body).contains(CANARY) {
        return;
    }
    // A refusal in the server's own words is passed on; those repeat nothing.
    let is_refusal = code == 403;
    if !is_refusal {
        status["message"] = CANARY.into();
    }
    let causes = status.pointer_mut("/details/causes").and_then(Value::as_array_mut);
    for cause in causes.into_iter().flatten().filter_map(Value::as_object_mut) {
        let text = |name: &str| cause.get(name).and_then(Value::as_str).unwrap_or_default();
        let quotes =
            !["FieldValueRequired", "FieldValueForbidden", "FieldValueTooLong"].contains(&text("reason"));
        if quotes && !text("field").starts_with("metadata.") {
            cause.insert("message".to_owned(), CANARY.into());
        }
    }
    let call = Call {
        verb: "patch",
        resource: "secrets".to_owned(),
        namespace: "team".to_owned(),
        name: "db".to_owned(),
    };
    let error = ApiError::from_answer_about_secret(Box::new(call), code, None, status.to_string().as_bytes());
    assert!(!error.to_string().contains(CANARY) && !format!("{error:?}").contains(CANARY), "{error}");
}

/// In no input but those that look for it.
const CANARY: &str = "made-up-content-that-nobody-may-see";

fn secret_objects(body: &[u8]) {
    let Some(value) = read::<Value>(body) else { return };
    let kept: SecretObjects = serde_json::from_value(value.clone()).unwrap();
    let objects = secret_object::parse(&kept);
    let entries = match &value {
        Value::Null => 0,
        Value::Array(entries) => entries.len(),
        _ => 1,
    };
    match kept.left_out() {
        Some((first, all)) => {
            assert!(objects.len() == first && all == entries && first < all && first <= 128)
        }
        None => assert_eq!(objects.len(), entries),
    }
    for (index, object) in objects.into_iter().enumerate() {
        let object = match object {
            Ok(object) => object,
            Err(error) => {
                assert!(error.index.is_none_or(|told| told == index));
                assert_is_harmless(&error.to_string(), 800);
                continue;
            }
        };
        assert!(is_name(&object.name), "{}", object.name);
        assert!(!object.kind.is_empty() && !object.data.is_empty());
        for item in &object.data {
            assert!(is_key(&item.key) && !item.object.is_empty(), "{} {}", item.object, item.key);
        }
        // What was taken is taken again, as the same.
        let items: Vec<_> = object
            .data
            .iter()
            .map(|item| serde_json::json!({"objectName": item.object, "key": item.key}))
            .collect();
        let written = serde_json::json!([{
            "secretName": object.name, "type": object.kind, "labels": object.labels,
            "annotations": object.annotations, "data": items,
        }]);
        assert_eq!(secret_object::parse(&serde_json::from_value(written).unwrap()), [Ok(object)]);
    }
}

/// The rule of Kubernetes for names, as its documents have it.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let ends = |c: char| c.is_ascii_digit() || c.is_ascii_lowercase();
        label.starts_with(ends) && label.ends_with(ends) && label.chars().all(|c| ends(c) || c == '-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

fn is_key(key: &str) -> bool {
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=253).contains(&key.len()) && key != "." && !key.starts_with("..") && key.chars().all(is_good)
}
