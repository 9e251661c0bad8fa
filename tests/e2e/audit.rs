//! The API server's record of the driver's requests: who, what and how it ended, and never a content.

use std::path::Path;

use serde_json::Value;

use super::permission::Permission;

/// One request of the driver.
pub struct Request {
    /// Verb of access rules.
    pub verb: String,
    /// Resource with its group, or the path where it is about none.
    pub resource: String,
    /// Namespace; empty for requests beyond one.
    pub namespace: String,
    /// Name; empty for lists.
    pub name: String,
    /// HTTP status code; 0 where the server was killed meanwhile.
    pub code: u64,
}

impl Request {
    /// What lets it through.
    pub fn permission(&self) -> Permission {
        Permission { resource: self.resource.clone(), verb: self.verb.clone() }
    }
}

/// Every request in the log, in the order in which they arrived.
pub fn requests(log: &Path) -> Vec<Request> {
    let text = std::fs::read_to_string(log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
    let mut ids: Vec<String> = Vec::new();
    let mut requests: std::collections::HashMap<String, Request> = std::collections::HashMap::new();
    for line in text.lines() {
        // A server that is killed may leave half a line.
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        let id = event["auditID"].as_str().unwrap_or_default().to_owned();
        let code = event["responseStatus"]["code"].as_u64().unwrap_or(0);
        // One event as it arrives, one as it is answered, and one in between where the answer goes on.
        requests.entry(id).and_modify(|request| request.code = code).or_insert_with_key(|id| {
            ids.push(id.clone());
            request(&event, code)
        });
    }
    ids.iter().filter_map(|id| requests.remove(id)).collect()
}

fn request(event: &Value, code: u64) -> Request {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &event["objectRef"];
    let mut resource = text(&object["resource"]);
    for (separator, field) in [("/", "subresource"), (".", "apiGroup")] {
        if let Some(part) = object[field].as_str() {
            resource = format!("{resource}{separator}{part}");
        }
    }
    if resource.is_empty() {
        let uri = text(&event["requestURI"]);
        resource = uri.split('?').next().unwrap_or_default().to_owned();
    }
    Request {
        verb: text(&event["verb"]),
        resource,
        namespace: text(&object["namespace"]),
        name: text(&object["name"]),
        code,
    }
}
