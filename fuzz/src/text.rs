//! What every text must be that a hostile party had a part in: bounded, on one line, and without secrets.

/// One line without control characters, no longer than `limit` bytes.
#[track_caller]
pub fn assert_is_harmless(text: &str, limit: usize) {
    assert!(text.len() <= limit, "{} bytes, more than {limit}: {:?}", text.len(), &text[..64]);
    assert!(!text.chars().any(char::is_control), "a control character in {text:?}");
}

/// No secret of a length that cannot be in a text by chance, unless what is public holds it as well.
#[track_caller]
pub fn assert_is_without(text: &str, secret: &[u8], public: &[&str]) {
    let holds = |text: &str| text.as_bytes().windows(secret.len()).any(|window| window == secret);
    if secret.len() < SHORTEST_SECRET || public.iter().any(|public| holds(public)) {
        return;
    }
    assert!(!holds(text), "{text:?} holds the secret {:?}", String::from_utf8_lossy(secret));
}

/// Shorter ones are words of the texts themselves.
const SHORTEST_SECRET: usize = 12;
