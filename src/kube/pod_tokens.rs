//! Whether service account tokens that came with a volume are kubelet's. Pure.
//!
//! Where the CSIDriver object requests no tokens, kubelet sets none, and what a pod's author writes in their place would
//! pass for them. Kubelet has each token bound to the pod, whose uid is a claim of it. The author of a pod cannot write
//! that uid: the API server chooses it when the pod is created, and the attributes of its volumes do not change after
//! that. No signature is looked at: that is the part of whoever takes the token.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::claims;

/// True when each token of that text, a JSON object by audience as kubelet writes it, is bound to the pod of that uid.
pub fn are_bound_to(text: &str, uid: &str) -> bool {
    !uid.is_empty()
        && serde_json::from_str(text)
            .is_ok_and(|Tokens(tokens)| tokens.iter().all(|token| is_bound(token, uid)))
}

fn is_bound(token: &str, uid: &str) -> bool {
    claims::pod_uid(token).is_some_and(|of| of == uid)
}

/// Every token of the text, those of an audience that is there twice too.
struct Tokens<'a>(Vec<&'a str>);

/// What is known of one audience's entry. A token has no escapes, so it is borrowed and no copy stays in memory.
#[derive(Deserialize)]
struct Entry<'a> {
    token: &'a str,
}

impl<'de> Deserialize<'de> for Tokens<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ByAudience;

        impl<'de> Visitor<'de> for ByAudience {
            type Value = Tokens<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tokens by audience")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tokens<'de>, A::Error> {
                let mut tokens = Vec::new();
                while let Some((IgnoredAny, Entry { token })) = map.next_entry()? {
                    if tokens.len() == MOST_AUDIENCES {
                        return Err(A::Error::custom("too many audiences"));
                    }
                    tokens.push(token);
                }
                Ok(Tokens(tokens))
            }
        }

        deserializer.deserialize_map(ByAudience)
    }
}

/// Far more than a CSIDriver object requests.
const MOST_AUDIENCES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    const UID: &str = "3c1b1f4e-9df0-4d0b-8f7e-2f3f6c1b7a10";

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    fn of_pod(uid: &str) -> String {
        token(&format!(
            r#"{{"aud":["vault"],"kubernetes.io":{{"namespace":"team","pod":{{"name":"web","uid":"{uid}"}}}}}}"#
        ))
    }

    fn entry(token: &str) -> String {
        format!(r#"{{"token":"{token}","expirationTimestamp":"2030-01-01T00:00:00Z"}}"#)
    }

    #[test]
    fn tokens_are_kubelets_when_each_is_bound_to_the_pod() {
        let (ours, others, bare) = (entry(&of_pod(UID)), entry(&of_pod("another")), entry(&token("{}")));
        let rows = [
            ("one", format!(r#"{{"vault":{ours}}}"#), true),
            (
                "an audience with escapes, and the API server's own",
                format!(r#"{{"a\u0026b":{ours},"":{ours}}}"#),
                true,
            ),
            ("none", "{}".to_owned(), true),
            ("another pod's", format!(r#"{{"vault":{others}}}"#), false),
            ("one that is bound to nothing", format!(r#"{{"vault":{bare}}}"#), false),
            ("another pod's beside the pod's", format!(r#"{{"a":{ours},"b":{others}}}"#), false),
            ("an audience twice", format!(r#"{{"a":{others},"a":{ours}}}"#), false),
            ("a token twice", r#"{"a":{"token":"x","token":"y"}}"#.to_owned(), false),
            ("a name in other letters", format!(r#"{{"a":{}}}"#, ours.replace("token", "Token")), false),
            ("no token", r#"{"a":{}}"#.to_owned(), false),
            ("no JSON", of_pod(UID), false),
            ("a list", format!("[{ours}]"), false),
            ("more behind it", format!(r#"{{"a":{ours}}} {{"a":{others}}}"#), false),
            ("nothing", String::new(), false),
        ];
        for (name, text, expected) in rows {
            assert_eq!(are_bound_to(&text, UID), expected, "{name}");
        }
    }

    #[test]
    fn without_the_pods_uid_nothing_is_kubelets() {
        assert!(!are_bound_to(&format!(r#"{{"vault":{}}}"#, entry(&of_pod(""))), ""));
    }

    #[test]
    fn as_many_audiences_as_nobody_requests_are_nobodys_tokens() {
        let many = |count: usize| {
            let entries: Vec<_> = (0..count).map(|n| format!(r#""{n}":{}"#, entry(&of_pod(UID)))).collect();
            format!("{{{}}}", entries.join(","))
        };
        assert!(are_bound_to(&many(MOST_AUDIENCES), UID));
        assert!(!are_bound_to(&many(MOST_AUDIENCES + 1), UID));
    }
}
