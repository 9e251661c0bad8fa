//! Secrets to and from JSON.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;

fn read(object: Value) -> Secret {
    serde_json::from_slice(object.to_string().as_bytes()).unwrap()
}

fn bytes(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

fn managed_fields() -> Value {
    json!([
        {"manager": "csi-secrets-store", "operation": "Update", "time": "2026-01-02T03:04:05Z", "fieldsV1": {
            "f:data": {".": {}, "f:user": {}},
            "f:metadata": {"f:labels": {".": {}, "f:env": {}}, "f:annotations": {"f:a/b": {}},
                "f:ownerReferences": {"k:{\"uid\":\"x\"}": {}}},
            "f:type": {}}},
        {"manager": "csi-secrets-store", "time": "2026-01-02T03:04:04Z", "fieldsV1": {"f:data": {"f:pass": {}}}},
        {"manager": "kubectl", "time": "2027-01-01T00:00:00Z", "fieldsV1": {"f:metadata": {"f:labels": {"f:x": {}}}}},
        {"manager": "nobody", "fieldsV1": null},
    ])
}

#[test]
fn a_secret_is_read_with_its_content_wrapped() {
    let secret = read(json!({
        "kind": "Secret", "type": "Opaque", "data": {"user": "YWRtaW4=", "empty": null, "nothing": ""},
        "metadata": {"namespace": "team", "name": "db", "uid": "u", "resourceVersion": "12",
            "labels": {"secrets-store.csi.k8s.io/managed": "true"}},
    }));
    assert_eq!(secret.data["user"], bytes("admin"));
    assert!(secret.data["empty"].is_empty() && secret.data["nothing"].is_empty());
    assert_eq!((secret.kind.as_str(), secret.meta.version()), ("Opaque", "12"));
    assert!(secret.meta.is_managed());
    assert!(!format!("{secret:?}").contains("admin"));
}

#[test]
fn content_that_is_not_base64_is_refused_without_being_shown() {
    let refused = serde_json::from_value::<Secret>(json!({"data": {"k": "hunter2!"}})).unwrap_err();
    assert!(!refused.to_string().contains("hunter2"), "{refused}");
}

#[test]
fn only_the_label_with_its_value_means_managed() {
    let rows = [
        (json!({}), false),
        (json!({"secrets-store.csi.k8s.io/managed": "false"}), false),
        (json!({"secrets-store.csi.k8s.io/managed": ""}), false),
        (json!({"secrets-store.csi.k8s.io/managed": "true"}), true),
    ];
    for (labels, is_managed) in rows {
        let meta: SecretMeta = serde_json::from_value(json!({"metadata": {"labels": labels}})).unwrap();
        assert_eq!(meta.is_managed(), is_managed, "{:?}", meta.labels);
    }
}

#[test]
fn the_writers_of_fields_are_told_apart() {
    let meta: SecretMeta =
        serde_json::from_value(json!({"metadata": {"managedFields": managed_fields()}})).unwrap();
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(meta.writers.data.ours, set(&["user", "pass"]));
    assert_eq!(meta.writers.labels.ours, set(&["env"]));
    assert_eq!(meta.writers.annotations.ours, set(&["a/b"]));
    assert_eq!(meta.writers.at, "2026-01-02T03:04:05Z");
    assert_eq!(&*meta.writers.labels.theirs["x"], "kubectl");
    assert!(meta.writers.data.theirs.is_empty(), "a label is no content");
    let others = json!([
        {"manager": "csi-secrets-store", "time": "2026-01-02T03:04:05Z",
            "fieldsV1": {"f:data": {"f:user": {}, "f:pass": {}}}},
        {"manager": "kubectl", "time": "2027-01-01T00:00:00Z", "fieldsV1": {"f:data": {".": {}, "f:user": {}}}},
        {"manager": "csi-secrets-store-operator", "fieldsV1": {"f:data": {"f:more": {}}}},
    ]);
    let meta: SecretMeta = serde_json::from_value(json!({"metadata": {"managedFields": others}})).unwrap();
    let data = &meta.writers.data;
    assert_eq!(data.ours, set(&["user", "pass"]), "another name is another writer");
    assert_eq!(data.theirs.keys().map(String::as_str).collect::<Vec<_>>(), ["more", "user"]);
    assert_eq!(meta.writers.at, "2026-01-02T03:04:05Z", "the driver's own time");
    let mut before = meta.writers.clone();
    assert!(!meta.writers.took_from_others(&before));
    before.data.ours.remove("pass");
    assert!(meta.writers.took_from_others(&before) && !before.took_from_others(&meta.writers));
    assert!(data.is_ours_alone("pass") && data.is_ours("user"));
    assert!(!data.is_ours_alone("user") && !data.is_ours("more"), "applied by both, or by another");
}

#[test]
fn a_bookmark_decodes_as_a_version_and_nothing_else() {
    let object = json!({"kind": "PartialObjectMetadata", "metadata": {"resourceVersion": "99"}});
    let meta: SecretMeta = serde_json::from_value(object).unwrap();
    assert_eq!(meta, SecretMeta { resource_version: "99".into(), ..SecretMeta::default() });
}

#[test]
fn a_new_secret_is_written_with_base64_content() {
    let key = ObjectKey::new("team", "db");
    let labels = BTreeMap::from([(MANAGED_LABEL.to_owned(), MANAGED.to_owned())]);
    let owner = OwnerReference { kind: "Pod".into(), uid: "u".into(), ..OwnerReference::default() };
    let data = BTreeMap::from([("user".to_owned(), bytes("admin"))]);
    let secret = NewSecret {
        key: &key,
        kind: "Opaque",
        labels: &labels,
        annotations: &BTreeMap::new(),
        owners: std::slice::from_ref(&owner),
        data: &data,
    };
    let expected = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {"name": "db", "namespace": "team", "labels": {MANAGED_LABEL: "true"},
            "ownerReferences": [{"apiVersion": "", "kind": "Pod", "name": "", "uid": "u"}]},
        "data": {"user": "YWRtaW4="},
    });
    assert_eq!(serde_json::to_value(&secret).unwrap(), expected);
    assert!(secret.size_hint() >= serde_json::to_vec(&secret).unwrap().len());
}

#[test]
fn a_patch_names_what_changes_and_what_goes_and_nothing_else() {
    let key = ObjectKey::new("team", "db");
    let value = bytes("new");
    let mut patch = SecretPatch {
        key: &key,
        resource_version: "7",
        labels: BTreeMap::from([("env", Some("test")), ("old", None)]),
        annotations: BTreeMap::new(),
        owners: None,
        data: BTreeMap::from([("user", Some(&value)), ("gone", None)]),
    };
    let expected = json!({
        "metadata": {"resourceVersion": "7", "labels": {"env": "test", "old": null}},
        "data": {"user": "bmV3", "gone": null},
    });
    assert_eq!(serde_json::to_value(&patch).unwrap(), expected);
    patch.labels.clear();
    patch.data.clear();
    patch.owners = Some(&[]);
    let expected = json!({"metadata": {"resourceVersion": "7", "ownerReferences": []}});
    assert_eq!(serde_json::to_value(&patch).unwrap(), expected);
}
