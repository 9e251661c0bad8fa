//! The driver on every node: the pod around its containers.

use serde_json::{Map, Value, json};

use super::containers::{self, PLUGIN_SUBDIRECTORY};
use super::{Inputs, trusted_ca};
use crate::digest;
use crate::identity::{DRIVER_CONTAINER, NODE, NODE_ACCOUNT, SPEC_HASH, TRUSTED_CA, TRUSTED_CA_KEY};

pub(super) fn object(inputs: Inputs<'_>) -> Value {
    let Inputs { namespace, trusted_ca: ca, .. } = inputs;
    let bundle = ca.and_then(trusted_ca::bundle_digest);
    let spec = spec(inputs, bundle.as_deref());
    let mut annotations = Map::from_iter([(SPEC_HASH.to_owned(), json!(digest::of(&spec)))]);
    let authority = trusted_ca::annotation(namespace);
    match bundle {
        Some(digest) => annotations.insert(authority, json!(digest)),
        None => annotations.insert(format!("{authority}-"), json!("")),
    };
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": NODE, "namespace": namespace, "annotations": annotations},
        "spec": spec,
    })
}

fn spec(inputs: Inputs<'_>, bundle: Option<&str>) -> Value {
    let mut annotations = Map::from_iter(
        [
            ("target.workload.openshift.io/management", r#"{"effect": "PreferredDuringScheduling"}"#),
            ("cluster-autoscaler.kubernetes.io/enable-ds-eviction", "false"),
            ("kubectl.kubernetes.io/default-container", DRIVER_CONTAINER),
        ]
        .map(|(name, value)| (name.to_owned(), json!(value))),
    );
    if let Some(digest) = bundle {
        annotations.insert(trusted_ca::annotation(inputs.namespace), json!(digest));
    }
    json!({
        "selector": {"matchLabels": {"app": NODE}},
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
        "template": {
            "metadata": {
                "labels": {"app": NODE, "openshift.storage.network-policy.api-server": "allow"},
                "annotations": annotations,
            },
            "spec": {
                "serviceAccountName": NODE_ACCOUNT,
                // The token with which it reads pods and classes.
                "automountServiceAccountToken": true,
                "priorityClassName": "system-node-critical",
                // The driver ends calls in flight within 30 s.
                "terminationGracePeriodSeconds": 40,
                "nodeSelector": {"kubernetes.io/os": "linux"},
                // Wherever pods can run, volumes are needed.
                "tolerations": [{"operator": "Exists"}],
                "containers": containers::all(inputs.spec, inputs.operand, bundle.is_some()),
                "volumes": volumes(&inputs.operand.kubelet_root, bundle.is_some()),
            },
        },
    })
}

fn volumes(kubelet_root: &str, has_bundle: bool) -> Vec<Value> {
    let host = |name: &str, path: String, kind: &str| json!({"name": name, "hostPath": {"path": path, "type": kind}});
    let mut volumes = vec![
        host("mountpoint-dir", format!("{kubelet_root}/pods"), "DirectoryOrCreate"),
        // Kubelet makes it: where it is missing, kubelet keeps its files elsewhere.
        host("registration-dir", format!("{kubelet_root}/plugins_registry/"), "Directory"),
        host("plugin-dir", format!("{kubelet_root}/{PLUGIN_SUBDIRECTORY}/"), "DirectoryOrCreate"),
        host("providers-dir", containers::PROVIDERS.to_owned(), "DirectoryOrCreate"),
        host("providers-dir-0", containers::PROVIDERS_0.to_owned(), "DirectoryOrCreate"),
    ];
    if has_bundle {
        volumes.push(json!({
            "name": containers::TRUSTED_CA_VOLUME,
            "configMap": {
                "name": TRUSTED_CA,
                "items": [{"key": TRUSTED_CA_KEY, "path": "tls-ca-bundle.pem"}],
            },
        }));
    }
    volumes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command_line::Operand;
    use crate::piece::Piece;
    use crate::render::tests::{desired, inputs, operand, with_sidecars};
    use crate::spec::Spec;

    fn rendered(spec: &Value, operand: &Operand, ca: Option<&Value>) -> Value {
        let spec = Spec::read(&json!({"spec": spec})).unwrap();
        desired(Inputs { trusted_ca: ca, ..inputs(&spec, operand) }, Piece::DaemonSet).object
    }

    fn containers(object: &Value) -> &Vec<Value> {
        object["spec"]["template"]["spec"]["containers"].as_array().unwrap()
    }

    fn argument(object: &Value, flag: &str) -> Vec<String> {
        let arguments = containers(object)[0]["args"].as_array().unwrap();
        let arguments = arguments.iter().map(|argument| argument.as_str().unwrap());
        arguments.filter_map(|argument| argument.strip_prefix(flag)).map(str::to_owned).collect()
    }

    #[test]
    fn rotation_becomes_two_arguments() {
        let store = |rotation: Value| {
            json!({"driverConfig": {
                "driverType": "SecretsStore", "secretsStore": {"secretRotation": rotation},
            }})
        };
        let rows = [
            ("nothing said", json!({}), "true", "2m"),
            ("None", store(json!({"type": "None"})), "false", "2m"),
            ("Custom", store(json!({"type": "Custom", "custom": {"minimumRefreshAge": 300}})), "true", "5m"),
            ("odd", store(json!({"type": "Custom", "custom": {"minimumRefreshAge": 90}})), "true", "1m30s"),
        ];
        for (name, spec, enabled, interval) in rows {
            for operand in [operand(), with_sidecars()] {
                let object = rendered(&spec, &operand, None);
                assert_eq!(argument(&object, "--enable-secret-rotation="), [enabled], "{name}");
                assert_eq!(argument(&object, "--rotation-poll-interval="), [interval], "{name}");
            }
        }
    }

    #[test]
    fn the_log_level_is_that_of_the_driver_and_not_of_the_operator() {
        let spec = json!({"logLevel": "Trace", "operatorLogLevel": "Debug"});
        let object = rendered(&spec, &with_sidecars(), None);
        for container in containers(&object) {
            let arguments = container["args"].as_array().unwrap();
            assert!(arguments.contains(&json!("--v=6")), "{container}");
        }
    }

    #[test]
    fn whatever_changes_the_pods_changes_the_hash_and_nothing_else_does() {
        let hash = |object: &Value| object["metadata"]["annotations"][SPEC_HASH].clone();
        let first = rendered(&json!({}), &operand(), None);
        assert_eq!(hash(&first), hash(&rendered(&json!({"operatorLogLevel": "Debug"}), &operand(), None)));
        let other_image = Operand { driver_image: "other".into(), ..operand() };
        let other_root = Operand { kubelet_root: "/k".into(), ..operand() };
        let ca = json!({"data": {"ca-bundle.crt": "x"}});
        let changed = [
            ("the image", rendered(&json!({}), &other_image, None)),
            ("the kubelet", rendered(&json!({}), &other_root, None)),
            ("the sidecars", rendered(&json!({}), &with_sidecars(), None)),
            ("the log level", rendered(&json!({"logLevel": "Debug"}), &operand(), None)),
            ("the authorities", rendered(&json!({}), &operand(), Some(&ca))),
        ];
        for (name, object) in &changed {
            assert_ne!(hash(object), hash(&first), "{name}");
        }
    }

    #[test]
    fn a_bundle_of_authorities_is_really_mounted_and_its_digest_is_on_the_pods() {
        let key = trusted_ca::annotation("storage");
        let bundled = |text: &str| {
            rendered(&json!({}), &with_sidecars(), Some(&json!({"data": {"ca-bundle.crt": text}})))
        };
        let object = bundled("x");
        let mounts = containers(&object)[0]["volumeMounts"].as_array().unwrap();
        let mount = mounts.iter().find(|mount| mount["name"] == containers::TRUSTED_CA_VOLUME).unwrap();
        assert_eq!(
            (&mount["readOnly"], &mount["mountPath"]),
            (&json!(true), &json!("/etc/pki/ca-trust/extracted/pem"))
        );
        let digest = &object["metadata"]["annotations"][&key];
        assert!(digest.is_string());
        assert_eq!(digest, &object["spec"]["template"]["metadata"]["annotations"][&key]);
        assert_ne!(digest, &bundled("y")["metadata"]["annotations"][&key]);

        let without = rendered(&json!({}), &with_sidecars(), Some(&json!({"data": {}})));
        let annotations = without["metadata"]["annotations"].as_object().unwrap();
        assert!(annotations.contains_key(&format!("{key}-")) && !annotations.contains_key(&key));
        assert!(!without["spec"].to_string().contains(containers::TRUSTED_CA_VOLUME));
    }

    #[test]
    fn every_mount_has_its_volume_and_every_volume_is_mounted() {
        let ca = json!({"data": {"ca-bundle.crt": "x"}});
        for operand in [operand(), with_sidecars()] {
            for ca in [None, Some(&ca)] {
                let object = rendered(&json!({}), &operand, ca);
                let pod = &object["spec"]["template"]["spec"];
                let names = |list: &Value| -> Vec<String> {
                    let list = list.as_array().unwrap();
                    list.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
                };
                let mut mounted: Vec<String> = containers(&object)
                    .iter()
                    .flat_map(|container| names(&container["volumeMounts"]))
                    .collect();
                mounted.sort();
                mounted.dedup();
                let mut volumes = names(&pod["volumes"]);
                volumes.sort();
                assert_eq!(mounted, volumes);
            }
        }
    }

    #[test]
    fn a_kubelet_elsewhere_moves_every_path_of_its() {
        let operand = Operand { kubelet_root: "/var/lib/k0s/kubelet".into(), ..operand() };
        let text = rendered(&json!({}), &operand, None).to_string();
        assert!(!text.contains("/var/lib/kubelet"), "{text}");
        assert!(text.contains("--kubelet-pods-dir=/var/lib/k0s/kubelet/pods"));
    }
}
