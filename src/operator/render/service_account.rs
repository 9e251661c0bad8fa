//! Who the driver's pods are.

use serde_json::{Value, json};

use crate::identity::NODE_ACCOUNT;

pub(super) fn object(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": NODE_ACCOUNT, "namespace": namespace},
    })
}
