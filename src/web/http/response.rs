//! What goes back to an HTTP client.
//!
//! It knows no socket and no route. Header values are fixed texts, so nothing that a client sent can end up
//! in one.

use super::request::{Method, Refusal};

/// An answer: status, content type and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    status: Status,
    content_type: &'static str,
    body: Vec<u8>,
}

impl Response {
    /// Any answer. `content_type` is a complete header value.
    pub fn new(status: Status, content_type: &'static str, body: impl Into<Vec<u8>>) -> Response {
        Response { status, content_type, body: body.into() }
    }

    /// An answer in plain words.
    pub fn text(status: Status, body: impl Into<String>) -> Response {
        Response::new(status, "text/plain; charset=utf-8", body.into())
    }

    /// The answer to a path that no route knows.
    pub fn not_found() -> Response {
        Response::text(Status::NotFound, "not found\n")
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The content type.
    pub fn content_type(&self) -> &'static str {
        self.content_type
    }

    /// The body, which a HEAD request does not get.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The whole of what a request of this method gets.
    pub fn bytes_for(&self, method: Method) -> Vec<u8> {
        let mut bytes = self.head().into_bytes();
        if method == Method::Get {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }

    /// Status line and headers, up to and including the empty line.
    pub(super) fn head(&self) -> String {
        let (code, reason) = self.status.line();
        let allow = match self.status {
            Status::MethodNotAllowed => "Allow: GET, HEAD\r\n",
            Status::Unauthorized => "WWW-Authenticate: Bearer\r\n",
            _ => "",
        };
        format!(
            "HTTP/1.1 {code} {reason}\r\n\
             Content-Type: {}\r\n\
             Content-Length: {}\r\n\
             {allow}\
             Cache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\n\
             Connection: close\r\n\r\n",
            self.content_type,
            self.body.len(),
        )
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Response {
        let status = match refusal {
            Refusal::Malformed { .. } => Status::BadRequest,
            Refusal::UnknownMethod => Status::MethodNotAllowed,
            Refusal::TooSlow => Status::RequestTimeout,
            Refusal::UnboundedBody => Status::LengthRequired,
            Refusal::Body => Status::ContentTooLarge,
            Refusal::HeadTooLarge => Status::HeadTooLarge,
            Refusal::UnknownVersion => Status::VersionNotSupported,
            Refusal::Crowded => Status::ServiceUnavailable,
        };
        Response::text(status, format!("{refusal}\n"))
    }
}

/// The statuses in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// 200
    Ok,
    /// 400
    BadRequest,
    /// 401, with the scheme that is taken
    Unauthorized,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 405, with the methods that are allowed
    MethodNotAllowed,
    /// 408
    RequestTimeout,
    /// 411
    LengthRequired,
    /// 413
    ContentTooLarge,
    /// 431
    HeadTooLarge,
    /// 500
    InternalServerError,
    /// 503
    ServiceUnavailable,
    /// 505
    VersionNotSupported,
}

impl Status {
    /// Code and reason phrase, as RFC 9110 and RFC 6585 have them.
    fn line(self) -> (u16, &'static str) {
        match self {
            Status::Ok => (200, "OK"),
            Status::BadRequest => (400, "Bad Request"),
            Status::Unauthorized => (401, "Unauthorized"),
            Status::Forbidden => (403, "Forbidden"),
            Status::NotFound => (404, "Not Found"),
            Status::MethodNotAllowed => (405, "Method Not Allowed"),
            Status::RequestTimeout => (408, "Request Timeout"),
            Status::LengthRequired => (411, "Length Required"),
            Status::ContentTooLarge => (413, "Content Too Large"),
            Status::HeadTooLarge => (431, "Request Header Fields Too Large"),
            Status::InternalServerError => (500, "Internal Server Error"),
            Status::ServiceUnavailable => (503, "Service Unavailable"),
            Status::VersionNotSupported => (505, "HTTP Version Not Supported"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_tells_the_length_of_the_body_and_closes() {
        let head = Response::text(Status::Ok, "ok").head();
        assert!(head.starts_with(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\n"
        ));
        assert!(head.ends_with("\r\nConnection: close\r\n\r\n"), "{head}");
        assert!(!head.contains("Allow"));
    }

    #[test]
    fn a_refused_method_is_told_the_allowed_ones() {
        assert!(Response::from(Refusal::UnknownMethod).head().contains("\r\nAllow: GET, HEAD\r\n"));
    }
}
