//! What kubelet asks for, from the wire to a request and to what the provider is told: in order, confined, and refused
//! in words without a secret.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::message;
use base::secret::SecretString;
use kube::claims::pod_uid;
use kube::types::TextMap;
use protobuf::Message;
use publish::attributes::{Attributes, Precedence, secrets_json};
use publish::request::{KUBELET_KEYS, PublishRequest, TOKENS};
use rpc::pb::csi as pb;
use rpc::status::{Code, Status};
use secrets_store_csi_driver::csi::request;
use serde_json::{Map, Value};
use volume::target::TargetPath;

use crate::input::Input;
use crate::text::{assert_is_harmless, assert_is_without};

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let form = input.byte();
    let pods_dir = (form & 1 == 1).then_some(Path::new("/k/pods"));
    match form >> 1 & 3 {
        0 | 1 => {
            let parameters = parameters(&mut input);
            if let Some(message) = decoded(input.rest()) {
                publish(message, pods_dir, &parameters);
            }
        }
        2 => decoded(input.rest()).into_iter().for_each(|message| unpublish(message, pods_dir)),
        _ => decoded(input.rest()).into_iter().for_each(|message| stats(message, pods_dir)),
    }
}

/// The message, which must be read as it is written.
fn decoded<M: Message>(bytes: &[u8]) -> Option<M> {
    let message = message::decoded::<M>(bytes)?;
    let again = message::decoded::<M>(&message.write_to_bytes().unwrap()).unwrap();
    assert!(again == message, "a message changes when it is written");
    Some(message)
}

/// A class's.
fn parameters(input: &mut Input<'_>) -> BTreeMap<String, String> {
    (0..input.below(4)).map(|_| (input.text(), input.text())).collect()
}

fn publish(
    message: pb::NodePublishVolumeRequest,
    pods_dir: Option<&Path>,
    parameters: &BTreeMap<String, String>,
) {
    let refusal = publish_refusal(&message, pods_dir);
    match request::publish(message.clone(), pods_dir) {
        Err(status) => {
            assert_eq!(Some(status.code), refusal, "{status}");
            refused(&status, &message.target_path);
            let values = message.secrets.values().chain(message.volume_context.values());
            values.for_each(|value| {
                assert_is_without(&status.message, value.as_bytes(), &[&message.target_path])
            });
        }
        Ok(request) => {
            assert_eq!(refusal, None);
            taken(&message, &request);
            told(&request, parameters);
        }
    }
}

/// The code with which a publish must be refused: each check in its order.
fn publish_refusal(message: &pb::NodePublishVolumeRequest, pods_dir: Option<&Path>) -> Option<Code> {
    let has_form = message.volume_capability.is_some()
        && !message.volume_id.is_empty()
        && !message.volume_context.is_empty()
        && TargetPath::parse(&message.target_path, pods_dir).is_ok();
    if !has_form {
        return Some(Code::InvalidArgument);
    }
    if message.volume_context.get("secretProviderClass").is_none_or(String::is_empty) {
        return Some(Code::Unknown);
    }
    let group = message.volume_capability.mount().volume_mount_group.as_str();
    // As the kernel has it: from 0 to one below (gid_t)-1.
    let is_group = group.is_empty() || group.parse::<u64>().is_ok_and(|gid| gid < u64::from(u32::MAX));
    (!message.readonly || !is_group).then_some(Code::InvalidArgument)
}

fn taken(message: &pb::NodePublishVolumeRequest, request: &PublishRequest) {
    assert_eq!(request.volume_id, message.volume_id);
    assert_eq!(request.target.as_str(), message.target_path);
    let of = |key: &str| message.volume_context.get(key).cloned().unwrap_or_default();
    assert_eq!(request.class, of("secretProviderClass"));
    assert_eq!(request.pod.name, of("csi.storage.k8s.io/pod.name"));
    assert_eq!(request.pod.namespace, of("csi.storage.k8s.io/pod.namespace"));
    assert_eq!(request.pod.uid, of("csi.storage.k8s.io/pod.uid"));
    let sides = [(&request.attributes, &message.volume_context), (&request.secrets, &message.secrets)];
    let left_out = sides.map(|(taken, sent)| all_but_foreign_tokens(taken, sent, &request.pod.uid));
    assert_eq!(request.had_foreign_tokens, left_out.contains(&true));
    let group = message.volume_capability.mount().volume_mount_group.as_str();
    assert_eq!(request.group, group.parse().ok());
    let shown = format!("{:?}{:?}", request.attributes, request.secrets);
    let keys: Vec<_> = request.attributes.keys().chain(request.secrets.keys()).map(String::as_str).collect();
    let values = message.secrets.values().chain(message.volume_context.values());
    values.for_each(|value| assert_is_without(&shown, value.as_bytes(), &keys));
}

/// All that was sent is taken, but tokens that are not bound to the pod; true when there were such.
fn all_but_foreign_tokens(
    taken: &BTreeMap<String, SecretString>,
    sent: &HashMap<String, String>,
    uid: &str,
) -> bool {
    let mut expected: BTreeMap<_, _> = sent.clone().into_iter().collect();
    let is_taken = taken.contains_key(TOKENS);
    if let Some(tokens) = expected.get(TOKENS).filter(|tokens| is_taken && !tokens.is_empty()) {
        let by_audience: Map<String, Value> = serde_json::from_str(tokens).unwrap();
        let is_bound = |entry: &Value| pod_uid(entry["token"].as_str().unwrap()).as_deref() == Some(uid);
        assert!(!uid.is_empty() && by_audience.values().all(is_bound), "tokens of others");
    }
    let is_left_out = !is_taken && expected.remove(TOKENS).is_some();
    assert_eq!(exposed(taken), expected);
    is_left_out
}

fn exposed(map: &BTreeMap<String, SecretString>) -> BTreeMap<String, String> {
    map.iter().map(|(key, value)| (key.clone(), value.expose().to_owned())).collect()
}

/// What the provider is told: both sides, each key once, and kubelet's keys from kubelet alone.
fn told(request: &PublishRequest, parameters: &BTreeMap<String, String>) {
    let is_reserved = |key: &String| key.starts_with("csi.storage.k8s.io/");
    let mut attributes = exposed(&request.attributes);
    let unknown: BTreeMap<_, _> = attributes
        .extract_if(.., |key, _| is_reserved(key) && !KUBELET_KEYS.contains(&key.as_str()))
        .collect();
    let of_class: TextMap = parameters.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    for precedence in [Precedence::Class, Precedence::Pod] {
        let merged = match Attributes::merge(&of_class, request, precedence) {
            Ok(merged) => merged,
            Err(error) => {
                assert!(parameters.keys().any(is_reserved), "{error}");
                assert_is_harmless(&error.to_string(), 128 * 10 + 100);
                continue;
            }
        };
        assert!(!parameters.keys().any(is_reserved));
        let (weak, strong) = match precedence {
            Precedence::Class => (&attributes, parameters),
            Precedence::Pod => (parameters, &attributes),
        };
        let mut expected = weak.clone();
        expected.extend(strong.clone());
        if let Some(newer) = request.secrets.get(TOKENS).filter(|newer| !newer.expose().is_empty()) {
            expected.insert(TOKENS.to_owned(), newer.expose().to_owned());
        }
        assert_eq!(object(merged.json.expose()), expected);
        assert!(merged.unknown.iter().eq(unknown.keys()), "what a pod makes up reaches no provider");
        let differ = |key: &&String| attributes.get(*key).is_some_and(|value| *value != parameters[*key]);
        assert_eq!(merged.collisions, parameters.keys().filter(differ).cloned().collect::<Vec<_>>());
    }
    let secrets = secrets_json(&request.secrets);
    match secrets.expose() {
        "null" => assert!(request.secrets.is_empty()),
        text => assert_eq!(object(text), exposed(&request.secrets)),
    }
}

fn object(text: &str) -> BTreeMap<String, String> {
    let object: Map<String, Value> = serde_json::from_str(text).unwrap();
    object.into_iter().map(|(key, value)| (key, value.as_str().unwrap().to_owned())).collect()
}

fn unpublish(message: pb::NodeUnpublishVolumeRequest, pods_dir: Option<&Path>) {
    let is_good = !message.volume_id.is_empty() && TargetPath::parse(&message.target_path, pods_dir).is_ok();
    match request::unpublish(message.clone(), pods_dir) {
        Ok(request) => {
            assert!(is_good);
            assert_eq!(
                (request.volume_id, request.target.as_str()),
                (message.volume_id, &*message.target_path)
            );
        }
        Err(status) => {
            assert!(!is_good && status.code == Code::InvalidArgument, "{status}");
            refused(&status, &message.target_path);
        }
    }
}

fn stats(message: pb::NodeGetVolumeStatsRequest, pods_dir: Option<&Path>) {
    let has_both = !message.volume_id.is_empty() && !message.volume_path.is_empty();
    let is_good = has_both && TargetPath::parse(&message.volume_path, pods_dir).is_ok();
    match request::stats(message.clone(), pods_dir) {
        Ok((id, target)) => {
            assert!(is_good);
            assert_eq!((id, target.as_str()), (message.volume_id, &*message.volume_path));
        }
        Err(status) => {
            let code = if has_both { Code::NotFound } else { Code::InvalidArgument };
            assert!(!is_good && status.code == code, "{status}");
            refused(&status, &message.volume_path);
        }
    }
}

/// Texts for kubelet, which shows them to whoever may see the pod.
fn refused(status: &Status, target: &str) {
    assert_is_harmless(&status.message, 256 * 10 + 200);
    let is_about_target = status.message.starts_with("Target path \"");
    assert!(is_about_target || FIXED.contains(&&*status.message), "{target:?}: {}", status.message);
}

const FIXED: [&str; 8] = [
    "Volume capability missing in request",
    "Volume ID missing in request",
    "Target path missing in request",
    "Volume path missing in request",
    "Volume attributes missing in request",
    "secretProviderClass is not set",
    "Readonly is not true in request",
    "Volume mount group in request is not a group id",
];
