//! Why a call to the API server failed, in terms that callers branch on.
//!
//! Callers ask `is_not_found` and the like and never look at text. The text is for people: where the server's
//! own message names the object it stands alone, because users and their tooling know those messages.
//! Whatever comes from the server is escaped and cut, and decoding errors tell the place but never the value.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::resource::Resource;
use base::text::printable;

/// A call failed.
#[derive(Debug)]
pub enum ApiError {
    /// The server answered with an error.
    Status {
        /// What was tried, on what.
        call: Box<Call>,
        /// HTTP status code.
        code: u16,
        /// Machine-readable reason such as `NotFound`; empty when the answer had none.
        reason: String,
        /// The server's message, printable and bounded.
        message: String,
        /// How long the server asks callers to stay away.
        retry_after: Option<Duration>,
        /// True where a cause is that a field cannot be changed.
        is_about_immutable_field: bool,
    },
    /// No answer came; see [`TransportError`].
    Transport {
        /// What was tried, on what.
        call: Box<Call>,
        /// What went wrong on the way.
        error: TransportError,
    },
    /// The caller's budget was spent before the request could be sent.
    OutOfTime {
        /// What was tried, on what.
        call: Box<Call>,
    },
    /// The answer is not the object it should be.
    Shape {
        /// What was tried, on what.
        call: Box<Call>,
        /// The place in the answer, never a value from it.
        problem: String,
    },
    /// The object to send could not be turned into JSON.
    Encode {
        /// What was tried, on what.
        call: Box<Call>,
    },
    /// A name or namespace that no object can have.
    InvalidName {
        /// `name` or `namespace`.
        what: &'static str,
        /// The refused text, printable and bounded.
        value: String,
    },
}

/// What was tried, on what; for messages only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// `get`, `create` or `update`.
    pub verb: &'static str,
    /// `plural.group`.
    pub resource: String,
    /// Namespace of the object; empty when there is none.
    pub namespace: String,
    /// Name of the object; empty when there is none.
    pub name: String,
}

/// What went wrong between the request and a complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportError {
    /// No connection; the request was certainly not seen.
    Connect {
        /// Why, printable and bounded.
        cause: String,
    },
    /// The server's certificate is not trusted, or the handshake failed.
    Tls {
        /// Why, printable and bounded.
        cause: String,
    },
    /// The connection ended before the answer was complete; the request may have been carried out.
    Lost {
        /// How, printable and bounded.
        cause: String,
    },
    /// No complete answer in time; the request may have been carried out.
    Timeout,
    /// The answer is larger than this client reads.
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The request or the answer is not HTTP that this client sends or accepts.
    Protocol {
        /// What is wrong with it.
        cause: &'static str,
    },
}

impl ApiError {
    /// The error for an answer with a status outside 200 to 299.
    pub fn from_answer(call: Box<Call>, code: u16, retry_after: Option<Duration>, body: &[u8]) -> ApiError {
        let status = serde_json::from_slice::<Value>(body).ok();
        let status = status.filter(|body| body.get("kind").and_then(Value::as_str) == Some("Status"));
        let text = |field: &str| status.as_ref().and_then(|status| status.get(field)).and_then(Value::as_str);
        let reason = printable(text("reason").unwrap_or(default_reason(code)), LONGEST_REASON_BYTES);
        let message = match text("message").filter(|message| !message.is_empty()) {
            Some(message) => printable(message, LONGEST_MESSAGE_BYTES),
            None if code == 404 => call.missing_resource(),
            None => default_message(code).to_owned(),
        };
        let named = status.as_ref().and_then(|status| status.pointer("/details/retryAfterSeconds")?.as_u64());
        let retry_after = retry_after.or(named.map(Duration::from_secs));
        let causes = status.as_ref().and_then(|status| status.pointer("/details/causes")?.as_array());
        let is_about_immutable_field = causes.into_iter().flatten().any(is_about_immutable_field);
        ApiError::Status { call, code, reason, message, retry_after, is_about_immutable_field }
    }

    /// The same for an answer to a request that carried a Secret: the server, or a policy that it asks, may repeat what
    /// it was sent, so only those parts of its words are kept that cannot hold a value.
    pub fn from_answer_about_secret(
        call: Box<Call>,
        code: u16,
        retry_after: Option<Duration>,
        body: &[u8],
    ) -> ApiError {
        let status = serde_json::from_slice::<Value>(body).unwrap_or_default();
        let told = status.get("message").and_then(Value::as_str).unwrap_or_default();
        let causes = status.pointer("/details/causes").and_then(Value::as_array);
        let causes: Vec<String> = causes.into_iter().flatten().filter_map(cause).take(MOST_CAUSES).collect();
        let shown = match code {
            403 if HARMLESS_REFUSALS.iter().any(|words| told.contains(words)) => told.to_owned(),
            403 => REFUSED_BY_POLICY.to_owned(),
            _ if !causes.is_empty() => causes.join(", "),
            _ => default_message(code).to_owned(),
        };
        let mut error = ApiError::from_answer(call, code, retry_after, body);
        if let ApiError::Status { message, .. } = &mut error {
            *message = printable(&shown, LONGEST_MESSAGE_BYTES);
        }
        error
    }

    /// The HTTP status code, where the server gave one.
    pub fn code(&self) -> Option<u16> {
        match self {
            ApiError::Status { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// The server's reason, such as `NotFound`; empty where there is none.
    pub fn reason(&self) -> &str {
        match self {
            ApiError::Status { reason, .. } => reason,
            _ => "",
        }
    }

    /// How long the server asks callers to stay away.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            ApiError::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The object does not exist.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// The object was changed since it was read; read it again.
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409) && !self.is_already_exists()
    }

    /// An object of that name exists; a create that was repeated after a lost answer ends here as well.
    pub fn is_already_exists(&self) -> bool {
        self.code() == Some(409) && self.reason() == "AlreadyExists"
    }

    /// The server says that a field cannot be changed: only an object that is made anew has another value there.
    pub fn is_about_immutable_field(&self) -> bool {
        matches!(self, ApiError::Status { code: 422, is_about_immutable_field: true, .. })
    }

    /// The service account may not do this.
    pub fn is_forbidden(&self) -> bool {
        self.code() == Some(403)
    }

    /// The service account may do this in general, but not with this object: a quota, or a policy.
    pub fn is_refused_by_policy(&self) -> bool {
        let is_about_roles = |message: &str| message.contains(ABOUT_ROLES);
        matches!(self, ApiError::Status { code: 403, message, .. } if !is_about_roles(message))
    }

    /// The service account may not do this as far as the server can tell at the moment: it knows of a role that is
    /// given to the account, but not what is in the role. So does a server that is starting, for a second or two.
    pub fn is_undecided(&self) -> bool {
        matches!(self, ApiError::Status { code: 403, message, .. } if message.contains(UNKNOWN_ROLE))
    }

    /// The server does not accept the token.
    pub fn is_unauthorized(&self) -> bool {
        self.code() == Some(401)
    }

    /// The resource version asked for is no longer kept.
    pub fn is_gone(&self) -> bool {
        self.code() == Some(410)
    }

    /// The server asks for fewer requests.
    pub fn is_too_many_requests(&self) -> bool {
        self.code() == Some(429)
    }

    /// The same call may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            ApiError::Status { code, .. } => {
                matches!(code, 429 | 500 | 502 | 503 | 504) || self.is_undecided()
            }
            ApiError::Transport { error, .. } => {
                matches!(
                    error,
                    TransportError::Connect { .. } | TransportError::Lost { .. } | TransportError::Timeout
                )
            }
            ApiError::OutOfTime { .. } => true,
            ApiError::Shape { .. } | ApiError::Encode { .. } | ApiError::InvalidName { .. } => false,
        }
    }
}

impl Call {
    /// A call on one object of a resource.
    pub fn on(verb: &'static str, resource: &Resource, namespace: &str, name: &str) -> Box<Call> {
        let (resource, namespace, name) = (resource.qualified(), namespace.to_owned(), name.to_owned());
        // Boxed, because it travels in every Result of this module and is looked at only in a failure.
        Box::new(Call { verb, resource, namespace, name })
    }

    /// For a 404 without a Status body, which is how a server answers for a resource that it does not serve.
    fn missing_resource(&self) -> String {
        let Call { resource, name, .. } = self;
        format!(
            "the server does not serve {resource} (install its CustomResourceDefinition), \
             so: {resource} \"{name}\" not found"
        )
    }
}

/// One of the reasons that the server gives: the field, and what is wrong with it unless that quotes content.
fn cause(cause: &Value) -> Option<String> {
    let text = |name: &str| cause.get(name).and_then(Value::as_str);
    let field = text("field").filter(|field| !field.is_empty())?;
    let words = match text("reason")? {
        // Names, labels and annotations are the class's author's, who has to see what is wrong with them.
        _ if field.starts_with("metadata.") => text("message")?,
        "FieldValueRequired" | "FieldValueForbidden" | "FieldValueTooLong" => text("message")?,
        "FieldValueTypeInvalid" => "wrong type",
        "FieldValueNotSupported" => "not supported",
        _ => "invalid value",
    };
    Some(format!("{field}: {words}"))
}

/// True of the API server's own word that a field keeps its value. A policy that refuses a request names no field.
fn is_about_immutable_field(cause: &Value) -> bool {
    let text = |name: &str| cause.get(name).and_then(Value::as_str).unwrap_or_default();
    !text("field").is_empty() && text("message").ends_with("field is immutable")
}

/// The place of a JSON error, without the value that serde would quote.
pub fn json_problem(error: &serde_json::Error) -> String {
    let kind = match error.classify() {
        serde_json::error::Category::Eof => "it ends early",
        serde_json::error::Category::Syntax => "it is not JSON",
        serde_json::error::Category::Data | serde_json::error::Category::Io => "a field has the wrong type",
    };
    format!("{kind} (line {}, column {})", error.line(), error.column())
}

fn default_reason(code: u16) -> &'static str {
    match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        405 => "MethodNotAllowed",
        409 => "Conflict",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "",
    }
}

fn default_message(code: u16) -> &'static str {
    match code {
        300..=399 => "the server redirects elsewhere, which is refused",
        401 => "the server does not accept the token",
        403 => "the service account may not do this",
        409 => "the object exists or has changed",
        429 => "too many requests",
        502..=504 => "the server is unavailable",
        _ => "no further explanation",
    }
}

/// The server's messages list every wrong field of an object; kubelet cuts at 1 KiB.
const LONGEST_MESSAGE_BYTES: usize = 1024;
/// How the server words that a role is missing, whatever the verb and the resource.
const ABOUT_ROLES: &str = " in API group \"";
/// How the server words that a role is given which it does not know.
const UNKNOWN_ROLE: &str = ": RBAC: ";
/// Refusals in the server's own words, which repeat nothing of what was sent.
const HARMLESS_REFUSALS: [&str; 3] = [ABOUT_ROLES, "exceeded quota: ", "because it is being terminated"];
const REFUSED_BY_POLICY: &str = "refused by a policy, whose words are left out since they could repeat the content; \
                                 apply such an object by hand to see them";
/// Of one object; the first ones tell enough.
const MOST_CAUSES: usize = 8;
/// Reasons are single words.
const LONGEST_REASON_BYTES: usize = 64;

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Call { verb, resource, namespace, name } = self;
        match (namespace.as_str(), name.as_str()) {
            ("", "") => write!(f, "could not {verb} {resource}"),
            ("", name) => write!(f, "could not {verb} {resource} {name}"),
            (namespace, name) => write!(f, "could not {verb} {resource} {namespace}/{name}"),
        }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransportError::Connect { cause } => write!(f, "no connection to the API server: {cause}"),
            TransportError::Tls { cause } => {
                write!(
                    f,
                    "no trusted connection to the API server, check the certificate authority file: {cause}"
                )
            }
            TransportError::Lost { cause } => write!(f, "the connection ended before the answer: {cause}"),
            TransportError::Timeout => write!(f, "no answer in time"),
            TransportError::TooLarge { limit } => write!(f, "the answer is larger than {limit} bytes"),
            TransportError::Protocol { cause } => write!(f, "the exchange failed: {cause}"),
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ApiError::Status { call, message, .. } if message.contains(&format!("\"{}\"", call.name)) => {
                f.write_str(message)
            }
            ApiError::Status { call, code, message, .. } => write!(f, "{call}: {message} (HTTP {code})"),
            ApiError::Transport { call, error } => write!(f, "{call}: {error}"),
            ApiError::OutOfTime { call } => write!(f, "{call}: no time left to ask the API server"),
            ApiError::Shape { call, problem } => {
                write!(f, "{call}: the answer is not as expected: {problem}")
            }
            ApiError::Encode { call } => write!(f, "{call}: it cannot be written as JSON"),
            ApiError::InvalidName { what, value } => {
                write!(f, "could not form the request: {what} \"{value}\" is not a valid Kubernetes name")
            }
        }
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use super::super::resource::CLASSES;
    use super::*;

    fn answer(code: u16, body: &str) -> ApiError {
        ApiError::from_answer(Call::on("get", &CLASSES, "default", "x"), code, None, body.as_bytes())
    }

    #[test]
    fn a_missing_object_reads_as_the_api_server_puts_it() {
        let text = "secretproviderclasses.secrets-store.csi.x-k8s.io \"x\" not found";
        let body = serde_json::json!({"kind": "Status", "reason": "NotFound", "message": text}).to_string();
        assert_eq!(answer(404, &body).to_string(), text);
        assert!(answer(404, &body).is_not_found());
    }

    #[test]
    fn a_missing_resource_still_ends_in_not_found_and_tells_the_remedy() {
        for body in ["404 page not found\n", "", "{\"kind\": \"Status\"}", "<html>"] {
            let text = answer(404, body).to_string();
            assert!(
                text.ends_with("secretproviderclasses.secrets-store.csi.x-k8s.io \"x\" not found"),
                "{text}"
            );
            assert!(text.contains("CustomResourceDefinition"), "{text}");
        }
    }

    #[test]
    fn a_field_that_cannot_be_changed_is_told_from_every_other_refusal() {
        let immutable = r#"{"reason":"FieldValueInvalid","field":"spec.attachRequired","message":"Invalid value: true: field is immutable"}"#;
        let rows = [
            ("immutable", 422, immutable, true),
            (
                "another reason",
                422,
                r#"{"field":"spec.x","message":"Invalid value: 1: must be positive"}"#,
                false,
            ),
            ("a policy", 422, r#"{"message":"failed expression: field is immutable"}"#, false),
            ("another code", 400, immutable, false),
        ];
        for (name, code, cause, expected) in rows {
            let body = format!(r#"{{"kind":"Status","details":{{"causes":[{cause}]}}}}"#);
            assert_eq!(answer(code, &body).is_about_immutable_field(), expected, "{name}");
        }
        assert!(!answer(422, r#"{"kind":"Status"}"#).is_about_immutable_field());
    }

    #[test]
    fn what_the_server_repeats_of_a_secret_is_not_passed_on() {
        let about = |code: u16, body: Value| {
            let call = Call::on("patch", &super::super::resource::SECRETS, "default", "x");
            ApiError::from_answer_about_secret(call, code, None, body.to_string().as_bytes())
        };
        let cause = |reason: &str, message: &str| {
            serde_json::json!({"kind": "Status", "reason": "Invalid", "message": "hunter2",
                "details": {"causes": [{"reason": reason, "message": message, "field": "data[tls.crt]"}]}})
        };
        let roles = "secrets is forbidden: User \"a\" cannot create resource \"secrets\" in API group \"\"";
        let rows = [
            (422, cause("FieldValueRequired", "Required value"), "data[tls.crt]: Required value"),
            (422, cause("FieldValueInvalid", "Invalid value: hunter2"), "data[tls.crt]: invalid value"),
            (
                422,
                serde_json::json!({"message": "cannot restore {\"data\": \"hunter2\"}"}),
                "no further explanation",
            ),
            (400, serde_json::json!({"message": "hunter2"}), "no further explanation"),
            (403, serde_json::json!({"message": "webhook denied hunter2"}), "refused by a policy"),
            (403, serde_json::json!({"message": roles}), "cannot create resource"),
            (500, serde_json::json!("hunter2"), "no further explanation"),
        ];
        for (code, body, expected) in rows {
            let text = about(code, body).to_string();
            assert!(text.contains(expected) && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_refusal_for_want_of_the_role_itself_may_pass() {
        let about = |message: &str| {
            answer(403, &serde_json::json!({"kind": "Status", "message": message}).to_string())
        };
        let plain = "User \"a\" cannot list resource \"secrets\" in API group \"\" at the cluster scope";
        let starting = format!("{plain}: RBAC: clusterrole.rbac.authorization.k8s.io \"r\" not found");
        assert!(about(&starting).is_undecided() && about(&starting).is_retryable());
        assert!(!about(plain).is_undecided() && !about(plain).is_retryable());
    }

    #[test]
    fn answers_are_told_apart_by_code_and_reason() {
        type Question = fn(&ApiError) -> bool;
        let conflict = r#"{"kind": "Status", "reason": "Conflict"}"#;
        let exists = r#"{"kind": "Status", "reason": "AlreadyExists"}"#;
        let table: [(&str, u16, &str, Question, bool); 13] = [
            ("conflict", 409, conflict, ApiError::is_conflict, true),
            ("conflict is not already exists", 409, conflict, ApiError::is_already_exists, false),
            ("already exists", 409, exists, ApiError::is_already_exists, true),
            ("already exists is not a conflict", 409, exists, ApiError::is_conflict, false),
            ("forbidden", 403, "", ApiError::is_forbidden, true),
            ("unauthorized", 401, "", ApiError::is_unauthorized, true),
            ("gone", 410, "", ApiError::is_gone, true),
            ("too many requests", 429, "", ApiError::is_too_many_requests, true),
            ("429 is retryable", 429, "", ApiError::is_retryable, true),
            ("503 is retryable", 503, "", ApiError::is_retryable, true),
            ("403 is not retryable", 403, "", ApiError::is_retryable, false),
            ("422 is not retryable", 422, "", ApiError::is_retryable, false),
            ("409 is not retryable as it stands", 409, conflict, ApiError::is_retryable, false),
        ];
        for (name, code, body, question, expected) in table {
            assert_eq!(question(&answer(code, body)), expected, "{name}");
        }
    }

    #[test]
    fn a_message_without_the_object_gets_it_in_front() {
        let body = r#"{"kind": "Status", "reason": "InternalError", "message": "etcd is away"}"#;
        assert_eq!(
            answer(500, body).to_string(),
            "could not get secretproviderclasses.secrets-store.csi.x-k8s.io default/x: \
             etcd is away (HTTP 500)"
        );
    }

    #[test]
    fn the_pause_asked_for_is_taken_from_header_or_body() {
        let body = r#"{"kind": "Status", "details": {"retryAfterSeconds": 7}}"#;
        assert_eq!(answer(429, body).retry_after(), Some(Duration::from_secs(7)));
        let call = Call::on("get", &CLASSES, "default", "x");
        let header = Some(Duration::from_secs(2));
        assert_eq!(ApiError::from_answer(call, 429, header, body.as_bytes()).retry_after(), header);
    }

    #[test]
    fn hostile_answers_are_escaped_and_cut() {
        let (reason, message) = ("r".repeat(9_999), "m\n".repeat(9_999));
        let long = serde_json::json!({"kind": "Status", "reason": reason, "message": message});
        let error = answer(500, &long.to_string());
        assert!(error.to_string().len() < 1_300 && !error.to_string().contains('\n'));
        assert!(error.reason().len() <= LONGEST_REASON_BYTES);
        for body in ["[]", "null", "{\"kind\": 1}", "{\"kind\": \"Status\", \"message\": {}}", "\u{0}"] {
            assert_eq!(answer(500, body).reason(), "InternalError", "{body}");
        }
    }

    #[test]
    fn a_decoding_error_tells_the_place_and_not_the_value() {
        let error = serde_json::from_str::<u8>("\"hunter2\"").unwrap_err();
        assert_eq!(json_problem(&error), "a field has the wrong type (line 1, column 9)");
    }
}
