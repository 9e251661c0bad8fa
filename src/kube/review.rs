//! Who sent a token, and what he may do: what a server of the cluster asks about those who call it.
//!
//! A review is a question that the API server takes in the form of an object, and keeps no copy of. The token that it
//! carries is somebody else's: no error has a word of the answer's about it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::budget::Budget;
use super::client::{Client, Outgoing};
use super::error::{ApiError, Call};
use super::transport::{Form, Verb};
use super::types::null_as_empty;
use base::secret::SecretString;

/// Who sent a token, as the API server knows him.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Caller {
    /// His name; a service account's begins with `system:serviceaccount:`.
    #[serde(rename(serialize = "user"), deserialize_with = "null_as_empty")]
    pub username: String,
    #[serde(deserialize_with = "null_as_empty")]
    uid: String,
    #[serde(deserialize_with = "null_as_empty")]
    groups: Vec<String>,
    extra: Value,
}

impl Client {
    /// Who sent that token; none where nobody could have.
    ///
    /// # Errors
    /// [`ApiError`], without the token.
    pub fn caller_of(&self, token: &SecretString, budget: Budget) -> Result<Option<Caller>, ApiError> {
        let spec = json!({"token": token.expose()});
        let TokenReview { status } =
            self.review("authentication.k8s.io", TOKEN_REVIEWS, "TokenReview", spec, budget)?;
        Ok(status.user.filter(|_| status.authenticated))
    }

    /// Whether that caller may GET a path that is no object's.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn may_get(&self, caller: &Caller, path: &str, budget: Budget) -> Result<bool, ApiError> {
        let mut spec = json!(caller);
        if let Some(fields) = spec.as_object_mut() {
            fields.insert("nonResourceAttributes".to_owned(), json!({"verb": "get", "path": path}));
        }
        let kind = "SubjectAccessReview";
        let AccessReview { status } =
            self.review("authorization.k8s.io", "subjectaccessreviews", kind, spec, budget)?;
        Ok(status.allowed && !status.denied)
    }

    fn review<T: for<'de> Deserialize<'de>>(
        &self,
        group: &str,
        plural: &str,
        kind: &str,
        spec: Value,
        budget: Budget,
    ) -> Result<T, ApiError> {
        let api_version = format!("{group}/v1");
        let path = format!("/apis/{api_version}/{plural}");
        let (resource, namespace, name) = (format!("{plural}.{group}"), String::new(), String::new());
        let call = Box::new(Call { verb: "create", resource, namespace, name });
        let review = json!({"apiVersion": api_version, "kind": kind, "spec": spec});
        let body = Some(Zeroizing::new(review.to_string().into_bytes()));
        self.fetch(&Outgoing { call, verb: Verb::Create, path, form: Form::Whole, body }, budget)
    }
}

#[derive(Deserialize)]
struct TokenReview {
    status: TokenStatus,
}

#[derive(Deserialize)]
struct TokenStatus {
    #[serde(default)]
    authenticated: bool,
    user: Option<Caller>,
}

#[derive(Deserialize)]
struct AccessReview {
    status: AccessStatus,
}

#[derive(Deserialize)]
struct AccessStatus {
    #[serde(default)]
    allowed: bool,
    #[serde(default)]
    denied: bool,
}

const TOKEN_REVIEWS: &str = "tokenreviews";
/// As messages name it: a request that carries a token.
pub(super) const QUALIFIED_TOKEN_REVIEWS: &str = "tokenreviews.authentication.k8s.io";
