//! Objects whose whole content is the operator's: service account, roles, bindings, network policy, config map.

use serde_json::{Map, Value, json};

use super::{Action, fresh, metadata};
use crate::identity::TRUSTED_CA_KEY;
use kube::object::Preconditions;

/// Compares metadata and these top-level fields; a field that is empty is one that is not there.
pub(super) fn plan(desired: &Value, live: &Value, fields: &[&str]) -> Action {
    let mut next = metadata::merged(desired, live);
    for field in fields {
        let (wanted, found) = (desired.get(*field), live.get(*field));
        if !is_same(wanted, found) {
            put(next.get_or_insert_with(|| live.clone()), field, wanted);
        }
    }
    next.map_or(Action::Nothing, Action::Update)
}

/// The bundle in it is OpenShift's; every other key should not be there.
pub(super) fn plan_config_map(desired: &Value, live: &Value) -> Action {
    let bundle = |data: &Value| {
        let all = data.as_object().into_iter().flatten();
        all.filter(|(key, _)| *key == TRUSTED_CA_KEY)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    let kept: Map<String, Value> = live.get("data").map(bundle).unwrap_or_default();
    let mut wanted = desired.clone();
    put(&mut wanted, "data", Some(&Value::Object(kept)));
    plan(&wanted, live, &["data", "binaryData"])
}

/// A binding that is for another role cannot be changed, only replaced.
pub(super) fn plan_binding(desired: &Value, live: &Value) -> Action {
    if !is_same(desired.get("roleRef"), live.get("roleRef")) {
        return Action::Recreate { delete: Preconditions::of(live), create: fresh(desired) };
    }
    // The server may write the group of a service account, which is empty, or leave it out.
    let mut comparable = live.clone();
    for subject in comparable.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(fields) = subject.as_object_mut()
            && fields.get("apiGroup").is_some_and(|group| *group == "")
        {
            fields.remove("apiGroup");
        }
    }
    if is_same(desired.get("subjects"), comparable.get("subjects")) {
        return plan(desired, live, &[]);
    }
    plan(desired, live, &["subjects"])
}

fn is_same(wanted: Option<&Value>, found: Option<&Value>) -> bool {
    let something = |value: Option<&Value>| value.filter(|value| !is_empty(value)).cloned();
    something(wanted) == something(found)
}

fn is_empty(value: &Value) -> bool {
    *value == Value::Null || *value == json!({}) || *value == json!([])
}

fn put(object: &mut Value, field: &str, value: Option<&Value>) {
    let Some(fields) = object.as_object_mut() else { return };
    match value {
        Some(value) => fields.insert(field.to_owned(), value.clone()),
        None => fields.remove(field),
    };
}

#[cfg(test)]
mod tests {
    use super::super::tests::{one, stored};
    use super::*;
    use crate::piece::Piece;

    #[test]
    fn the_bundle_that_openshift_has_filled_in_stays_and_other_keys_go() {
        let desired = one(Piece::TrustedCa);
        let mut live = stored(&desired);
        live["data"] = json!({"ca-bundle.crt": "authorities"});
        assert_eq!(super::super::plan(&desired, Some(&live), None), Action::Nothing);
        live["data"]["other"] = json!("x");
        live["binaryData"] = json!({"y": ""});
        let Action::Update(next) = super::super::plan(&desired, Some(&live), None) else { panic!() };
        assert_eq!(next["data"], json!({"ca-bundle.crt": "authorities"}));
        assert!(next.get("binaryData").is_none());
    }

    #[test]
    fn a_binding_of_another_role_is_made_anew() {
        let desired = one(Piece::DriverBinding);
        let mut live = stored(&desired);
        live["roleRef"]["name"] = json!("cluster-admin");
        let action = super::super::plan(&desired, Some(&live), None);
        let delete = Preconditions { uid: "1-2".into(), resource_version: "7".into() };
        assert_eq!(action, Action::Recreate { delete, create: desired.object });
    }

    #[test]
    fn an_empty_group_in_a_subject_is_no_difference() {
        let desired = one(Piece::DriverBinding);
        let mut live = stored(&desired);
        live["subjects"][0]["apiGroup"] = json!("");
        assert_eq!(super::super::plan(&desired, Some(&live), None), Action::Nothing);
    }

    #[test]
    fn what_a_service_account_has_of_others_is_no_difference() {
        let desired = one(Piece::ServiceAccount);
        let mut live = stored(&desired);
        live["secrets"] = json!([{"name": "x"}]);
        live["imagePullSecrets"] = json!([{"name": "y"}]);
        assert_eq!(super::super::plan(&desired, Some(&live), None), Action::Nothing);
    }
}
