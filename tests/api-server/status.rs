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

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the field.
    pub field: String,
    reason: &'static str,
    message: String,
}

impl Problem {
    /// The field has a value that it may not have; `shown` is that value as JSON.
    pub fn invalid(field: &str, shown: &str, why: &str) -> Problem {
        Problem::of(field, "FieldValueInvalid", format!("Invalid value: {shown}: {why}"))
    }

    /// The field must be there.
    pub fn required(field: &str, why: &str) -> Problem {
        let colon = if why.is_empty() { "" } else { ": " };
        Problem::of(field, "FieldValueRequired", format!("Required value{colon}{why}"))
    }

    /// The field may not be set, or not changed.
    pub fn forbidden(field: &str, why: &str) -> Problem {
        Problem::of(field, "FieldValueForbidden", format!("Forbidden: {why}"))
    }

    /// The field has one of the values that it may not have; `supported` are those that it may.
    pub fn unsupported(field: &str, value: &str, supported: &str) -> Problem {
        let message = format!("Unsupported value: \"{value}\": supported values: {supported}");
        Problem::of(field, "FieldValueNotSupported", message)
    }

    /// The field is larger than `limit` bytes.
    pub fn too_long(field: &str, limit: usize) -> Problem {
        Problem::of(field, "FieldValueTooLong", format!("Too long: may not be more than {limit} bytes"))
    }

    fn of(field: &str, reason: &'static str, message: String) -> Problem {
        Problem { field: field.to_owned(), reason, message }
    }
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

    /// The body taken apart again.
    pub fn body_value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
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
        failure(code, reason, message, Value::Object(self.details()))
    }

    fn details(&self) -> Map<String, Value> {
        let fields = [("name", self.name), ("group", self.group), ("kind", self.plural)];
        let fields = fields.into_iter().filter(|(_, value)| !value.is_empty());
        fields.map(|(field, value)| (field.to_owned(), json!(value))).collect()
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

    /// 409 for an update that names another uid; `key` is where the server stores the object.
    pub fn uid_conflict(&self, key: &str, wanted: &str, stored: &str) -> Answer {
        self.conflict_because(&format!(
            "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: \
             Precondition failed: UID in precondition: {wanted}, UID in object meta: {stored}"
        ))
    }

    /// 409 for another reason.
    pub fn conflict_because(&self, why: &str) -> Answer {
        let (what, name) = (self.qualified(), self.name);
        self.failure(409, "Conflict", &format!("Operation cannot be fulfilled on {what} \"{name}\": {why}"))
    }

    /// 422 for an object of that kind.
    pub fn invalid(&self, kind: &str, problems: &[Problem]) -> Answer {
        let text = |problem: &Problem| format!("{}: {}", problem.field, problem.message);
        let texts: Vec<String> = problems.iter().map(text).collect();
        let problem_text = match texts.as_slice() {
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        let causes: Vec<Value> = problems
            .iter()
            .map(|Problem { field, reason, message }| {
                json!({"reason": reason, "message": message, "field": field})
            })
            .collect();
        // The details name the kind, where other answers name the resource.
        let about = About { plural: kind, ..*self };
        let qualified =
            if self.group.is_empty() { kind.to_owned() } else { format!("{kind}.{}", self.group) };
        let message = format!("{qualified} \"{}\" is invalid: {problem_text}", self.name);
        let mut details = about.details();
        details.insert("causes".into(), json!(causes));
        failure(422, "Invalid", &message, Value::Object(details))
    }

    /// 403; `why` says who may not do what.
    pub fn forbidden(&self, why: &str) -> Answer {
        let name = if self.name.is_empty() { String::new() } else { format!(" \"{}\"", self.name) };
        self.failure(403, "Forbidden", &format!("{}{name} is forbidden: {why}", self.qualified()))
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

/// 410 for a continue token whose version is no longer kept; `token` goes on at the latest one.
pub fn expired_token(token: &str) -> Answer {
    let message = "The provided continue parameter is too old to display a consistent list result. You can \
                   start a new list without the continue parameter, or use the continue token in this response \
                   to retrieve the remainder of the results. Continuing with the provided token results in an \
                   inconsistent list - objects that were created, modified, or deleted between the time the \
                   first chunk was returned and now may show up in the list.";
    let mut status = expired(message).body_value();
    status["metadata"]["continue"] = json!(token);
    Answer::json(410, &status)
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

/// 406 for an Accept header that names nothing which the server writes.
pub fn not_acceptable(message: &str) -> Answer {
    failure(406, "NotAcceptable", message, Value::Null)
}

/// 415 for a patch of that kind.
pub fn unsupported_media_type() -> Answer {
    let message = "the body of the request was in an unknown format - accepted media types include: \
                   application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
    failure(415, "UnsupportedMediaType", message, Value::Null)
}

/// 500 with that message, for what the server did not foresee.
pub fn unforeseen(message: &str) -> Answer {
    failure(500, "", message, Value::Null)
}

/// 504 for a version that lies in the future.
pub fn too_large_version(asked: u64, current: u64) -> Answer {
    let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
    let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
    let details = json!({"causes": [cause], "retryAfterSeconds": 1});
    Answer { retry_after: Some(1), ..failure(504, "Timeout", &message, details) }
}

/// 422 for list or watch options.
pub fn invalid_options(problems: &[Problem]) -> Answer {
    About { group: "meta.k8s.io", plural: "", name: "" }.invalid("ListOptions", problems)
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
    let details = match retry_after {
        Some(seconds) => json!({"retryAfterSeconds": seconds}),
        None if code == 401 => Value::Null,
        None => json!({}),
    };
    Answer { retry_after, ..failure(code, reason, message, details) }
}

/// The answer to a delete.
pub fn deleted(about: About<'_>, uid: &str) -> Answer {
    let mut details = about.details();
    details.insert("uid".into(), json!(uid));
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
    });
    Answer::json(200, &status)
}

fn failure(code: u16, reason: &str, message: &str, details: Value) -> Answer {
    let mut status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "code": code,
    });
    if !reason.is_empty() {
        status["reason"] = json!(reason);
    }
    if !details.is_null() {
        status["details"] = details;
    }
    Answer::json(code, &status)
}
