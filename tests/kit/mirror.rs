//! A node whose classes ask for Secrets, and what users and other nodes do to these.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rpc::pb::provider as pb;
use serde_json::{Value, json};

use super::eventually;
use super::objects;
use super::provider::{ScriptedProvider, answer};
use super::world::{Pod, World};

/// One node, one scripted provider `test`, any number of classes and pods.
pub struct Mirror {
    /// Provider `test`. Before the world, so that nothing serves into a directory that is being removed.
    pub provider: ScriptedProvider,
    _fence: ScriptedProvider,
    /// The node.
    pub world: World,
}

impl Mirror {
    /// A node whose provider answers `old`; of every class that the test makes.
    pub fn start(flags: &[&str]) -> Mirror {
        let mut mirror = Mirror::of(World::without_driver(flags));
        mirror.world.start_driver();
        mirror
    }

    /// Another node of the same cluster, with a provider of its own.
    pub fn beside(&self, node: &str, flags: &[&str]) -> Mirror {
        let mut mirror = Mirror::of(self.world.neighbour(node, flags));
        mirror.world.start_driver();
        mirror
    }

    /// The same around a world whose driver need not run yet.
    pub fn of(world: World) -> Mirror {
        let provider = world.provider("test", |_| Ok(old()));
        let fence = world.provider("fence", |_| Ok(old()));
        Mirror { provider, _fence: fence, world }
    }

    /// The same with one class `db` whose Secret `db-secret` has the key `pass`, published in the pod `web`.
    pub fn published(flags: &[&str]) -> (Mirror, Pod) {
        let mirror = Mirror::start(flags);
        mirror.class("db", json!([object("db-secret", &[("password", "pass")])]));
        let pod = mirror.pod("web", "db");
        mirror.publish(&pod);
        (mirror, pod)
    }

    /// Creates or replaces a class of the namespace `default`.
    pub fn class(&self, name: &str, secret_objects: Value) {
        self.class_in("default", name, secret_objects);
    }

    /// Creates or replaces a class.
    pub fn class_in(&self, namespace: &str, name: &str, secret_objects: Value) {
        let mut class = objects::class(namespace, name, "test", json!({"objects": "some"}));
        class["spec"]["secretObjects"] = secret_objects;
        self.world.api.put(class);
    }

    /// A pod that nobody owns.
    pub fn pod(&self, name: &str, class: &str) -> Pod {
        self.pod_with("default", name, class, json!([]))
    }

    /// A pod of these owners.
    pub fn owned_pod(&self, name: &str, class: &str, owners: &[&Value]) -> Pod {
        self.pod_with("default", name, class, owners.iter().map(|owner| reference(owner)).collect())
    }

    /// A pod that the API server knows; kubelet has not called yet.
    pub fn pod_with(&self, namespace: &str, name: &str, class: &str, owners: Value) -> Pod {
        let stored = self.world.api.put(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"namespace": namespace, "name": name, "ownerReferences": owners},
            "spec": {"nodeName": self.world.node, "volumes": [{"name": "secrets", "csi": {
                "driver": "secrets-store.csi.k8s.io", "volumeAttributes": {"secretProviderClass": class}}}]},
            "status": {"phase": "Pending"},
        }));
        let uid = stored["metadata"]["uid"].as_str().expect("the double gives uids");
        Pod { namespace: namespace.to_owned(), ..self.world.pod_of_uid(name, class, uid) }
    }

    /// What a pod may belong to.
    pub fn replica_set(&self, name: &str) -> Value {
        self.world.api.put(json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"namespace": "default", "name": name},
        }))
    }

    /// Kubelet publishes the pod's volume, which has to succeed.
    pub fn publish(&self, pod: &Pod) {
        let outcome = self.world.kubelet.publish(pod);
        outcome.unwrap_or_else(|status| panic!("{status}, log:\n{}", self.world.driver().log()));
    }

    /// Kubelet takes the pod's volume down.
    pub fn unpublish(&self, pod: &Pod) {
        self.world.kubelet.unpublish(pod).expect("an unpublish needs nobody");
    }

    /// From now on the provider answers with these files.
    pub fn answer_with(&self, version: &str, files: &[(&str, &[u8])]) {
        let files: Vec<(&str, i32, &[u8])> = files.iter().map(|(path, bytes)| (*path, 0, *bytes)).collect();
        let response = answer(version, &files);
        self.provider.script(move |_| Ok(response.clone()));
    }

    /// The Secret, if there is one.
    pub fn find(&self, name: &str) -> Option<Value> {
        self.world.api.get(&secret_path("default", name))
    }

    /// The Secret, which has to be there.
    #[track_caller]
    pub fn secret(&self, name: &str) -> Value {
        let found = self.find(name);
        found.unwrap_or_else(|| panic!("no secret {name}, log:\n{}", self.world.driver().log()))
    }

    /// What a key of a Secret holds, if both are there.
    pub fn value(&self, name: &str, key: &str) -> Option<String> {
        self.find(name).and_then(|secret| value(&secret, key))
    }

    /// Waits until a key of a Secret holds that.
    #[track_caller]
    pub fn wait_for(&self, name: &str, key: &str, wanted: &str) {
        let patience = super::PATIENCE;
        let is_there = self.world.api.wait(patience, |_| self.value(name, key).as_deref() == Some(wanted));
        let found = self.find(name);
        assert!(is_there, "{key} of {name} is no {wanted}: {found:?}, log:\n{}", self.world.driver().log());
    }

    /// Changes a Secret as a client of that name does; the driver's own is `csi-secrets-store` on every node.
    pub fn edit(&self, client: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut secret = self.secret(name);
        change(&mut secret);
        self.world.api.put_as(client, secret);
    }

    /// Makes all that was ever written to a Secret lie further back.
    pub fn age(&self, name: &str) {
        self.date(name, "2020-01-01T00:00:00Z");
    }

    /// Makes all that was ever written to a Secret be of that time.
    pub fn date(&self, name: &str, time: &str) {
        self.edit(DRIVER, name, |secret| {
            for manager in secret["metadata"]["managedFields"].as_array_mut().into_iter().flatten() {
                manager["time"] = json!(time);
            }
        });
    }

    /// Removes a Secret as a user does.
    #[track_caller]
    pub fn delete(&self, name: &str) {
        assert!(self.world.api.delete(&secret_path("default", name)), "there was no secret {name}");
    }

    /// What the driver asked about Secrets of the namespace `default` since the journal was last emptied.
    pub fn asked(&self) -> Vec<String> {
        let requests = self.world.api.requests().into_iter().filter(|seen| seen.path.contains(SECRETS));
        requests.map(|seen| format!("{} {}", seen.verb, seen.path.rsplit('/').next().unwrap_or(""))).collect()
    }

    /// Waits until the driver has asked exactly that about Secrets: the journal is written after the Secret is.
    #[track_caller]
    pub fn wait_until_asked(&self, wanted: &[&str]) {
        let is_so = self.world.api.wait(super::PATIENCE, |_| self.asked().len() >= wanted.len());
        assert!(is_so && self.asked() == wanted, "{:?} instead of {wanted:?}", self.asked());
    }

    /// Waits until the driver follows pods, classes and Secrets, and has looked at what it knows: a Secret that this
    /// makes and deletes in another namespace comes back.
    pub fn settle(&self) {
        let fence = self.fence();
        let mut class = objects::class(&fence, "fence", "fence", json!({"objects": "some"}));
        class["spec"]["secretObjects"] = json!([object("fence", &[("password", "key")])]);
        self.world.api.put(class);
        let pod = self.pod_with(&fence, "fence", "fence", json!([]));
        self.publish(&pod);
        for resource in ["v1/secrets", "v1/pods", "v1/secretproviderclasses"] {
            eventually("a watch is open", || self.world.api.count("watch", resource) > 0);
        }
        self.pass_fence();
    }

    /// Waits until what was due before is done and noted: the Secret of [`Mirror::settle`] is deleted and comes back.
    /// Namespaces take turns, so of each other one it is the Secret alone that waited longest.
    pub fn pass_fence(&self) {
        let fence = self.fence();
        let created = || self.world.api.count("create", &format!("/namespaces/{fence}/secrets"));
        let before = created();
        assert!(self.world.api.delete(&secret_path(&fence, "fence")), "the fence is there");
        let is_back = self.world.api.wait(super::PATIENCE, |_| created() > before);
        assert!(is_back, "the fence does not come back, log:\n{}", self.world.driver().log());
    }

    /// The namespace of this node's fence: nodes that shared one would not wait for themselves.
    fn fence(&self) -> String {
        if self.world.node == "node-1" { "fence".to_owned() } else { format!("fence-{}", self.world.node) }
    }

    /// The Secrets and pod statuses that are still there when all that was due is done.
    pub fn leftovers(&self) -> Vec<String> {
        // When the fence has come back twice, it is.
        self.settle();
        self.pass_fence();
        let list = |kind: &'static str, path: &str| {
            let objects = self.world.api.list(path).into_iter();
            objects.map(move |object| format!("{kind} {}", object["metadata"]["name"]))
        };
        list("Secret", SECRETS_PATH).chain(list("pod status", POD_STATUSES_PATH)).collect()
    }

    /// Waits for the first event about a pod, and returns its message.
    #[track_caller]
    pub fn event_for(&self, pod: &str) -> String {
        let patience = super::PATIENCE;
        let is_told = self.world.api.wait(patience, |api| !api.events_for(pod).is_empty());
        assert!(is_told, "{pod} is told nothing, log:\n{}", self.world.driver().log());
        let event = self.world.api.events_for(pod).remove(0);
        assert_eq!(event["reason"], "FailedToCreateSecret", "{event}");
        event["message"].as_str().expect("a message is a text").to_owned()
    }

    /// Errors counted, by reason.
    pub fn errors(&self, reason: &str) -> f64 {
        let labels = [("error_type", reason), ("provider", "test")];
        self.world.count("secrets_store_csi_sync_errors_total", &labels)
    }
}

/// An entry of `secretObjects`, from files to keys.
pub fn object(secret: &str, items: &[(&str, &str)]) -> Value {
    let items: Vec<Value> =
        items.iter().map(|(object, key)| json!({"objectName": object, "key": key})).collect();
    json!({"secretName": secret, "type": "Opaque", "data": items})
}

/// An object as others refer to it as their controlling owner.
pub fn reference(object: &Value) -> Value {
    json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"],
        "name": object["metadata"]["name"], "uid": object["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// What a key of the Secret holds, if it has it.
pub fn value(secret: &Value, key: &str) -> Option<String> {
    let bytes = STANDARD.decode(secret["data"][key].as_str()?).expect("data of a Secret is base64");
    Some(String::from_utf8(bytes).expect("tests use text"))
}

/// As it stands in a Secret.
pub fn encoded(text: &str) -> Value {
    json!(STANDARD.encode(text))
}

/// Names of the owners.
pub fn owners(secret: &Value) -> Vec<String> {
    let owners = secret["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
    owners.iter().map(|owner| owner["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Where the API server keeps a Secret.
pub fn secret_path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets/{name}")
}

/// What the provider answers at first.
fn old() -> pb::MountResponse {
    answer("v1", &[("password", 0, b"old")])
}

/// Part of the paths of the namespace `default`'s Secrets, and of no other path.
pub const SECRETS: &str = "/namespaces/default/secrets";
/// Where the API server keeps them all.
pub const SECRETS_PATH: &str = "/api/v1/namespaces/default/secrets";
const POD_STATUSES_PATH: &str =
    "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/default/secretproviderclasspodstatuses";
/// The name under which the API server notes what drivers write.
pub const DRIVER: &str = "csi-secrets-store";
/// That of a user.
pub const USER: &str = "kubectl-edit";
