//! The questions of the doctor: each is asked once, so that what is wrong is seen and not waited out.
//!
//! They change nothing: a review of access is a question that the API server takes in the form of an object, and keeps
//! no copy of.

use std::time::SystemTime;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use zeroize::Zeroizing;

use super::budget::Budget;
use super::client::{Client, Outgoing};
use super::error::{ApiError, Call, json_problem};
use super::resource::{CLASSES, CSI_DRIVERS, PODS};
use super::transport::{Answer, Form, Verb};
use super::types::{CsiDriver, Pod, SecretProviderClass};
use base::timestamp;

/// What the API server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerVersion {
    /// First and second part of the version; none where they are no numbers.
    pub release: Option<(u32, u32)>,
    /// The whole version, such as `v1.36.3`; not printable as it is.
    pub text: String,
    /// The server's clock.
    pub date: Option<SystemTime>,
}

/// What may be done to which resource in every namespace, or to one object by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Verb of access rules.
    pub verb: &'static str,
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Plural.
    pub resource: &'static str,
    /// Name of the one object; empty for all.
    pub name: &'static str,
}

impl Client {
    /// The server's version and clock, which every authenticated client may ask for.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn server_version(&self, budget: Budget) -> Result<ServerVersion, ApiError> {
        let outgoing = page("the API server's version", "/version".to_owned());
        let (Version { major, minor, git_version }, answer) = self.look(&outgoing, budget)?;
        // Some builds write `30+`.
        let number = |text: &str| text.trim_end_matches('+').parse().ok();
        Ok(ServerVersion {
            release: number(&major).zip(number(&minor)),
            text: git_version,
            date: answer.date.as_deref().and_then(timestamp::from_http_date),
        })
    }

    /// Whether this client may do that.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn may(&self, access: Access, budget: Budget) -> Result<bool, ApiError> {
        let Access { verb, group, resource, name } = access;
        let asked = json!({"verb": verb, "group": group, "resource": resource, "name": name});
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked},
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".to_owned();
        let body = Some(Zeroizing::new(review.to_string().into_bytes()));
        let outgoing = Outgoing { verb: Verb::Create, body, ..page("a review of access", path) };
        let (Review { status }, _) = self.look(&outgoing, budget)?;
        Ok(status.allowed)
    }

    /// The versions in which an API group is served.
    ///
    /// # Errors
    /// [`ApiError`]; a group that is not served is `is_not_found`.
    pub fn served_versions(&self, group: &str, budget: Budget) -> Result<Vec<String>, ApiError> {
        let outgoing = page("the versions of an API group", format!("/apis/{group}"));
        let (Group { versions }, _) = self.look(&outgoing, budget)?;
        Ok(versions.into_iter().map(|GroupVersion { version }| version).collect())
    }

    /// The plurals of the resources that are served in a version of an API group.
    ///
    /// # Errors
    /// [`ApiError`]; a version that is not served is `is_not_found`.
    pub fn served_resources(
        &self,
        group: &str,
        version: &str,
        budget: Budget,
    ) -> Result<Vec<String>, ApiError> {
        let outgoing = page("the resources of an API group", format!("/apis/{group}/{version}"));
        let (Resources { resources }, _) = self.look(&outgoing, budget)?;
        Ok(resources.into_iter().map(|ServedResource { name }| name).collect())
    }

    /// The CSIDriver object of that name.
    ///
    /// # Errors
    /// [`ApiError`]; one that is missing is `is_not_found`.
    pub fn csi_driver(&self, name: &str, budget: Budget) -> Result<CsiDriver, ApiError> {
        let path = CSI_DRIVERS.cluster_object(name)?;
        let call = Call::on("get", &CSI_DRIVERS, "", name);
        let outgoing = Outgoing { call, verb: Verb::Get, path, form: Form::Whole, body: None };
        self.look(&outgoing, budget).map(|(driver, _)| driver)
    }

    /// The pod of that name.
    ///
    /// # Errors
    /// [`ApiError`]; a missing pod is `is_not_found`.
    pub fn pod_once(&self, namespace: &str, name: &str, budget: Budget) -> Result<Pod, ApiError> {
        self.read_once(&Outgoing::get(&PODS, namespace, name)?, budget)
    }

    /// The SecretProviderClass of that name.
    ///
    /// # Errors
    /// [`ApiError`]; a missing class is `is_not_found`.
    pub fn class_once(
        &self,
        namespace: &str,
        name: &str,
        budget: Budget,
    ) -> Result<SecretProviderClass, ApiError> {
        self.read_once(&Outgoing::get(&CLASSES, namespace, name)?, budget)
    }

    fn look<T: DeserializeOwned>(
        &self,
        outgoing: &Outgoing,
        budget: Budget,
    ) -> Result<(T, Answer), ApiError> {
        let answer = self.ask_once(outgoing, budget)?;
        let shape = |problem| ApiError::Shape { call: outgoing.call.clone(), problem };
        let object = serde_json::from_slice(&answer.body).map_err(|error| shape(json_problem(&error)))?;
        Ok((object, answer))
    }
}

/// A GET of something that is no object.
fn page(what: &str, path: String) -> Outgoing {
    let (resource, namespace, name) = (what.to_owned(), String::new(), String::new());
    let call = Box::new(Call { verb: "get", resource, namespace, name });
    Outgoing { call, verb: Verb::Get, path, form: Form::Whole, body: None }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    #[serde(default)]
    major: String,
    #[serde(default)]
    minor: String,
    git_version: String,
}

#[derive(Deserialize)]
struct Review {
    status: ReviewStatus,
}

#[derive(Deserialize)]
struct ReviewStatus {
    allowed: bool,
}

#[derive(Deserialize)]
struct Group {
    versions: Vec<GroupVersion>,
}

#[derive(Deserialize)]
struct GroupVersion {
    version: String,
}

#[derive(Deserialize)]
struct Resources {
    resources: Vec<ServedResource>,
}

#[derive(Deserialize)]
struct ServedResource {
    name: String,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::ClusterConfig;
    use api_server::{ApiServer, Matcher};

    fn client(server: &ApiServer) -> Client {
        let cluster = ClusterConfig {
            server: server.url(),
            ca_file: None,
            token_file: None,
            request_timeout: Duration::from_secs(30),
            user_agent: "test".to_owned(),
        };
        Client::new(&cluster, Arc::new(|_, _| {})).unwrap()
    }

    fn budget() -> Budget {
        Budget::lasting(Duration::from_secs(30))
    }

    const GROUP: &str = "secrets-store.csi.x-k8s.io";

    #[test]
    fn the_version_comes_in_parts_and_with_the_servers_clock() {
        let server = ApiServer::start();
        server.set_clock_ahead(5000);
        let version = client(&server).server_version(budget()).unwrap();
        assert_eq!((version.release, version.text.as_str()), (Some((1, 36)), "v1.36.3"));
        let ahead = version.date.unwrap().duration_since(SystemTime::now()).unwrap().as_secs();
        assert!((4950..=5000).contains(&ahead), "{ahead}");
        let body = r#"{"major":"1","minor":"30+","gitVersion":"v1.30.0"}"#;
        server.answer_next(1, Matcher::any(), 200, body);
        assert_eq!(client(&server).server_version(budget()).unwrap().release, Some((1, 30)));
        server.answer_next(1, Matcher::any(), 200, r#"{"gitVersion":"x"}"#);
        assert_eq!(client(&server).server_version(budget()).unwrap().release, None);
    }

    #[test]
    fn what_may_be_done_is_asked_by_verb_and_resource() {
        let server = ApiServer::start();
        server.deny("list", "pods");
        let client = client(&server);
        let may =
            |verb, resource| client.may(Access { verb, group: "", resource, name: "" }, budget()).unwrap();
        assert_eq!([may("list", "pods"), may("get", "pods"), may("list", "secrets")], [false, true, true]);
    }

    #[test]
    fn what_is_served_is_told_by_group_and_version() {
        let server = ApiServer::start();
        let client = client(&server);
        assert_eq!(client.served_versions(GROUP, budget()).unwrap(), ["v1", "v1alpha1"]);
        server.uninstall("secretproviderclasspodstatuses");
        assert_eq!(client.served_resources(GROUP, "v1", budget()).unwrap(), ["secretproviderclasses"]);
        assert!(client.served_resources(GROUP, "v9", budget()).unwrap_err().is_not_found());
        server.uninstall("secretproviderclasses");
        assert!(client.served_versions(GROUP, budget()).unwrap_err().is_not_found());
    }

    #[test]
    fn a_question_is_asked_once_and_not_again() {
        let server = ApiServer::start();
        server.fail_next(1, Matcher::any(), 503, None);
        assert_eq!(client(&server).server_version(budget()).unwrap_err().code(), Some(503));
        assert_eq!(server.requests().len(), 1);
    }
}
