//! What OpenShift adds to Kubernetes, as far as this operator uses it: which of it there is, and the cluster's settings
//! that are observed. Pure; on any other Kubernetes nothing of this happens.

use serde_json::{Map, Value, json};

use super::tls_profile::TlsProfile;
use crate::command_line::LeaseTimes;

/// Which of OpenShift's APIs are served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// `security.openshift.io`: pods are privileged by a right to be.
    pub has_security: bool,
    /// `config.openshift.io`: the cluster's own settings.
    pub has_config: bool,
}

/// The cluster's settings as `spec.observedConfig` has them, from `proxies/cluster` and `apiservers/cluster`.
pub fn observed_config(proxy: Option<&Value>, api_server: Option<&Value>) -> Value {
    let mut config = Map::new();
    let names = [("HTTP_PROXY", "httpProxy"), ("HTTPS_PROXY", "httpsProxy"), ("NO_PROXY", "noProxy")];
    let said = |field: &str| proxy?.get("status")?.get(field)?.as_str().filter(|text| !text.is_empty());
    let settings: Map<String, Value> =
        names.iter().filter_map(|(name, field)| Some(((*name).to_owned(), json!(said(field)?)))).collect();
    if !settings.is_empty() {
        config.insert("proxy".to_owned(), Value::Object(settings));
    }
    let profile = TlsProfile::read(api_server).unwrap_or_else(|_| TlsProfile::intermediate());
    let serving = json!({"minTLSVersion": profile.min_version, "cipherSuites": profile.ciphers});
    config.insert("servingInfo".to_owned(), serving);
    json!({ "targetcsiconfig": config })
}

/// The JSON merge patch that makes `to` of `from`; none where they are the same.
pub fn merge_patch(from: &Value, to: &Value) -> Option<Value> {
    if from == to {
        return None;
    }
    let (Some(before), Some(after)) = (from.as_object(), to.as_object()) else { return Some(to.clone()) };
    let gone =
        before.keys().filter(|name| !after.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    let changed = after.iter().filter_map(|(name, value)| {
        let before = before.get(name).unwrap_or(&Value::Null);
        Some((name.clone(), merge_patch(before, value)?))
    });
    Some(Value::Object(gone.chain(changed).collect()))
}

/// How long leadership lasts, by `infrastructures/cluster`.
pub fn lease_times(infrastructure: Option<&Value>) -> LeaseTimes {
    let topology = infrastructure.and_then(|object| object.pointer("/status/controlPlaneTopology"));
    match topology.and_then(Value::as_str) {
        Some("SingleReplica") => LeaseTimes::SINGLE_REPLICA,
        _ => LeaseTimes::USUAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_proxy_says_is_observed() {
        let proxy = |status: Value| json!({"spec": {"httpProxy": "wanted"}, "status": status});
        let observed =
            |proxy: Option<&Value>| observed_config(proxy, None)["targetcsiconfig"]["proxy"].clone();
        assert_eq!(observed(None), Value::Null);
        assert_eq!(observed(Some(&proxy(json!({})))), Value::Null);
        let all = proxy(json!({"httpProxy": "http://a", "httpsProxy": "", "noProxy": ".svc"}));
        assert_eq!(observed(Some(&all)), json!({"HTTP_PROXY": "http://a", "NO_PROXY": ".svc"}));
    }

    #[test]
    fn the_tls_profile_is_observed_and_one_that_says_nothing_is_intermediate() {
        let observed = |kind: &str| {
            let object = json!({"spec": {"tlsSecurityProfile": {"type": kind}}});
            observed_config(None, Some(&object))["targetcsiconfig"]["servingInfo"]["minTLSVersion"].clone()
        };
        assert_eq!((observed("Modern"), observed("Custom")), (json!("VersionTLS13"), json!("VersionTLS12")));
    }

    #[test]
    fn a_patch_removes_what_is_gone_and_names_what_is_new() {
        let rows = [
            (json!({"a": 1}), json!({"a": 1}), None),
            (
                json!({"a": 1, "b": {"c": 1, "d": 2}}),
                json!({"b": {"c": 1}}),
                Some(json!({"a": null, "b": {"d": null}})),
            ),
            (Value::Null, json!({"a": [1]}), Some(json!({"a": [1]}))),
            (json!({"a": [1]}), json!({"a": [2]}), Some(json!({"a": [2]}))),
            (json!("odd"), json!({"a": 1}), Some(json!({"a": 1}))),
        ];
        for (from, to, patch) in rows {
            assert_eq!(merge_patch(&from, &to), patch, "{from} {to}");
        }
    }

    #[test]
    fn a_single_machine_gives_a_leader_more_time() {
        let times =
            |topology: &str| lease_times(Some(&json!({"status": {"controlPlaneTopology": topology}})));
        assert_eq!(times("SingleReplica"), LeaseTimes::SINGLE_REPLICA);
        assert_eq!((times("HighlyAvailable"), lease_times(None)), (LeaseTimes::USUAL, LeaseTimes::USUAL));
    }
}
