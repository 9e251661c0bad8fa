//! What an administrator does, from a cluster without the driver to a cluster without the operator.

use serde_json::{Value, json};

use super::Case;
use crate::manifest;
use crate::operand;
use crate::stage::{DRIVER, NAMESPACE, Stage};
use e2e::patience::until;

/// See the sentences.
pub const CASES: &[Case] = &[
    Case {
        sentence: "the operator's own pod is one that the strictest pod security admits",
        play: restricted,
    },
    Case {
        sentence: "an administrator installs the operator, creates the object, gets the driver on every node, changes the \
               rotation, has all of it removed, and deletes the object and the operator",
        play: whole_path,
    },
];

fn restricted(stage: &mut Stage) {
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    stage.admin.create_namespace("strict");
    stage.admin.patch("/api/v1/namespaces/strict", &json!({"metadata": {"labels": labels}}));
    let mut pod = manifest::deployment()["spec"]["template"].take();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("operator");
    // Its account is in another namespace.
    pod["spec"]["serviceAccountName"] = json!("default");
    let path = "/api/v1/namespaces/strict/pods?dryRun=All&fieldValidation=Strict";
    stage.admin.ask("POST", path, Some(&pod)).unwrap_or_else(|why| panic!("{why}"));
    // The check is one that bites.
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
    let refusal = stage.admin.ask("POST", path, Some(&pod)).expect_err("less strict than that");
    assert!(refusal.message.contains("violates PodSecurity"), "{refusal}");
    stage.admin.delete("/api/v1/namespaces/strict");
}

fn whole_path(stage: &mut Stage) {
    // Installs the operator.
    kubectl(stage, &["apply", "-k", manifest::OPERATOR]);
    stage.start_operator();
    kubectl(
        stage,
        &["rollout", "status", "-n", NAMESPACE, "deployment/secrets-store-csi-driver-operator", TIMEOUT],
    );

    // Creates the object.
    let sample = format!("{}/clustercsidriver.yaml", manifest::OPERATOR);
    kubectl(stage, &["apply", "-f", &sample]);
    kubectl(stage, &["wait", OBJECT, &format!("--for=condition={AVAILABLE}=True"), TIMEOUT]);

    // Gets the driver on every node.
    let pods = stage.is_on_every_node();
    kubectl(
        stage,
        &["rollout", "status", "-n", NAMESPACE, "daemonset/secrets-store-csi-driver-node", TIMEOUT],
    );
    stage.rotates(true, "2m");
    stage.is_installed();
    let image = &stage.daemon_set()["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(image, &variable("DRIVER_IMAGE"), "the image of the Deployment's environment");

    // Changes the rotation.
    let change = json!({"spec": {"driverConfig": {"secretsStore": {"secretRotation": {
        "custom": {"minimumRefreshAge": 300},
    }}}}});
    kubectl(stage, &["patch", OBJECT, "--type=merge", &format!("--patch={change}")]);
    stage.rotates(true, "5m");
    stage.is(PROGRESSING, "False");
    until("every node has a new pod", || {
        let new = stage.is_on_every_node();
        new.iter().all(|pod| !pods.contains(pod))
    });

    // Has all of it removed.
    let removed = r#"{"spec":{"managementState":"Removed"}}"#;
    kubectl(stage, &["patch", OBJECT, "--type=merge", &format!("--patch={removed}")]);
    stage.is_uninstalled();
    until("no pod of the driver is left", || stage.ready_pods().is_empty());
    until("nothing holds the object", || {
        stage.driver().is_some_and(|driver| driver["metadata"]["finalizers"].is_null())
    });

    // Deletes the object and the operator.
    kubectl(stage, &["delete", OBJECT, TIMEOUT]);
    stage.stop_operator();
    kubectl(stage, &["delete", "-k", &format!("{}/program", manifest::OPERATOR), "--wait=false"]);
    until("the namespace is gone", || stage.admin.get(&format!("/api/v1/namespaces/{NAMESPACE}")).is_none());
    for definition in manifest::definitions() {
        let path = e2e::kinds::path_of(&definition);
        assert!(stage.admin.get(&path).is_some(), "{path} went with the operator, and with it every object");
    }
    assert!(stage.admin.get(DRIVER).is_none());
    assert!(stage.admin.get(&operand::daemon_set()).is_none());
}

/// Runs it, and expects that it ends well.
fn kubectl(stage: &Stage, arguments: &[&str]) {
    stage.kubectl(arguments).expect_good();
}

/// The value of a variable of the operator's Deployment.
fn variable(name: &str) -> Value {
    let deployment = manifest::deployment();
    let variables = &deployment["spec"]["template"]["spec"]["containers"][0]["env"];
    let found = variables.as_array().into_iter().flatten().find(|variable| variable["name"] == name);
    found.expect("the Deployment has it")["value"].clone()
}

const OBJECT: &str = "clustercsidriver/secrets-store.csi.k8s.io";
const AVAILABLE: &str = "SecretsStoreDriverNodeServiceControllerAvailable";
const PROGRESSING: &str = "SecretsStoreDriverNodeServiceControllerProgressing";
const TIMEOUT: &str = "--timeout=60s";
