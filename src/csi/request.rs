//! From a message of kubelet's to a request that cannot be wrong in form: the one place for argument errors.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use base::secret::SecretString;
use kube::event::PodRef;
use kube::pod_tokens;
use publish::request::{CLASS, POD_NAME, POD_NAMESPACE, POD_UID, PublishRequest, TOKENS, UnpublishRequest};
use rpc::pb::csi as pb;
use rpc::status::{Code, Status};
use volume::target::{TargetError, TargetPath};

/// Checks a publish. `pods_dir` confines targets, see [`TargetPath::parse`].
pub fn publish(
    message: pb::NodePublishVolumeRequest,
    pods_dir: Option<&Path>,
) -> Result<PublishRequest, Status> {
    let Some(capability) = message.volume_capability.into_option() else {
        return Err(invalid("Volume capability missing in request"));
    };
    let volume_id = required(message.volume_id, "Volume ID missing in request")?;
    let target = required(message.target_path, "Target path missing in request")?;
    if message.volume_context.is_empty() {
        return Err(invalid("Volume attributes missing in request"));
    }
    let target = TargetPath::parse(&target, pods_dir).map_err(|error| outside(&error))?;
    let mut attributes = secret_values(message.volume_context);
    let mut secrets = secret_values(message.secrets);
    let attribute =
        |key: &str| attributes.get(key).map(|value| value.expose().to_owned()).unwrap_or_default();
    let class = attribute(CLASS);
    if class.is_empty() {
        return Err(Status::new(Code::Unknown, "secretProviderClass is not set"));
    }
    if !message.readonly {
        return Err(invalid("Readonly is not true in request"));
    }
    let pod =
        PodRef { namespace: attribute(POD_NAMESPACE), name: attribute(POD_NAME), uid: attribute(POD_UID) };
    let group = group(&capability)?;
    let is_foreign = |tokens: &SecretString| {
        !tokens.expose().is_empty() && !pod_tokens::are_bound_to(tokens.expose(), &pod.uid)
    };
    let mut had_foreign_tokens = false;
    for place in [&mut attributes, &mut secrets] {
        if place.get(TOKENS).is_some_and(is_foreign) {
            place.remove(TOKENS);
            had_foreign_tokens = true;
        }
    }
    Ok(PublishRequest { volume_id, target, class, pod, secrets, had_foreign_tokens, group, attributes })
}

/// Checks an unpublish.
pub fn unpublish(
    message: pb::NodeUnpublishVolumeRequest,
    pods_dir: Option<&Path>,
) -> Result<UnpublishRequest, Status> {
    let volume_id = required(message.volume_id, "Volume ID missing in request")?;
    let target = required(message.target_path, "Target path missing in request")?;
    let target = TargetPath::parse(&target, pods_dir).map_err(|error| outside(&error))?;
    Ok(UnpublishRequest { volume_id, target })
}

/// Checks a question about a volume. A path on which no volume can be is one on which there is none.
pub fn stats(
    message: pb::NodeGetVolumeStatsRequest,
    pods_dir: Option<&Path>,
) -> Result<(String, TargetPath), Status> {
    let volume_id = required(message.volume_id, "Volume ID missing in request")?;
    let path = required(message.volume_path, "Volume path missing in request")?;
    let target =
        TargetPath::parse(&path, pods_dir).map_err(|error| Status::new(Code::NotFound, error.to_string()))?;
    Ok((volume_id, target))
}

/// The pod's fsGroup, which kubelet passes as text where the driver applies it.
fn group(capability: &pb::VolumeCapability) -> Result<Option<u32>, Status> {
    let Some(pb::volume_capability::Access_type::Mount(mount)) = &capability.access_type else {
        return Ok(None);
    };
    match mount.volume_mount_group.as_str() {
        "" => Ok(None),
        // (gid_t)-1 means "leave it" to the kernel.
        text => match text.parse::<u32>() {
            Ok(gid) if gid != u32::MAX => Ok(Some(gid)),
            Ok(_) | Err(_) => Err(invalid("Volume mount group in request is not a group id")),
        },
    }
}

fn secret_values(map: HashMap<String, String>) -> BTreeMap<String, SecretString> {
    map.into_iter().map(|(key, value)| (key, SecretString::new(value))).collect()
}

fn required(value: String, missing: &str) -> Result<String, Status> {
    if value.is_empty() { Err(invalid(missing)) } else { Ok(value) }
}

fn invalid(message: &str) -> Status {
    Status::new(Code::InvalidArgument, message)
}

fn outside(error: &TargetError) -> Status {
    Status::new(Code::InvalidArgument, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kit::tokens::bound_to;
    use protobuf::MessageField;

    fn valid() -> pb::NodePublishVolumeRequest {
        let context = [(CLASS, "db"), (POD_NAME, "web"), (POD_NAMESPACE, "team"), (POD_UID, "u1")];
        pb::NodePublishVolumeRequest {
            volume_id: "csi-1".to_owned(),
            target_path: "/k/pods/u1/volumes/kubernetes.io~csi/v/mount".to_owned(),
            volume_capability: MessageField::some(pb::VolumeCapability::default()),
            readonly: true,
            volume_context: context.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            ..Default::default()
        }
    }

    fn with_group(group: &str) -> pb::NodePublishVolumeRequest {
        let mut capability = pb::VolumeCapability::default();
        capability.mut_mount().volume_mount_group = group.to_owned();
        pb::NodePublishVolumeRequest { volume_capability: MessageField::some(capability), ..valid() }
    }

    #[test]
    fn a_valid_request_is_taken_apart() {
        let request = publish(valid(), None).map_err(|status| status.message).unwrap();
        assert_eq!((request.class.as_str(), request.pod.name.as_str()), ("db", "web"));
        assert_eq!((request.pod.namespace.as_str(), request.pod.uid.as_str()), ("team", "u1"));
        assert_eq!(request.group, None);
    }

    #[test]
    fn tokens_that_are_not_bound_to_the_pod_are_left_out_wherever_they_come() {
        let rows = [
            ("kubelet's", bound_to("u1", "signature"), true),
            ("another pod's", bound_to("u2", "signature"), false),
            ("a pod's own", "evil".to_owned(), false),
        ];
        for (name, tokens, is_kubelets) in rows {
            for in_secrets in [false, true] {
                let mut message = valid();
                let map = if in_secrets { &mut message.secrets } else { &mut message.volume_context };
                map.insert(TOKENS.to_owned(), tokens.clone());
                let request = publish(message, None).map_err(|status| status.message).unwrap();
                let place = if in_secrets { &request.secrets } else { &request.attributes };
                assert_eq!(place.contains_key(TOKENS), is_kubelets, "{name}, {in_secrets}");
                assert_eq!(request.had_foreign_tokens, !is_kubelets, "{name}, {in_secrets}");
            }
        }
    }

    /// What is wrong, how it comes about, and the answer.
    type Case = (&'static str, fn(&mut pb::NodePublishVolumeRequest), Code, &'static str);

    #[test]
    fn every_argument_error_has_its_code_and_its_words() {
        use Code::{InvalidArgument, Unknown};
        let cases: &[Case] = &[
            (
                "capability",
                |r| r.volume_capability = MessageField::none(),
                InvalidArgument,
                "Volume capability missing in request",
            ),
            ("volume id", |r| r.volume_id.clear(), InvalidArgument, "Volume ID missing in request"),
            ("target", |r| r.target_path.clear(), InvalidArgument, "Target path missing in request"),
            (
                "context",
                |r| r.volume_context.clear(),
                InvalidArgument,
                "Volume attributes missing in request",
            ),
            (
                "relative target",
                |r| r.target_path = "a/b".into(),
                InvalidArgument,
                "Target path \"a/b\" is not absolute",
            ),
            ("class", |r| drop(r.volume_context.remove(CLASS)), Unknown, "secretProviderClass is not set"),
            ("read-write", |r| r.readonly = false, InvalidArgument, "Readonly is not true in request"),
        ];
        for (name, spoil, code, message) in cases {
            let mut request = valid();
            spoil(&mut request);
            let status = publish(request, None).err().unwrap();
            assert_eq!((status.code, status.message.as_str()), (*code, *message), "{name}");
        }
    }

    #[test]
    fn of_several_errors_the_first_in_order_is_told() {
        let mut request = pb::NodePublishVolumeRequest::default();
        assert_eq!(
            publish(request.clone(), None).err().unwrap().message,
            "Volume capability missing in request"
        );
        request.volume_capability = MessageField::some(pb::VolumeCapability::default());
        assert_eq!(publish(request.clone(), None).err().unwrap().message, "Volume ID missing in request");
        request.volume_id = "v".to_owned();
        assert_eq!(publish(request.clone(), None).err().unwrap().message, "Target path missing in request");
        request.target_path = "relative".to_owned();
        assert_eq!(publish(request, None).err().unwrap().message, "Volume attributes missing in request");
    }

    #[test]
    fn a_group_is_a_number_that_a_file_can_have() {
        assert_eq!(publish(with_group("2000"), None).map(|r| r.group).ok(), Some(Some(2000)));
        assert_eq!(publish(with_group(""), None).map(|r| r.group).ok(), Some(None));
        for bad in ["-1", "4294967295", "4294967296", "wheel", " 5"] {
            assert_eq!(publish(with_group(bad), None).err().unwrap().code, Code::InvalidArgument, "{bad}");
        }
    }

    #[test]
    fn a_target_outside_the_pods_directory_is_refused_for_publish_and_unpublish() {
        let pods = Some(Path::new("/k/pods"));
        assert!(publish(valid(), pods).is_ok());
        let outside = pb::NodePublishVolumeRequest { target_path: "/etc/x".into(), ..valid() };
        assert_eq!(publish(outside, pods).err().unwrap().code, Code::InvalidArgument);
        let outside = pb::NodeUnpublishVolumeRequest {
            volume_id: "v".into(),
            target_path: "/etc/x".into(),
            ..Default::default()
        };
        assert_eq!(unpublish(outside, pods).err().unwrap().code, Code::InvalidArgument);
    }

    #[test]
    fn unpublish_needs_an_id_and_a_target() {
        let of = |id: &str, target: &str| {
            let message = pb::NodeUnpublishVolumeRequest {
                volume_id: id.into(),
                target_path: target.into(),
                ..Default::default()
            };
            unpublish(message, None).err().map(|status| status.message)
        };
        assert_eq!(of("", "").as_deref(), Some("Volume ID missing in request"));
        assert_eq!(of("v", "").as_deref(), Some("Target path missing in request"));
        assert_eq!(of("v", "/t"), None);
    }
}
