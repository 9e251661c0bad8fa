//! The head of an HTTP/1.1 request, from bytes to a [`Request`] or a refusal.
//!
//! Pure: no socket, no clock, no route. Bodies are not understood and any announced one is refused, so there
//! is no second opinion to be had on where a request ends.
//!
//! Threat: whoever can reach the port chooses every byte. Length, header count and query size are bounded,
//! and what comes out is UTF-8 without control characters.

use std::fmt;

/// A request that was understood completely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
}

/// The methods that are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Answered with head and body.
    Get,
    /// Answered with the head alone.
    Head,
}

impl Request {
    /// GET or HEAD. Routes need not care: a HEAD answer loses its body on the way out.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The decoded path; begins with `/`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The decoded value of the first query pair called `name`.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every decoded query pair, as sent. A name without `=` has an empty value.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.query
    }
}

/// Reads a request head from the beginning of `bytes`. `Ok(None)` asks for more bytes; whatever follows the
/// head is ignored.
///
/// # Errors
/// The [`Refusal`] to answer with. It is final: more bytes would not change it.
pub fn parse_head(bytes: &[u8]) -> Result<Option<Request>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) if length > MAX_HEAD_BYTES => Err(Refusal::HeadTooLarge),
        Ok(httparse::Status::Complete(_)) => accept(&head).map(Some),
        Ok(httparse::Status::Partial) if bytes.len() >= MAX_HEAD_BYTES => Err(Refusal::HeadTooLarge),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(Refusal::HeadTooLarge),
        Err(httparse::Error::Version) if names_http(bytes) => Err(Refusal::UnknownVersion),
        Err(_) => Err(Refusal::Malformed { what: "request head" }),
    }
}

/// The token that a request carries, where its head is whole.
pub fn bearer_token(head: &[u8]) -> Option<&str> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(head).ok()?;
    let mut all = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("authorization"));
    let (only, None) = (all.next()?, all.next()) else { return None };
    let (scheme, token) = std::str::from_utf8(only.value).ok()?.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Why a request is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A part of the head breaks the rules of HTTP or ours.
    Malformed {
        /// The part.
        what: &'static str,
    },
    /// Neither GET nor HEAD.
    UnknownMethod,
    /// The head did not arrive in time.
    TooSlow,
    /// A body without a length was announced.
    UnboundedBody,
    /// A body was announced.
    Body,
    /// More than [`MAX_HEAD_BYTES`] or [`MAX_HEADERS`].
    HeadTooLarge,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    UnknownVersion,
    /// Too many connections are waiting.
    Crowded,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = match self {
            Refusal::Malformed { what } => return write!(f, "could not read request: malformed {what}"),
            Refusal::UnknownMethod => "only GET and HEAD are served",
            Refusal::TooSlow => "its head did not arrive in time",
            Refusal::UnboundedBody | Refusal::Body => "no body is accepted",
            Refusal::HeadTooLarge => "its head is too large",
            Refusal::UnknownVersion => "only HTTP/1.0 and HTTP/1.1 are spoken",
            Refusal::Crowded => "too many connections are waiting, try again",
        };
        write!(f, "could not read request: {cause}")
    }
}

impl std::error::Error for Refusal {}

fn accept(head: &httparse::Request<'_, '_>) -> Result<Request, Refusal> {
    let method = match head.method {
        Some("GET") => Method::Get,
        Some("HEAD") => Method::Head,
        _ => return Err(Refusal::UnknownMethod),
    };
    if head.version == Some(HTTP_1_1) && values(head, "host").count() != 1 {
        return Err(Refusal::Malformed { what: "host header" });
    }
    refuse_body(head)?;
    let (path, query) = split_target(head.path.unwrap_or_default())?;
    Ok(Request { method, path: decode(path, Plus::Literal)?, query: decode_query(query)? })
}

fn refuse_body(head: &httparse::Request<'_, '_>) -> Result<(), Refusal> {
    if values(head, "transfer-encoding").next().is_some() {
        return Err(Refusal::UnboundedBody);
    }
    for length in values(head, "content-length") {
        if length.is_empty() || !length.iter().all(u8::is_ascii_digit) {
            return Err(Refusal::Malformed { what: "content-length header" });
        }
        if length.iter().any(|digit| *digit != b'0') {
            return Err(Refusal::Body);
        }
    }
    Ok(())
}

fn values<'a>(head: &'a httparse::Request<'_, '_>, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    head.headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value)
}

/// Path and query of a request target, which is either a path or, as sent to proxies, a whole http URL.
fn split_target(target: &str) -> Result<(&str, &str), Refusal> {
    let malformed = Refusal::Malformed { what: "request target" };
    let local = match target.get(..SCHEME.len()) {
        Some(scheme) if scheme.eq_ignore_ascii_case(SCHEME) => {
            let (_, after_scheme) = target.split_at(SCHEME.len());
            after_scheme.find('/').and_then(|start| after_scheme.get(start..)).ok_or(malformed)?
        }
        _ => target,
    };
    if !local.starts_with('/') {
        return Err(malformed);
    }
    Ok(local.split_once('?').unwrap_or((local, "")))
}

fn decode_query(query: &str) -> Result<Vec<(String, String)>, Refusal> {
    let pairs: Vec<&str> =
        query.split('&').filter(|pair| !pair.is_empty()).take(MAX_QUERY_PAIRS + 1).collect();
    if pairs.len() > MAX_QUERY_PAIRS {
        return Err(Refusal::Malformed { what: "query" });
    }
    pairs
        .into_iter()
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name, Plus::Space)?, decode(value, Plus::Space)?))
        })
        .collect()
}

/// Undoes percent-encoding. The result is UTF-8 without control characters.
fn decode(text: &str, plus: Plus) -> Result<String, Refusal> {
    let malformed = Refusal::Malformed { what: "percent-encoding" };
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let high = bytes.next().and_then(hex).ok_or(malformed)?;
                let low = bytes.next().and_then(hex).ok_or(malformed)?;
                high << 4 | low
            }
            b'+' if plus == Plus::Space => b' ',
            _ => byte,
        });
    }
    match String::from_utf8(decoded) {
        Ok(decoded) if !decoded.chars().any(char::is_control) => Ok(decoded),
        _ => Err(malformed),
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// What a plus sign stands for: itself in a path, a space in a query, as forms have it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    Literal,
    Space,
}

/// Whether the last word of the first line at least claims to be an HTTP version.
fn names_http(bytes: &[u8]) -> bool {
    let line = bytes.trim_ascii_start().split(|byte| matches!(byte, b'\r' | b'\n')).next();
    let word = line.and_then(|line| line.rsplit(|byte| *byte == b' ').next());
    word.is_some_and(|word| word.starts_with(b"HTTP/"))
}

/// Longest head in bytes; scrapers and probes send a few hundred.
pub const MAX_HEAD_BYTES: usize = 8 * 1024;

/// Most header lines; scrapers and probes send about ten.
pub const MAX_HEADERS: usize = 64;

/// Most query pairs; the routes in use take one or two.
const MAX_QUERY_PAIRS: usize = 32;

/// The version as httparse reports it.
const HTTP_1_1: u8 = 1;

const SCHEME: &str = "http://";

#[cfg(test)]
mod tests {
    use super::*;

    fn get(target: &str) -> Result<Option<Request>, Refusal> {
        parse_head(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
    }

    fn malformed(what: &'static str) -> Result<Option<Request>, Refusal> {
        Err(Refusal::Malformed { what })
    }

    #[test]
    fn path_and_query_are_decoded() {
        let request = get("/a%2fb+c?x=1%202&y=a+b&flag&x=later&&=odd&eq=a=b").unwrap().unwrap();
        assert_eq!(request.method(), Method::Get);
        assert_eq!(request.path(), "/a/b+c");
        assert_eq!(request.query("x"), Some("1 2"));
        assert_eq!(request.query("y"), Some("a b"));
        assert_eq!(request.query("flag"), Some(""));
        assert_eq!(request.query("eq"), Some("a=b"));
        assert_eq!(request.query("none"), None);
        assert_eq!(request.pairs().len(), 6);
    }

    #[test]
    fn targets_are_told_apart() {
        let rows = [
            ("a path", "/metrics", Some("/metrics")),
            ("a whole URL", "HTTP://node:8095/metrics?x", Some("/metrics")),
            ("a whole URL without a path", "http://node:8095", None),
            ("an asterisk", "*", None),
            ("an authority", "node:8095", None),
            ("another scheme", "https://node/metrics", None),
        ];
        for (name, target, path) in rows {
            let shown = get(target).ok().flatten().map(|request| request.path().to_string());
            assert_eq!(shown.as_deref(), path, "{name}");
        }
    }

    #[test]
    fn bad_encodings_are_refused() {
        for target in ["/%", "/%4", "/%zz", "/%+1", "/%ff", "/%00", "/?a=%0a", "/?%c3", "/%7f"] {
            assert_eq!(get(target), malformed("percent-encoding"), "{target}");
        }
    }

    #[test]
    fn a_long_query_is_refused() {
        assert!(get(&format!("/?{}", "a&".repeat(32))).is_ok());
        assert_eq!(get(&format!("/?{}", "a&".repeat(33))), malformed("query"));
    }

    #[test]
    fn every_prefix_of_a_head_asks_for_more() {
        let head = b"HEAD /metrics HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n";
        for end in 0..head.len() {
            assert_eq!(parse_head(&head[..end]), Ok(None), "{end} bytes");
        }
        assert_eq!(parse_head(head).unwrap().unwrap().method(), Method::Head);
    }

    #[test]
    fn bytes_after_the_head_are_ignored() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n\x00\xff garbage";
        assert_eq!(parse_head(head).unwrap().unwrap().path(), "/");
    }

    #[test]
    fn refusals_name_their_reason() {
        let many: String = (0..65).map(|number| format!("X-{number}: a\r\n")).collect();
        let rows: Vec<(&str, String, Refusal)> = vec![
            ("method", "POST / HTTP/1.1\r\n\r\n".into(), Refusal::UnknownMethod),
            ("lower-case method", "get / HTTP/1.1\r\n\r\n".into(), Refusal::UnknownMethod),
            ("old version", "GET / HTTP/0.9\r\n\r\n".into(), Refusal::UnknownVersion),
            ("new version", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), Refusal::UnknownVersion),
            ("no version", "GET / nonsense\r\n\r\n".into(), Refusal::Malformed { what: "request head" }),
            ("no host", "GET / HTTP/1.1\r\n\r\n".into(), Refusal::Malformed { what: "host header" }),
            (
                "two hosts",
                "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".into(),
                Refusal::Malformed { what: "host header" },
            ),
            ("body", "GET / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello".into(), Refusal::Body),
            (
                "two lengths",
                "GET / HTTP/1.0\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n".into(),
                Refusal::Body,
            ),
            (
                "odd length",
                "GET / HTTP/1.0\r\nContent-Length: -0\r\n\r\n".into(),
                Refusal::Malformed { what: "content-length header" },
            ),
            (
                "chunked",
                "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
                Refusal::UnboundedBody,
            ),
            ("many headers", format!("GET / HTTP/1.0\r\n{many}\r\n"), Refusal::HeadTooLarge),
            ("endless line", "A".repeat(MAX_HEAD_BYTES), Refusal::HeadTooLarge),
            (
                "long but complete",
                format!("GET / HTTP/1.0\r\nX: {}\r\n\r\n", "a".repeat(MAX_HEAD_BYTES)),
                Refusal::HeadTooLarge,
            ),
            ("a TLS greeting", "\x16\x03\x01\x02".into(), Refusal::Malformed { what: "request head" }),
            ("a nul byte", "GET /\0 HTTP/1.1\r\n\r\n".into(), Refusal::Malformed { what: "request head" }),
        ];
        for (name, head, refusal) in rows {
            assert_eq!(parse_head(head.as_bytes()), Err(refusal), "{name}");
        }
    }

    #[test]
    fn http_1_0_needs_no_host_and_an_empty_body_is_none() {
        assert!(
            parse_head(b"GET / HTTP/1.0\r\nContent-Length: 0\r\n\r\n").is_ok_and(|request| request.is_some())
        );
    }

    #[test]
    fn no_bytes_make_it_fail_otherwise_than_by_refusing() {
        // A fixed walk through a simple generator: not a fuzzer, only a guard against the obvious.
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let alphabet = b"GET /?%&=+ HTTP/1.1\r\n:ab\x00\xff";
        for _ in 0..20_000 {
            let mut bytes = b"GET /".to_vec();
            for _ in 0..40 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                bytes.push(alphabet[usize::try_from(state % 23).unwrap()]);
            }
            if let Ok(Some(request)) = parse_head(&bytes) {
                assert!(request.path().starts_with('/'));
            }
        }
    }
}
