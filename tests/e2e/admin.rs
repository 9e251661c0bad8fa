//! The administrator of the cluster: what a user does with kubectl, over the API.
//!
//! The plain methods panic when the API server refuses; `ask` returns the refusal. All of them wait out an API server
//! that is being started.

use serde_json::{Value, json};

use crate::kinds;
use crate::patience::until_some;
use crate::web::Web;

/// A client with every right, which is what the test needs.
#[derive(Clone)]
pub struct Admin {
    web: Web,
    server: String,
    token: String,
}

/// The API server said no, or said nothing.
#[derive(Debug)]
pub struct Refusal {
    /// HTTP status code; 0 where there was no answer.
    pub code: u16,
    /// What it said.
    pub message: String,
}

impl Admin {
    /// Talks to `server` with the bearer token.
    pub fn new(web: Web, server: &str, token: &str) -> Admin {
        Admin { web, server: server.to_owned(), token: token.to_owned() }
    }

    /// Whether the API server takes this token.
    pub fn accepts(&self, token: &str) -> bool {
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token},
        });
        self.post("/apis/authentication.k8s.io/v1/tokenreviews", &review)["status"]["authenticated"] == true
    }

    /// One request, once.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Refusal> {
        let bearer = format!("Bearer {}", self.token);
        let kind = match method {
            "APPLY" => "application/apply-patch+yaml",
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let http_method = if method == "APPLY" { "PATCH" } else { method };
        let headers = [("authorization", bearer.as_str()), ("content-type", kind)];
        let (url, body) = (format!("{}{path}", self.server), body.map(Value::to_string));
        let answer = self.web.send(http_method, &url, &headers, body.as_deref());
        let answer = answer.map_err(|message| Refusal { code: 0, message })?;
        let said: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        match answer.code {
            200..=299 => Ok(said),
            code => {
                Err(Refusal { code, message: said["message"].as_str().unwrap_or(&answer.body).to_owned() })
            }
        }
    }

    /// Creates the object, or makes it as given; everything of a manifest is stated again.
    pub fn apply(&self, object: &Value) -> Value {
        let path = kinds::path_of(object);
        self.insist("APPLY", &format!("{path}?fieldManager=administrator&force=true"), Some(object))
    }

    /// The object, if there is one.
    pub fn get(&self, path: &str) -> Option<Value> {
        match self.try_insist("GET", path, None) {
            Ok(object) => Some(object),
            Err(refusal) if refusal.code == 404 => None,
            Err(refusal) => panic!("get {path}: {refusal}"),
        }
    }

    /// The objects of a collection; a query may select some.
    pub fn list(&self, path: &str) -> Vec<Value> {
        match self.insist("GET", path, None)["items"].take() {
            Value::Array(items) => items,
            other => panic!("list {path}: no list but {other}"),
        }
    }

    /// Changes some fields.
    pub fn patch(&self, path: &str, change: &Value) -> Value {
        self.insist("PATCH", path, Some(change))
    }

    /// Posts to a collection or a subresource.
    pub fn post(&self, path: &str, body: &Value) -> Value {
        self.insist("POST", path, Some(body))
    }

    /// Deletes the object, or all of a collection, with what they own; gone already is fine.
    pub fn delete(&self, path: &str) {
        match self.try_insist("DELETE", &format!("{path}?propagationPolicy=Background"), None) {
            Ok(_) => {}
            Err(refusal) if refusal.code == 404 => {}
            Err(refusal) => panic!("delete {path}: {refusal}"),
        }
    }

    /// A namespace in which pods can be made.
    pub fn create_namespace(&self, name: &str) {
        self.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
        let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
        until_some(&format!("namespace {name} has a service account"), || self.get(&account));
    }

    /// The messages of the events about an object, as `<reason> <message>`.
    pub fn events(&self, namespace: &str, name: &str) -> Vec<String> {
        let path =
            format!("/api/v1/namespaces/{namespace}/events?fieldSelector=involvedObject.name%3D{name}");
        let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
        let events = self.list(&path);
        events.iter().map(|event| format!("{} {}", text(event, "reason"), text(event, "message"))).collect()
    }

    fn insist(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        self.try_insist(method, path, body).unwrap_or_else(|refusal| panic!("{method} {path}: {refusal}"))
    }

    /// Until there is an answer.
    fn try_insist(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Refusal> {
        until_some("the API server answers", || match self.ask(method, path, body) {
            Err(Refusal { code: 0 | 429 | 500..=599, .. }) => None,
            answer => Some(answer),
        })
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.code, self.message)
    }
}
