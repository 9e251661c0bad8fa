//! The containers of the driver's pod: one that registers itself and answers for its own health, or the classic three.

use serde_json::{Value, json};

use super::{HEALTH_PORT, METRICS_PORT};
use crate::command_line::{Operand, Sidecars};
use crate::identity::DRIVER_CONTAINER;
use crate::spec::Spec;

/// The driver's directory below kubelet's.
pub(super) const PLUGIN_SUBDIRECTORY: &str = "plugins/csi-secrets-store";
/// Where providers put their sockets.
pub(super) const PROVIDERS: &str = "/etc/kubernetes/secrets-store-csi-providers";
/// Where they put them today.
pub(super) const PROVIDERS_0: &str = "/var/run/secrets-store-csi-providers";
/// The volume of the trusted authorities.
pub(super) const TRUSTED_CA_VOLUME: &str = "non-standard-root-system-trust-ca-bundle";

pub(super) fn all(spec: &Spec, operand: &Operand, has_bundle: bool) -> Vec<Value> {
    let mut containers = vec![driver(spec, operand, has_bundle)];
    if let Some(Sidecars { registrar_image, liveness_image }) = &operand.sidecars {
        containers.push(registrar(spec, registrar_image, &operand.kubelet_root));
        containers.push(liveness(spec, liveness_image));
    }
    containers
}

fn driver(spec: &Spec, operand: &Operand, has_bundle: bool) -> Value {
    let registers_itself = operand.sidecars.is_none();
    let mut container = json!({
        "name": DRIVER_CONTAINER,
        "image": operand.driver_image,
        "imagePullPolicy": "IfNotPresent",
        "args": arguments(spec, &operand.kubelet_root, registers_itself),
        "env": [{"name": "CSI_ENDPOINT", "value": "unix:///csi/csi.sock"}, node_name()],
        "ports": [port("healthz", HEALTH_PORT), port("metrics", METRICS_PORT)],
        "livenessProbe": probe("healthz", [30, 10, 15, 5]),
        // What it mounts has to appear on the node and in the pods, which Kubernetes permits to privileged containers
        // alone.
        "securityContext": {"privileged": true, "runAsUser": 0, "readOnlyRootFilesystem": true},
        "resources": {"requests": {"cpu": "10m", "memory": "50Mi"}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts(&operand.kubelet_root, registers_itself, has_bundle),
    });
    if registers_itself && let Some(fields) = container.as_object_mut() {
        // Nobody is routed here: the next node of a roll-out waits until the driver of this one serves.
        // Kubelet has to register it first, and it waits for that.
        let readiness = json!({
            "httpGet": {"path": "/readyz?wait", "port": "healthz"},
            "initialDelaySeconds": 2,
            "timeoutSeconds": 10,
            "periodSeconds": 2,
        });
        fields.insert("readinessProbe".to_owned(), readiness);
    }
    container
}

fn arguments(spec: &Spec, kubelet_root: &str, registers_itself: bool) -> Vec<String> {
    let rotation = spec.rotation.effective();
    let mut arguments = vec![
        "--endpoint=$(CSI_ENDPOINT)".to_owned(),
        format!("--v={}", spec.log_level.verbosity()),
        "--nodeid=$(KUBE_NODE_NAME)".to_owned(),
        format!("--provider-volume={PROVIDERS_0}"),
        format!("--additional-provider-volume-paths={PROVIDERS}"),
        format!("--metrics-addr=:{METRICS_PORT}"),
        format!("--enable-secret-rotation={}", rotation.is_enabled),
        format!("--rotation-poll-interval={}", rotation.interval_text()),
        "--provider-health-check=false".to_owned(),
        "--provider-health-check-interval=2m".to_owned(),
        format!("--kubelet-pods-dir={kubelet_root}/pods"),
    ];
    if registers_itself {
        arguments.push("--kubelet-registration-dir=/registration".to_owned());
        arguments.push(registration_path(kubelet_root));
        arguments.push(format!("--health-addr=:{HEALTH_PORT}"));
    }
    arguments
}

fn registration_path(kubelet_root: &str) -> String {
    format!("--kubelet-registration-path={kubelet_root}/{PLUGIN_SUBDIRECTORY}/csi.sock")
}

fn mounts(kubelet_root: &str, registers_itself: bool, has_bundle: bool) -> Vec<Value> {
    let mut mounts = vec![
        // By the same path as on the node, since that is how kubelet names a volume.
        json!({
            "name": "mountpoint-dir",
            "mountPath": format!("{kubelet_root}/pods"),
            "mountPropagation": "Bidirectional",
        }),
        json!({"name": "plugin-dir", "mountPath": "/csi"}),
        json!({"name": "providers-dir", "mountPath": PROVIDERS}),
        json!({"name": "providers-dir-0", "mountPath": PROVIDERS_0}),
    ];
    if registers_itself {
        mounts.push(json!({"name": "registration-dir", "mountPath": "/registration"}));
    }
    if has_bundle {
        mounts.push(json!({
            "name": TRUSTED_CA_VOLUME, "mountPath": "/etc/pki/ca-trust/extracted/pem", "readOnly": true,
        }));
    }
    mounts
}

fn registrar(spec: &Spec, image: &str, kubelet_root: &str) -> Value {
    json!({
        "name": "csi-node-driver-registrar",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [
            format!("--v={}", spec.log_level.verbosity()),
            "--csi-address=/csi/csi.sock",
            "--http-endpoint=:10304",
            registration_path(kubelet_root),
        ],
        "env": [node_name()],
        "ports": [port("rhealthz", 10304)],
        "livenessProbe": probe("rhealthz", [10, 3, 10, 5]),
        "securityContext": {"privileged": true, "readOnlyRootFilesystem": true},
        "resources": {"requests": {"cpu": "10m", "memory": "50Mi"}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "plugin-dir", "mountPath": "/csi"},
            {"name": "registration-dir", "mountPath": "/registration"},
        ],
    })
}

fn liveness(spec: &Spec, image: &str) -> Value {
    json!({
        "name": "csi-liveness-probe",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": [
            "--csi-address=/csi/csi.sock",
            "--probe-timeout=3s",
            format!("--http-endpoint=0.0.0.0:{HEALTH_PORT}"),
            format!("--v={}", spec.log_level.verbosity()),
        ],
        "securityContext": {"readOnlyRootFilesystem": true},
        "resources": {"requests": {"cpu": "10m", "memory": "50Mi"}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "plugin-dir", "mountPath": "/csi"}],
    })
}

fn node_name() -> Value {
    json!({"name": "KUBE_NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}})
}

fn port(name: &str, number: u16) -> Value {
    json!({"name": name, "containerPort": number, "protocol": "TCP"})
}

/// Initial delay, timeout, period, and failures until the container is restarted.
fn probe(port: &str, [delay, timeout, period, failures]: [u32; 4]) -> Value {
    json!({
        "httpGet": {"path": "/healthz", "port": port},
        "initialDelaySeconds": delay,
        "timeoutSeconds": timeout,
        "periodSeconds": period,
        "failureThreshold": failures,
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::render::tests::{operand, with_sidecars};
    use config::{DriverConfig, DriverFlags, Invocation};
    use web::admin::PATIENCE;

    #[test]
    fn the_arguments_are_ones_that_the_driver_takes_without_a_warning() {
        for operand in [operand(), with_sidecars()] {
            let driver = driver(&Spec::default(), &operand, false);
            let arguments = driver["args"].as_array().unwrap().iter().map(|argument| {
                let argument = argument.as_str().unwrap();
                let argument = argument.replace("$(CSI_ENDPOINT)", "unix:///csi/csi.sock");
                OsString::from(argument.replace("$(KUBE_NODE_NAME)", "node-1"))
            });
            let parsed = DriverFlags::parse(arguments).unwrap();
            assert!(parsed.rest.is_empty());
            let environment = |name: &str| match name {
                "KUBERNETES_SERVICE_HOST" => Some("10.0.0.1".to_owned()),
                "KUBERNETES_SERVICE_PORT" => Some("443".to_owned()),
                _ => None,
            };
            let Invocation::Run(config) = DriverConfig::resolve(&parsed, environment).unwrap() else {
                panic!("a version");
            };
            assert_eq!(config.notices, []);
            assert_eq!(config.registration.is_some(), operand.sidecars.is_none());
            assert_eq!(config.health_addr.is_some(), operand.sidecars.is_none());
        }
    }

    #[test]
    fn who_registers_itself_is_asked_by_a_probe_that_outlasts_its_wait() {
        let probe = |operand: &Operand| driver(&Spec::default(), operand, false)["readinessProbe"].clone();
        let own = probe(&operand());
        assert_eq!(own["httpGet"]["path"], "/readyz?wait");
        assert!(own["timeoutSeconds"].as_u64().unwrap() > PATIENCE.as_secs(), "{own}");
        assert!(probe(&with_sidecars()).is_null());
    }

    #[test]
    fn the_pod_has_one_container_or_the_classic_three() {
        let names = |operand: &Operand| -> Vec<String> {
            let containers = all(&Spec::default(), operand, false);
            containers.iter().map(|container| container["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(&operand()), ["csi-driver"]);
        assert_eq!(
            names(&with_sidecars()),
            ["csi-driver", "csi-node-driver-registrar", "csi-liveness-probe"]
        );
    }

    #[test]
    fn each_container_has_its_image() {
        let containers = all(&Spec::default(), &with_sidecars(), false);
        let images: Vec<&str> =
            containers.iter().map(|container| container["image"].as_str().unwrap()).collect();
        let expected =
            ["registry.example/driver:v1", "registry.example/registrar:v2", "registry.example/liveness:v3"];
        assert_eq!(images, expected);
    }

    #[test]
    fn only_the_liveness_probe_is_not_privileged() {
        for container in all(&Spec::default(), &with_sidecars(), false) {
            let is_probe = container["name"] == "csi-liveness-probe";
            let context = &container["securityContext"];
            assert_eq!(context["privileged"] == true, !is_probe, "{container}");
            assert_eq!(context["readOnlyRootFilesystem"], true, "{container}");
        }
    }
}
