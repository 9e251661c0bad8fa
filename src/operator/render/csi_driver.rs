//! How kubelet treats the driver's volumes.

use serde_json::{Value, json};

use super::Inputs;
use crate::identity::{DRIVER, MANAGED_ANNOTATION, PROFILE_LABEL};

pub(super) fn object(inputs: Inputs<'_>) -> Value {
    let tokens = inputs.spec.tokens.effective(inputs.live_tokens);
    let mut object = json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "CSIDriver",
        "metadata": {
            "name": DRIVER,
            "labels": {PROFILE_LABEL: "restricted"},
            "annotations": {MANAGED_ANNOTATION: "true"},
        },
        "spec": {
            "attachRequired": false,
            "podInfoOnMount": true,
            "fsGroupPolicy": "File",
            "volumeLifecycleModes": ["Ephemeral"],
            "requiresRepublish": inputs.spec.rotation.effective().is_enabled,
        },
    });
    if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut)
        && !tokens.is_empty()
    {
        spec.insert("tokenRequests".to_owned(), Value::Array(tokens));
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::piece::Piece;
    use crate::render::tests::{desired, inputs, operand};
    use crate::spec::Spec;

    fn spec_of(driver_config: &Value, live: &[Value]) -> Value {
        let spec = Spec::read(&json!({"spec": {"driverConfig": driver_config}})).unwrap();
        let operand = operand();
        let inputs = Inputs { live_tokens: live, ..inputs(&spec, &operand) };
        desired(inputs, Piece::CsiDriver).object["spec"].clone()
    }

    fn store(store: &Value) -> Value {
        json!({"driverType": "SecretsStore", "secretsStore": store})
    }

    #[test]
    fn rotation_decides_whether_kubelet_calls_again() {
        let rows = [
            ("no driverConfig", Value::Null, true),
            ("another driver", json!({"driverType": "AWS"}), true),
            ("left out", store(&json!({})), true),
            ("None", store(&json!({"secretRotation": {"type": "None"}})), false),
            (
                "Custom",
                store(&json!({"secretRotation": {"type": "Custom", "custom": {"minimumRefreshAge": 300}}})),
                true,
            ),
        ];
        for (name, config, expected) in rows {
            assert_eq!(spec_of(&config, &[])["requiresRepublish"], expected, "{name}");
        }
    }

    #[test]
    fn the_token_requests_are_the_operators_only_where_it_is_said() {
        let live = [json!({"audience": "hand-made"})];
        let managed = |list: &Value| {
            store(&json!({"tokenRequests": {"type": "Managed", "managed": {"audiences": list}}}))
        };
        let two = json!([{"audience": "a", "expirationSeconds": 3600}, {"audience": "b"}]);
        let rows = [
            ("no driverConfig", Value::Null, json!(live)),
            ("Unmanaged", store(&json!({"tokenRequests": {"type": "Unmanaged"}})), json!(live)),
            ("Managed", managed(&two), two.clone()),
            ("Managed, empty", managed(&json!([])), Value::Null),
        ];
        for (name, config, expected) in rows {
            assert_eq!(spec_of(&config, &live)["tokenRequests"], expected, "{name}");
        }
        assert!(spec_of(&Value::Null, &[]).get("tokenRequests").is_none(), "an empty list is left out");
    }
}
