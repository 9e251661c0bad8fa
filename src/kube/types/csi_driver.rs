//! CSIDriver: how kubelet is told to treat a driver's volumes.

use serde::Deserialize;

use super::null_as_empty;

/// A CSIDriver object, as far as the doctor reads it. It is never written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Raw")]
pub struct CsiDriver {
    /// Kubelet tells the driver which pod a volume is for.
    pub pod_info_on_mount: bool,
    /// A volume has to be attached to the node before it is mounted; the API's own default.
    pub attach_required: bool,
    /// `Persistent`, `Ephemeral`.
    pub modes: Vec<String>,
    /// Kubelet calls again and again for a volume that is mounted.
    pub requires_republish: bool,
    /// Audiences of the service account tokens that kubelet hands over; an empty one is the API server's own.
    pub audiences: Vec<String>,
    /// Tokens travel in the field for secrets, not among the volume's attributes.
    pub tokens_in_secrets: bool,
    /// Who changes the group of a volume's files.
    pub fs_group_policy: String,
}

impl From<Raw> for CsiDriver {
    fn from(Raw { spec }: Raw) -> CsiDriver {
        CsiDriver {
            pod_info_on_mount: spec.pod_info_on_mount.unwrap_or_default(),
            attach_required: spec.attach_required.unwrap_or(true),
            modes: spec.volume_lifecycle_modes,
            requires_republish: spec.requires_republish.unwrap_or_default(),
            audiences: spec.token_requests.into_iter().map(|request| request.audience).collect(),
            tokens_in_secrets: spec.service_account_token_in_secrets.unwrap_or_default(),
            fs_group_policy: spec.fs_group_policy,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    #[serde(deserialize_with = "null_as_empty")]
    spec: RawSpec,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawSpec {
    pod_info_on_mount: Option<bool>,
    attach_required: Option<bool>,
    #[serde(deserialize_with = "null_as_empty")]
    volume_lifecycle_modes: Vec<String>,
    requires_republish: Option<bool>,
    #[serde(deserialize_with = "null_as_empty")]
    token_requests: Vec<RawTokenRequest>,
    service_account_token_in_secrets: Option<bool>,
    #[serde(deserialize_with = "null_as_empty")]
    fs_group_policy: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawTokenRequest {
    #[serde(deserialize_with = "null_as_empty")]
    audience: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_whole_object_is_read() {
        let driver: CsiDriver = serde_json::from_value(json!({
            "kind": "CSIDriver",
            "metadata": {"name": "secrets-store.csi.k8s.io"},
            "spec": {
                "podInfoOnMount": true, "attachRequired": false, "volumeLifecycleModes": ["Ephemeral"],
                "requiresRepublish": true, "fsGroupPolicy": "None", "serviceAccountTokenInSecrets": true,
                "tokenRequests": [{"audience": "vault", "expirationSeconds": 600}, {"audience": ""}],
            },
        }))
        .unwrap();
        let expected = CsiDriver {
            pod_info_on_mount: true,
            attach_required: false,
            modes: vec!["Ephemeral".into()],
            requires_republish: true,
            audiences: vec!["vault".into(), String::new()],
            tokens_in_secrets: true,
            fs_group_policy: "None".into(),
        };
        assert_eq!(driver, expected);
    }

    #[test]
    fn what_is_absent_has_the_api_servers_default() {
        for object in [json!({}), json!({"spec": null}), json!({"spec": {"tokenRequests": null}})] {
            let driver: CsiDriver = serde_json::from_value(object).unwrap();
            assert_eq!(driver, CsiDriver { attach_required: true, ..CsiDriver::default() });
        }
    }
}
