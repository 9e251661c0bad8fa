//! The CSIDriver: changed in place wherever the API allows that, since while there is none no pod with a volume of this
//! driver can start.

use serde_json::{Map, Value, json};

use super::{Action, fresh, metadata};
use crate::identity::PROFILE_LABEL;
use kube::object::Preconditions;

pub(super) fn plan(desired: &Value, live: &Value) -> Action {
    if IMMUTABLE.iter().any(|field| differs(field, desired, live)) {
        return recreate(desired, live);
    }
    let desired = with_profile_of(live, desired);
    let mut next = metadata::merged(&desired, live);
    for field in MUTABLE.iter().filter(|field| differs(field, &desired, live)) {
        let spec = next.get_or_insert_with(|| live.clone());
        if let Some(spec) = spec.get_mut("spec").and_then(Value::as_object_mut) {
            match owned(field, &desired) {
                Value::Null => drop(spec.remove(*field)),
                value => drop(spec.insert((*field).to_owned(), value)),
            }
        }
    }
    if let Some(spec) = next.as_mut().and_then(|next| next.get_mut("spec")) {
        drop_what_tokens_need(spec);
    }
    next.map_or(Action::Nothing, Action::Update)
}

/// The server refuses a CSIDriver that says how tokens come and requests none, so an administrator's word on that goes
/// with the last request.
fn drop_what_tokens_need(spec: &mut Value) {
    let requests_none = spec.get("tokenRequests").and_then(Value::as_array).is_none_or(Vec::is_empty);
    if let (true, Some(spec)) = (requests_none, spec.as_object_mut()) {
        spec.remove("serviceAccountTokenInSecrets");
    }
}

/// The same object anew: with the operator's fields, and everything of the metadata and the spec that is others'.
pub(super) fn recreate(desired: &Value, live: &Value) -> Action {
    let mut create = with_profile_of(live, desired);
    for kind in ["labels", "annotations"] {
        keep(&mut create, &["metadata", kind], live.pointer(&format!("/metadata/{kind}")));
    }
    keep(&mut create, &["spec"], live.get("spec"));
    if let Some(spec) = create.get_mut("spec") {
        drop_what_tokens_need(spec);
    }
    if let Some(owners) = live.pointer("/metadata/ownerReferences").filter(|owners| owners.is_array())
        && let Some(metadata) = create.get_mut("metadata").and_then(Value::as_object_mut)
    {
        metadata.insert("ownerReferences".to_owned(), owners.clone());
    }
    Action::Recreate { delete: Preconditions::of(live), create: fresh(&create) }
}

/// The tokenRequests of a CSIDriver.
pub fn live_tokens(live: &Value) -> Vec<Value> {
    live.pointer("/spec/tokenRequests").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// An administrator may let other namespaces use the driver: the label keeps the value that it has.
fn with_profile_of(live: &Value, desired: &Value) -> Value {
    let mut desired = desired.clone();
    let profile = live.pointer("/metadata/labels").and_then(|labels| labels.get(PROFILE_LABEL));
    if let Some(profile) = profile
        && let Some(labels) = desired.pointer_mut("/metadata/labels").and_then(Value::as_object_mut)
    {
        labels.insert(PROFILE_LABEL.to_owned(), profile.clone());
    }
    desired
}

/// Adds what `live` has and `object` says nothing about.
fn keep(object: &mut Value, path: &[&str], live: Option<&Value>) {
    let mut place = object;
    for step in path {
        let Some(fields) = place.as_object_mut() else { return };
        place = fields.entry(*step).or_insert_with(|| Value::Object(Map::new()));
    }
    let Some(fields) = place.as_object_mut() else { return };
    for (name, value) in live.and_then(Value::as_object).into_iter().flatten() {
        let is_owned =
            path == ["spec"] && (IMMUTABLE.contains(&name.as_str()) || MUTABLE.contains(&name.as_str()));
        if !is_owned && !fields.contains_key(name) && !fields.contains_key(&format!("{name}-")) {
            fields.insert(name.clone(), value.clone());
        }
    }
}

fn differs(field: &str, desired: &Value, live: &Value) -> bool {
    owned(field, desired) != owned(field, live)
}

/// The field in a form in which what means the same is the same; null where it is not there.
fn owned(field: &str, object: &Value) -> Value {
    let value = object.get("spec").and_then(|spec| spec.get(field)).cloned().unwrap_or_default();
    match (field, value) {
        (_, Value::Array(entries)) if entries.is_empty() => Value::Null,
        ("volumeLifecycleModes", Value::Array(mut modes)) => {
            modes.sort_by(|one, other| one.as_str().cmp(&other.as_str()));
            modes.dedup();
            Value::Array(modes)
        }
        // The server's own defaults.
        ("attachRequired", Value::Null) => json!(true),
        ("podInfoOnMount" | "requiresRepublish", Value::Null) => json!(false),
        (_, value) => value,
    }
}

/// What no version of the API lets be changed.
const IMMUTABLE: [&str; 2] = ["attachRequired", "volumeLifecycleModes"];
/// The rest of what the operator asks for.
const MUTABLE: [&str; 4] = ["podInfoOnMount", "fsGroupPolicy", "requiresRepublish", "tokenRequests"];

#[cfg(test)]
mod tests {
    use super::super::tests::{one, set, stored};
    use super::*;
    use crate::piece::Piece;
    use crate::render::tests::{desired, inputs, operand};
    use crate::render::{Desired, Inputs};
    use crate::spec::Spec;

    fn planned(desired: &Desired, live: &Value) -> Action {
        super::super::plan(desired, Some(live), None)
    }

    fn updated(action: Action) -> Value {
        match action {
            Action::Update(object) => object,
            other => panic!("not an update: {other:?}"),
        }
    }

    #[test]
    fn the_profile_keeps_the_value_that_an_administrator_gave_it_and_comes_back_when_it_is_removed() {
        let desired = one(Piece::CsiDriver);
        let mut live = stored(&desired);
        live["metadata"]["labels"][PROFILE_LABEL] = json!("baseline");
        assert_eq!(planned(&desired, &live), Action::Nothing);
        live["metadata"]["labels"] = json!({"x": "y"});
        let next = updated(planned(&desired, &live));
        assert_eq!(next["metadata"]["labels"], json!({"x": "y", PROFILE_LABEL: "restricted"}));
    }

    #[test]
    fn a_change_of_what_cannot_be_changed_makes_it_anew_with_everything_that_is_others() {
        let spec = Spec::default();
        let operand = operand();
        let tokens = [json!({"audience": "hand-made", "expirationSeconds": 700})];
        let desired = desired(Inputs { live_tokens: &tokens, ..inputs(&spec, &operand) }, Piece::CsiDriver);
        for (pointer, value) in [
            ("/spec/attachRequired", json!(true)),
            ("/spec/volumeLifecycleModes", json!(["Persistent"])),
            ("/spec/volumeLifecycleModes", json!(["Ephemeral", "Persistent"])),
        ] {
            let mut live = stored(&desired);
            set(&mut live, pointer, value);
            live["spec"]["seLinuxMount"] = json!(true);
            live["metadata"]["labels"][PROFILE_LABEL] = json!("baseline");
            live["metadata"]["annotations"]["x"] = json!("y");
            let Action::Recreate { delete, create } = planned(&desired, &live) else { panic!("{pointer}") };
            assert_eq!(delete, Preconditions { uid: "1-2".into(), resource_version: "7".into() });
            assert_eq!(create["spec"]["tokenRequests"], json!(tokens));
            assert_eq!(create["spec"]["seLinuxMount"], true);
            assert_eq!(create["spec"]["volumeLifecycleModes"], json!(["Ephemeral"]));
            assert_eq!(create["spec"]["attachRequired"], false);
            assert_eq!(create["metadata"]["labels"][PROFILE_LABEL], "baseline");
            assert_eq!(create["metadata"]["annotations"]["x"], "y");
            assert!(create["metadata"].get("uid").is_none());
            assert!(create["metadata"].get("resourceVersion").is_none());
        }
    }

    #[test]
    fn an_audience_that_was_added_by_hand_to_a_managed_list_goes_and_one_that_was_removed_comes_back() {
        let managed = |list: Value| {
            let store = json!({"tokenRequests": {"type": "Managed", "managed": {"audiences": list}}});
            let config = json!({"driverType": "SecretsStore", "secretsStore": store});
            let spec = Spec::read(&json!({"spec": {"driverConfig": config}})).unwrap();
            let operand = operand();
            desired(inputs(&spec, &operand), Piece::CsiDriver)
        };
        let rows = [
            ("added", json!([{"audience": "a"}]), json!([{"audience": "a"}, {"audience": "b"}])),
            ("added to none", json!([]), json!([{"audience": "b"}])),
            ("removed", json!([{"audience": "a"}]), Value::Null),
            (
                "another order",
                json!([{"audience": "a"}, {"audience": "b"}]),
                json!([{"audience": "b"}, {"audience": "a"}]),
            ),
            (
                "another expiration",
                json!([{"audience": "a", "expirationSeconds": 600}]),
                json!([{"audience": "a", "expirationSeconds": 700}]),
            ),
        ];
        for (name, list, found) in rows {
            let desired = managed(list.clone());
            let mut live = stored(&desired);
            set(&mut live, "/spec/tokenRequests", found);
            let next = updated(planned(&desired, &live));
            let empty = json!([]);
            assert_eq!(next["spec"].get("tokenRequests").unwrap_or(&empty), &list, "{name}");
        }
    }

    #[test]
    fn fields_that_the_operator_says_nothing_about_are_left() {
        let (spec, operand) = (Spec::default(), operand());
        let tokens = [json!({"audience": "by-hand"})];
        let desired = desired(Inputs { live_tokens: &tokens, ..inputs(&spec, &operand) }, Piece::CsiDriver);
        let mut live = stored(&desired);
        live["spec"]["storageCapacity"] = json!(false);
        live["spec"]["seLinuxMount"] = json!(false);
        live["spec"]["serviceAccountTokenInSecrets"] = json!(true);
        assert_eq!(planned(&desired, &live), Action::Nothing);
        live["spec"]["requiresRepublish"] = json!(false);
        let next = updated(planned(&desired, &live));
        assert_eq!(next["spec"]["serviceAccountTokenInSecrets"], true);
    }

    #[test]
    fn how_tokens_come_is_not_said_where_none_is_requested() {
        let desired = one(Piece::CsiDriver);
        let mut live = stored(&desired);
        live["spec"]["serviceAccountTokenInSecrets"] = json!(true);
        live["spec"]["tokenRequests"] = json!([{"audience": "by-hand"}]);
        assert_eq!(updated(planned(&desired, &live)), stored(&desired));
        live["spec"]["attachRequired"] = json!(true);
        let Action::Recreate { create, .. } = planned(&desired, &live) else { panic!("attachRequired") };
        assert_eq!(create["spec"].get("serviceAccountTokenInSecrets"), None);
    }

    #[test]
    fn a_server_that_refuses_the_change_is_given_a_new_object() {
        let desired = one(Piece::CsiDriver);
        let live = stored(&desired);
        let after = super::super::plan_after_refusal(&desired, &live);
        assert!(matches!(after, Some(Action::Recreate { .. })), "{after:?}");
        let other = one(Piece::DaemonSet);
        assert_eq!(super::super::plan_after_refusal(&other, &stored(&other)), None);
    }
}
