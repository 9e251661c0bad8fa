//! The head of an HTTP request: an answer is final, what is understood is harmless, and its own writing is read
//! as the same.

use web::http::{MAX_HEAD_BYTES, Method, Refusal, Request, parse_head};

use crate::text::assert_is_harmless;

pub fn check(bytes: &[u8]) {
    let whole = parse_head(bytes);
    final_whatever_comes_after(bytes, &whole);
    match whole {
        Ok(Some(request)) => {
            is_harmless(&request);
            is_read_as_it_is_written(&request);
        }
        Ok(None) => assert!(bytes.len() < MAX_HEAD_BYTES, "{} bytes and still no answer", bytes.len()),
        Err(refusal) => assert_is_harmless(&refusal.to_string(), 100),
    }
}

/// The head comes in pieces of any size: once a beginning is answered, no more bytes make it another request, or one
/// where it was refused.
fn final_whatever_comes_after(bytes: &[u8], whole: &Result<Option<Request>, Refusal>) {
    let step = bytes.len() / 48 + 1;
    for end in (0..bytes.len()).step_by(step) {
        match parse_head(&bytes[..end]) {
            Ok(None) => assert!(end < MAX_HEAD_BYTES, "{end} bytes and still no answer"),
            Ok(Some(early)) => assert_eq!(whole.as_ref(), Ok(&Some(early)), "after {end} bytes"),
            Err(refusal) => assert!(whole.is_err(), "{refusal} after {end} bytes, then {whole:?}"),
        }
    }
}

fn is_harmless(request: &Request) {
    assert!(request.path().starts_with('/'));
    assert!(request.pairs().len() <= 32);
    let pairs = request.pairs().iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    let texts: Vec<_> = pairs.chain([request.path()]).collect();
    assert!(texts.iter().map(|text| text.len()).sum::<usize>() <= MAX_HEAD_BYTES);
    for text in texts {
        assert_is_harmless(text, MAX_HEAD_BYTES);
    }
    for (name, _) in request.pairs() {
        let first = request.pairs().iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
        assert_eq!(request.query(name), first);
    }
}

fn is_read_as_it_is_written(request: &Request) {
    let method = match request.method() {
        Method::Get => "GET",
        Method::Head => "HEAD",
    };
    let pairs: Vec<_> =
        request.pairs().iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    let path: String = request.path().split('/').map(encoded).collect::<Vec<_>>().join("/");
    let head = format!("{method} {path}?{} HTTP/1.1\r\nHost: a\r\n\r\n", pairs.join("&"));
    if head.len() <= MAX_HEAD_BYTES {
        assert_eq!(parse_head(head.as_bytes()), Ok(Some(request.clone())), "{head}");
    }
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            byte => format!("%{byte:02x}"),
        })
        .collect()
}
