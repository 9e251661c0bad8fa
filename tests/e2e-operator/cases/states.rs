//! What the operator does in each state of the object, and when the object goes.

use serde_json::json;

use super::Case;
use crate::operand;
use crate::stage::{A_WHILE, Stage};
use e2e::patience::{throughout, until};

/// See the sentences.
pub const CASES: &[Case] = &[
    Case { sentence: "without an object nothing is installed", play: no_object },
    Case {
        sentence: "an object that does not say Managed has nothing installed, and a condition says so",
        play: absent,
    },
    Case { sentence: "what is not managed any more stays as people change it", play: unmanaged },
    Case { sentence: "what was removed comes back when it is managed again", play: removed_and_back },
    Case { sentence: "an object that is deleted takes everything with it, and goes last", play: deleted },
    Case {
        sentence: "an object that is not managed goes at once and leaves everything behind",
        play: let_go,
    },
    Case {
        sentence: "another installation of the driver is reported, and nothing of it is changed",
        play: foreign,
    },
];

fn no_object(stage: &mut Stage) {
    stage.start_operator();
    throughout(A_WHILE, "nothing is installed", || {
        operand::pieces().iter().all(|piece| stage.admin.get(&piece.path).is_none())
    });
}

fn absent(stage: &mut Stage) {
    stage.start_operator();
    for spec in [json!({}), json!({"managementState": "Force"})] {
        stage.ask_for(&spec);
        stage.is(STATE, "True");
        throughout(A_WHILE / 2, "nothing is installed", || {
            operand::pieces().iter().all(|piece| stage.admin.get(&piece.path).is_none())
        });
        stage.delete_driver();
    }
}

fn unmanaged(stage: &mut Stage) {
    stage.start_operator();
    stage.ask_for(&json!({"managementState": "Managed"}));
    stage.is_installed();
    stage.ask_for(&json!({"managementState": "Unmanaged", "logLevel": "Trace"}));
    stage.is(STATE, "False");
    for piece in operand::pieces() {
        match &piece.meddling {
            Some(change) => drop(stage.admin.patch(&piece.path, change)),
            None => stage.admin.delete(&piece.path),
        }
    }
    let changed: Vec<_> = operand::pieces().iter().map(|piece| stage.admin.get(&piece.path)).collect();
    throughout(A_WHILE, "what people did is there", || {
        let now = operand::pieces().into_iter().map(|piece| (stage.admin.get(&piece.path), piece.field));
        now.zip(&changed).all(|((now, field), then)| match (&now, then) {
            (Some(now), Some(then)) => now[field] == then[field],
            _ => now.is_none() && then.is_none(),
        })
    });
    stage.ask_for(&json!({"managementState": "Managed"}));
    stage.is_installed();
}

fn removed_and_back(stage: &mut Stage) {
    stage.start_operator();
    stage.ask_for(&json!({"managementState": "Managed"}));
    stage.is_installed();
    stage.ask_for(&json!({"managementState": "Removed"}));
    stage.is_uninstalled();
    stage.ask_for(&json!({"managementState": "Managed"}));
    stage.is_installed();
    stage.is_on_every_node();
}

fn deleted(stage: &mut Stage) {
    stage.start_operator();
    stage.ask_for(&json!({"managementState": "Managed"}));
    stage.is_installed();
    stage.admin.delete(crate::stage::DRIVER);
    until("the object is gone", || {
        // In this order: what is asked for second cannot have gone before.
        let left = operand::pieces().into_iter().filter(|piece| stage.admin.get(&piece.path).is_some());
        let left: Vec<&str> = left.map(|piece| piece.kind).collect();
        let is_gone = stage.driver().is_none();
        assert!(
            !is_gone || operand::pieces().iter().all(|piece| stage.admin.get(&piece.path).is_none()),
            "{left:?}"
        );
        is_gone
    });
    stage.is_uninstalled();
}

fn let_go(stage: &mut Stage) {
    stage.start_operator();
    stage.ask_for(&json!({"managementState": "Managed"}));
    stage.is_installed();
    stage.ask_for(&json!({"managementState": "Unmanaged"}));
    stage.is(STATE, "False");
    stage.delete_driver();
    for piece in operand::pieces() {
        assert!(
            stage.admin.get(&piece.path).is_some(),
            "{} went with an object that was not managed",
            piece.kind
        );
    }
}

fn foreign(stage: &mut Stage) {
    // As the plain manifests make it.
    let account =
        json!([{"kind": "ServiceAccount", "name": "secrets-store-csi-driver", "namespace": "kube-system"}]);
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "secretproviderclasses-rolebinding"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "secretproviderclasses-role",
        },
        "subjects": account,
    });
    let made = stage.admin.apply(&binding);
    stage.start_operator();
    stage.ask_for(&json!({"managementState": "Managed"}));
    stage.is(NODE, "True");
    let [_, reason, message] = stage.condition(NODE).expect("it was reported");
    assert!(reason == "SyncError" && message.contains("kube-system/secrets-store-csi-driver"), "{message}");
    throughout(A_WHILE / 2, "the other installation is as it was", || {
        let path = e2e::kinds::path_of(&binding);
        let now = stage.admin.get(&path).expect("it is still there");
        now["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
            && stage.admin.get(&operand::daemon_set()).is_none()
    });
    stage.admin.delete(&e2e::kinds::path_of(&binding));
    stage.is_installed();
    stage.is(NODE, "False");
}

const STATE: &str = "ManagementStateDegraded";
const NODE: &str = "SecretsStoreDriverNodeServiceControllerDegraded";
