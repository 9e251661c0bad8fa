//! What every text must be that a hostile party had a part in: bounded, on one line, and without secrets.

/// One line without control characters, no longer than `limit` bytes.
#[track_caller]
pub fn assert_is_harmless(text: &str, limit: usize) {
    assert!(text.len() <= limit, "{} bytes, more than {limit}: {text:?}", text.len());
    assert!(!text.chars().any(char::is_control), "a control character in {text:?}");
}

/// No secret, unless what is public holds it as well. The fuzzer learns the words of our own texts; so only a secret
/// with the mark counts, which is in none of them and in those of all seeds.
#[track_caller]
pub fn assert_is_without(text: &str, secret: &[u8], public: &[&str]) {
    let holds = |text: &[u8], part: &[u8]| text.windows(part.len()).any(|window| window == part);
    if !holds(secret, MARK) || public.iter().any(|public| holds(public.as_bytes(), secret)) {
        return;
    }
    assert!(
        !holds(text.as_bytes(), secret),
        "{text:?} holds the secret {:?}",
        String::from_utf8_lossy(secret)
    );
}

const MARK: &[u8] = b"made-up-";
