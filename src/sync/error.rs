//! Why a Secret could not be brought up to date: who is to do what about it, and whether trying again may help.

use std::fmt;

use kube::error::ApiError;
use kube::types::ObjectKey;
use sys::at::SysError;
use volume::content::ContentError;
use volume::place::PlaceError;

use super::data::DataError;
use super::plan::Refusal;
use super::secret_object::SecretObjectError;

/// A Secret could not be brought up to date.
#[derive(Debug)]
pub enum SyncError {
    /// The driver may not read or write Secrets; none when it may not even list them.
    Forbidden(Option<ApiError>),
    /// The API server did not do it.
    Api(ApiError),
    /// The API server does not accept what the class and the files make of the Secret.
    Rejected(ApiError),
    /// The API server refuses the Secret for now: a quota, a webhook, a namespace that is being removed.
    Denied(ApiError),
    /// Somebody was faster, again and again.
    Contended,
    /// The Secret is not to be touched.
    Refused(Refusal),
    /// The files do not make the Secret.
    Data(DataError<ContentError>),
    /// The volume cannot be read.
    Volume(PlaceError),
    /// The volume's content cannot be read.
    Content(SysError),
    /// The class's entry is wrong.
    Object(SecretObjectError),
    /// What should own the Secret does not exist, so that it would be collected at once.
    NoOwner,
    /// The pod is a static one, which nothing in the API server stands for that a Secret could live and die with.
    StaticPod,
    /// The entry asks for a type that controllers of Kubernetes fill.
    OfController {
        /// The Secret.
        secret: String,
        /// Its type.
        kind: String,
    },
    /// Two entries of the class name one Secret.
    NamedTwice {
        /// The Secret.
        secret: String,
    },
}

/// What can be done about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Trying again.
    Retry,
    /// Trying again, and the owner of the pod can do something for it.
    RetryAndTell,
    /// The cluster's administrator gives a permission.
    Permission,
    /// The owner of the class or of the pod changes something.
    Owner,
}

impl SyncError {
    /// What a failed call means.
    pub fn of_call(error: ApiError) -> SyncError {
        match error.code() {
            // The one answer that is about the object alone: it stays true until somebody changes that.
            Some(422) => SyncError::Rejected(error),
            Some(403) if error.is_undecided() => SyncError::Api(error),
            Some(400 | 413) => SyncError::Denied(error),
            Some(403) if error.is_refused_by_policy() => SyncError::Denied(error),
            Some(403) => SyncError::Forbidden(Some(error)),
            _ => SyncError::Api(error),
        }
    }

    /// What can be done about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            SyncError::Forbidden(_) => Remedy::Permission,
            SyncError::Denied(_) => Remedy::RetryAndTell,
            SyncError::Api(_)
            | SyncError::Contended
            | SyncError::NoOwner
            | SyncError::Volume(_)
            | SyncError::Content(_) => Remedy::Retry,
            SyncError::Data(DataError::Read { source, .. }) if source.is_replaced() => Remedy::Retry,
            SyncError::Rejected(_)
            | SyncError::Refused(_)
            | SyncError::Data(_)
            | SyncError::Object(_)
            | SyncError::StaticPod
            | SyncError::OfController { .. }
            | SyncError::NamedTwice { .. } => Remedy::Owner,
        }
    }

    /// In one word, for a metric's label.
    pub fn reason(&self) -> &'static str {
        match self {
            SyncError::Forbidden(_) => "Forbidden",
            SyncError::Api(_) => "APIServerError",
            SyncError::Rejected(_) | SyncError::Denied(_) => "SecretRejected",
            SyncError::Contended => "Conflict",
            SyncError::NoOwner => "NoOwner",
            SyncError::StaticPod => "StaticPod",
            SyncError::Refused(Refusal::NotManaged) => "SecretNotManaged",
            SyncError::Refused(Refusal::OtherType { .. }) => "SecretOfOtherType",
            SyncError::Data(_) => "SecretDataError",
            SyncError::Volume(_) | SyncError::Content(_) => "VolumeError",
            SyncError::Object(_) | SyncError::OfController { .. } | SyncError::NamedTwice { .. } => {
                "InvalidSecretObject"
            }
        }
    }

    /// In words that tell the owner of the pod what to change.
    pub fn message(&self, class: &ObjectKey, secret: &str) -> String {
        match self {
            SyncError::StaticPod => {
                format!("secret {secret} of class {class} is not made for this pod: {self}")
            }
            SyncError::Data(error) => {
                format!("failed to get data in spc {class} for secret {secret}, err: {error}")
            }
            other => format!("secret {secret} of class {class} is not up to date: {other}"),
        }
    }
}

impl fmt::Display for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SyncError::Forbidden(_) => f.write_str(MISSING_ROLE),
            SyncError::Api(error) | SyncError::Rejected(error) => error.fmt(f),
            SyncError::Denied(error) => write!(f, "{error}; it is tried again, a minute apart at most"),
            SyncError::Contended => f.write_str("somebody else changes it all the time"),
            SyncError::NoOwner => {
                f.write_str("the pod status that should own it was deleted; the next refresh writes it again")
            }
            SyncError::StaticPod => f.write_str(
                "the pod is a static one, which kubelet runs without the API server, so nothing there could own the \
                 secret and take it along; the volume is mounted all the same. Have a pod of a Deployment, a DaemonSet \
                 or the like mount the class",
            ),
            SyncError::Refused(Refusal::NotManaged) => f.write_str(
                "it exists and is not managed by this driver; label it secrets-store.csi.k8s.io/managed=true to \
                 hand it over, or give another secretName",
            ),
            SyncError::Refused(Refusal::OtherType { found }) => {
                write!(f, "it exists with type {found:?}, which cannot be changed; delete it, or adapt the class")
            }
            SyncError::Data(error) => error.fmt(f),
            SyncError::Volume(error) => error.fmt(f),
            SyncError::Content(error) => write!(f, "could not read the volume: {error}"),
            SyncError::Object(error) => error.fmt(f),
            SyncError::OfController { secret, kind } => write!(
                f,
                "secret {secret} is not made: it would be of type {kind}, and controllers of Kubernetes fill, change \
                 and delete secrets of this type, against which the driver would write; give it type Opaque, or mount \
                 the volume alone"
            ),
            SyncError::NamedTwice { secret } => {
                write!(f, "secret {secret} is named twice, the first entry is used")
            }
        }
    }
}

impl std::error::Error for SyncError {}

/// What is missing, and where to get it.
pub const MISSING_ROLE: &str = "the driver's service account may not list, watch, create and patch Secrets: bind it \
                                to ClusterRole secretprovidersyncing-role (Helm: syncSecret.enabled=true)";

#[cfg(test)]
mod tests {
    use super::*;
    use kube::error::Call;
    use kube::resource::SECRETS;

    #[test]
    fn what_may_pass_by_itself_is_tried_again_and_only_what_people_must_change_waits() {
        let roles = "secrets is forbidden: User \"a\" cannot create resource \"secrets\" in API group \"\"";
        let undecided = format!("{roles}: RBAC: clusterrole.rbac.authorization.k8s.io \"r\" not found");
        let rows = [
            ("invalid", 422, "Secret is invalid", Remedy::Owner),
            ("no role", 403, roles, Remedy::Permission),
            ("a role that the server does not know yet", 403, &undecided, Remedy::Retry),
            ("a quota", 403, "exceeded quota: count, used: 10, limited: 10", Remedy::RetryAndTell),
            ("a namespace that goes", 403, "because it is being terminated", Remedy::RetryAndTell),
            ("a webhook", 403, "admission webhook \"w\" denied the request", Remedy::RetryAndTell),
            ("a webhook with a code of its own", 400, "admission webhook", Remedy::RetryAndTell),
            ("a proxy before the server", 413, "too large", Remedy::RetryAndTell),
            ("a proxy without words", 403, "", Remedy::RetryAndTell),
            ("a webhook that does not answer", 500, "failed calling webhook", Remedy::Retry),
            ("the namespace is gone", 404, "namespaces \"a\" not found", Remedy::Retry),
            ("a quota that is written at the same time", 409, "Operation cannot be fulfilled", Remedy::Retry),
            ("too many requests", 429, "", Remedy::Retry),
        ];
        for (name, code, message, remedy) in rows {
            let body = serde_json::json!({"kind": "Status", "message": message}).to_string();
            let call = Call::on("create", &SECRETS, "default", "x");
            let error = ApiError::from_answer_about_secret(call, code, None, body.as_bytes());
            assert_eq!(SyncError::of_call(error).remedy(), remedy, "{name}");
        }
    }
}
