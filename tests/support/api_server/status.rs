//! The error answers of a kube-apiserver: Status objects with the texts that clients and people know.

use serde_json::{Map, Value, json};

/// An answer: code, content type, body, and the pause asked for in seconds.
pub struct Answer {
    pub code: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
    pub retry_after: Option<u64>,
}

/// The object that an error is about.
#[derive(Clone, Copy)]
pub struct About<'a> {
    pub group: &'a str,
    pub plural: &'a str,
    pub name: &'a str,
}

impl Answer {
    /// An object or list.
    pub fn json(code: u16, body: &Value) -> Answer {
        Answer {
            code,
            content_type: "application/json",
            body: body.to_string().into_bytes(),
            retry_after: None,
        }
    }

    /// Plain text, as for paths that the server does not know.
    pub fn text(code: u16, body: &str) -> Answer {
        Answer {
            code,
            content_type: "text/plain; charset=utf-8",
            body: body.as_bytes().to_vec(),
            retry_after: None,
        }
    }
}

impl About<'_> {
    fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }

    fn failure(&self, code: u16, reason: &str, message: &str) -> Answer {
        let mut details = Map::new();
        for (field, value) in [("name", self.name), ("group", self.group), ("kind", self.plural)] {
            if !value.is_empty() {
                details.insert(field.to_owned(), json!(value));
            }
        }
        failure(code, reason, message, Value::Object(details))
    }

    /// 404 for an object.
    pub fn not_found(&self) -> Answer {
        self.failure(404, "NotFound", &format!("{} \"{}\" not found", self.qualified(), self.name))
    }

    /// 409 for a create.
    pub fn already_exists(&self) -> Answer {
        self.failure(409, "AlreadyExists", &format!("{} \"{}\" already exists", self.qualified(), self.name))
    }

    /// 409 for an update of an older version.
    pub fn conflict(&self) -> Answer {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        self.conflict_because(why)
    }

    /// 409 for a precondition on the uid that does not hold.
    pub fn uid_conflict(&self, wanted: &str, stored: &str) -> Answer {
        self.conflict_because(&format!(
            "Precondition failed: UID in precondition: {wanted}, UID in object meta: {stored}"
        ))
    }

    fn conflict_because(&self, why: &str) -> Answer {
        let (what, name) = (self.qualified(), self.name);
        self.failure(409, "Conflict", &format!("Operation cannot be fulfilled on {what} \"{name}\": {why}"))
    }

    /// 422; `problem` names the field and what is wrong with it.
    pub fn invalid(&self, kind: &str, problem: &str) -> Answer {
        let kind = if self.group.is_empty() { kind.to_owned() } else { format!("{kind}.{}", self.group) };
        self.failure(422, "Invalid", &format!("{kind} \"{}\" is invalid: {problem}", self.name))
    }

    /// 403 for lack of permission.
    pub fn forbidden(&self, verb: &str, namespace: &str) -> Answer {
        let place = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{namespace}\"")
        };
        let name = if self.name.is_empty() { String::new() } else { format!(" \"{}\"", self.name) };
        let (plural, group) = (self.plural, self.group);
        self.failure(
            403,
            "Forbidden",
            &format!(
                "{}{name} is forbidden: User \"{USER}\" cannot {verb} resource \"{plural}\" \
                 in API group \"{group}\" {place}",
                self.qualified()
            ),
        )
    }
}

/// 400 with that message.
pub fn bad_request(message: &str) -> Answer {
    failure(400, "BadRequest", message, Value::Null)
}

/// 410 for a version that is no longer kept.
pub fn expired(message: &str) -> Answer {
    failure(410, "Expired", message, Value::Null)
}

/// 404 for a path that the server does not serve.
pub fn page_not_found() -> Answer {
    Answer::text(404, "404 page not found\n")
}

/// 404 for a subresource that the resource does not have.
pub fn no_such_resource() -> Answer {
    failure(404, "NotFound", "the server could not find the requested resource", json!({}))
}

/// 405.
pub fn method_not_allowed() -> Answer {
    let message = "the server does not allow this method on the requested resource";
    failure(405, "MethodNotAllowed", message, json!({}))
}

/// 415.
pub fn unsupported_media_type(sent: &str) -> Answer {
    let message = format!(
        "the body of the request was in an unknown format - \
         accepted media types include: {MERGE_PATCH}, not {sent}"
    );
    failure(415, "UnsupportedMediaType", &message, json!({}))
}

/// An error of that code which concerns no object, worded as the server words it.
pub fn of_code(code: u16, retry_after: Option<u64>) -> Answer {
    let (reason, message) = match code {
        400 => ("BadRequest", "the server rejected our request for an unknown reason"),
        401 => ("Unauthorized", "Unauthorized"),
        403 => ("Forbidden", "forbidden: not allowed"),
        404 => {
            return Answer { retry_after, ..page_not_found() };
        }
        409 => ("Conflict", "the server reported a conflict"),
        410 => ("Expired", "too old resource version"),
        429 => ("TooManyRequests", "Too many requests, please try again later."),
        500 => ("InternalError", "Internal error occurred: etcdserver: request timed out"),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "Timeout: request did not complete within the allotted timeout"),
        _ => ("", "an error on the server has prevented the request from succeeding"),
    };
    let details = retry_after.map_or(json!({}), |seconds| json!({"retryAfterSeconds": seconds}));
    Answer { retry_after, ..failure(code, reason, message, details) }
}

/// The answer to a delete.
pub fn deleted(about: About<'_>, uid: &Value) -> Answer {
    let details = json!({"name": about.name, "group": about.group, "kind": about.plural, "uid": uid});
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
    });
    Answer::json(200, &status)
}

fn failure(code: u16, reason: &str, message: &str, details: Value) -> Answer {
    Answer::json(
        code,
        &json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "details": details, "code": code,
        }),
    )
}

/// Whom permissions are asked for.
const USER: &str = "system:serviceaccount:kube-system:secrets-store-csi-driver";
/// The one kind of patch that the double understands.
pub const MERGE_PATCH: &str = "application/merge-patch+json";
