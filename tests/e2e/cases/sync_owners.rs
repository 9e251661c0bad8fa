//! How long a synced Secret lives: as long as the pods that need it, by the real garbage collector.

use serde_json::json;

use super::Case;
use super::sync::reading;
use crate::stage::Stage;
use crate::workloads::{Workload, class, with_secret};
use e2e::kinds;
use e2e::patience::until;
use kit::objects;

/// See the sentences.
pub const CASES: &[Case] = &[
    Case {
        sentence: "a Secret that two Deployments share goes when the second one goes",
        play: two_deployments,
    },
    Case { sentence: "a Secret of bare pods goes when the last of them goes", play: bare_pods },
    Case {
        sentence: "a Secret belongs to its namespace, though classes and Secrets elsewhere have the same names",
        play: namespaces,
    },
    Case { sentence: "after a rollout the Secret belongs to the new ReplicaSet alone", play: rollout },
    Case { sentence: "a Deployment that is deleted and made anew has its Secret at once", play: made_anew },
    Case { sentence: "owners that somebody else has added stay", play: owners_of_others },
    Case {
        sentence: "a Secret that two classes name has the content of the one whose pod stays",
        play: two_classes,
    },
];

fn two_deployments(stage: &mut Stage) {
    let namespace = stage.namespace("owners");
    shared_class(stage, &namespace);
    for name in ["first", "second"] {
        stage.admin.apply(&reading(&namespace, name, "shared", "foosecret").deployment(2));
    }
    stage.all_running(&namespace, "first-", 2);
    stage.all_running(&namespace, "second-", 2);
    until("the Secret has both ReplicaSets for owners", || {
        let owners = stage.secret_owners(&namespace, "foosecret");
        owners.len() == 2 && owners.iter().all(|owner| owner.starts_with("ReplicaSet/"))
    });
    stage.admin.delete(&kinds::deployment(&namespace, "first"));
    until("one owner is left", || {
        let owners = stage.secret_owners(&namespace, "foosecret");
        owners.len() == 1 && owners[0].starts_with("ReplicaSet/second-")
    });
    assert_eq!(stage.secret_value(&namespace, "foosecret", "username").as_deref(), Some("secret"));
    stage.admin.delete(&kinds::deployment(&namespace, "second"));
    until("the Secret is gone", || stage.secret(&namespace, "foosecret").is_none());
}

fn bare_pods(stage: &mut Stage) {
    let namespace = stage.namespace("bare");
    shared_class(stage, &namespace);
    for name in ["a", "b"] {
        stage.admin.apply(&reading(&namespace, name, "shared", "foosecret").pod());
        stage.running(&namespace, name);
    }
    let owner = |pod: &str| format!("SecretProviderClassPodStatus/{pod}-{namespace}-shared");
    until("both pod statuses own the Secret", || {
        stage.secret_owners(&namespace, "foosecret") == [owner("a"), owner("b")]
    });
    stage.admin.delete(&kinds::core(&namespace, "pods", "a"));
    until("one of them owns it", || stage.secret_owners(&namespace, "foosecret") == [owner("b")]);
    stage.admin.delete(&kinds::core(&namespace, "pods", "b"));
    until("the Secret is gone", || stage.secret(&namespace, "foosecret").is_none());
}

fn namespaces(stage: &mut Stage) {
    let (here, elsewhere) = (stage.namespace("here"), stage.namespace("elsewhere"));
    shared_class(stage, &here);
    let parameters = objects::objects(&["foo"]);
    stage.admin.apply(&objects::class(&elsewhere, "shared", "invalidprovider", parameters));
    stage.admin.apply(&reading(&here, "web", "shared", "foosecret").deployment(2));
    stage.all_running(&here, "web-", 2);
    assert_eq!(stage.secret_value(&here, "foosecret", "username").as_deref(), Some("secret"));
    assert_eq!(stage.secret_owners(&here, "foosecret").len(), 1);
    assert!(stage.secret(&elsewhere, "foosecret").is_none());
    stage.admin.delete(&kinds::deployment(&here, "web"));
    until("the Secret is gone", || stage.secret(&here, "foosecret").is_none());
}

fn rollout(stage: &mut Stage) {
    let namespace = stage.namespace("rollout");
    shared_class(stage, &namespace);
    let mut deployment = reading(&namespace, "web", "shared", "foosecret").deployment(1);
    // Nothing is kept of the past, so the old ReplicaSet goes, and takes its part of the ownership with it.
    deployment["spec"]["revisionHistoryLimit"] = json!(0);
    stage.admin.apply(&deployment);
    let old = stage.all_running(&namespace, "web-", 1).remove(0);
    deployment["spec"]["template"]["metadata"]["annotations"] = json!({"rolled": "out"});
    stage.admin.apply(&deployment);
    stage.gone(&namespace, &old.name);
    let new = stage.all_running(&namespace, "web-", 1).remove(0);
    let replica_set = new.name.rsplit_once('-').map(|(name, _)| format!("ReplicaSet/{name}"));
    until("the new ReplicaSet alone owns the Secret", || {
        stage.secret_owners(&namespace, "foosecret") == replica_set.as_slice()
    });
    assert_eq!(stage.secret_value(&namespace, "foosecret", "username").as_deref(), Some("secret"));
}

fn made_anew(stage: &mut Stage) {
    let namespace = stage.namespace("anew");
    shared_class(stage, &namespace);
    let deployment = reading(&namespace, "web", "shared", "foosecret").deployment(1);
    stage.admin.apply(&deployment);
    let old = stage.all_running(&namespace, "web-", 1).remove(0);
    stage.admin.delete(&kinds::deployment(&namespace, "web"));
    // The old Secret may still be there, or be on its way out.
    stage.gone(&namespace, &old.name);
    stage.admin.apply(&deployment);
    let new = stage.all_running(&namespace, "web-", 1).remove(0);
    assert_eq!(new.variables["SECRET_USERNAME"], "secret");
    until("the Secret stays, with one owner", || stage.secret_owners(&namespace, "foosecret").len() == 1);
}

fn owners_of_others(stage: &mut Stage) {
    let namespace = stage.namespace("co-owner");
    shared_class(stage, &namespace);
    stage.admin.apply(&reading(&namespace, "web", "shared", "foosecret").pod());
    stage.running(&namespace, "web");
    let account =
        stage.admin.get(&kinds::core(&namespace, "serviceaccounts", "default")).expect("it is there");
    let secret = stage.secret(&namespace, "foosecret").expect("it is there");
    let mut owners = secret["metadata"]["ownerReferences"].clone();
    let other = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "name": "default", "uid": account["metadata"]["uid"],
    });
    owners.as_array_mut().expect("it has an owner").push(other);
    let change = json!({"metadata": {"ownerReferences": owners}});
    stage.admin.patch(&kinds::core(&namespace, "secrets", "foosecret"), &change);
    stage.node.set_content("foo", "new");
    until("the Secret is refreshed", || {
        stage.secret_value(&namespace, "foosecret", "username").as_deref() == Some("new")
    });
    assert_eq!(stage.secret_owners(&namespace, "foosecret").len(), 2);
    stage.admin.delete(&kinds::core(&namespace, "pods", "web"));
    until("the other owner is left", || {
        stage.secret_owners(&namespace, "foosecret") == ["ServiceAccount/default"]
    });
}

fn two_classes(stage: &mut Stage) {
    let namespace = stage.namespace("two-classes");
    for (name, object) in [("stable", "foo"), ("canary", "fookey")] {
        let class = class(&namespace, name, &["foo", "fookey"]);
        stage.admin.apply(&with_secret(class, "foosecret", &[("username", object)]));
        stage.admin.apply(&Workload::named(&namespace, name).mounting(name).pod());
        stage.running(&namespace, name);
    }
    let value = |stage: &Stage| stage.secret_value(&namespace, "foosecret", "username").unwrap_or_default();
    until("the Secret has what changed last", || value(stage).contains("mock key"));
    stage.told(&namespace, "canary", &["SecretOfSeveralClasses", "canary and stable", "foosecret"]);
    stage.admin.delete(&kinds::core(&namespace, "pods", "canary"));
    until("the Secret has the content of the pod that stays", || value(stage) == "secret");
}

/// A class `shared` whose Secret is `foosecret`.
fn shared_class(stage: &Stage, namespace: &str) {
    let class = class(namespace, "shared", &["foo", "fookey"]);
    stage.admin.apply(&with_secret(class, "foosecret", &[("username", "foo")]));
}
