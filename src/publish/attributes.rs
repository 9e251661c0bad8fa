//! What a provider is told: the class's parameters and the pod's attributes as one JSON object. Pure.
//!
//! The class wins over the pod, so that whoever may create pods cannot redirect what only an administrator may
//! define. Keys that kubelet sets come from kubelet alone: a class that could set the pod's or the service
//! account's name could borrow another's identity.

use std::collections::BTreeMap;
use std::fmt;

use base::secret::SecretString;
use base::text::{json_len, quotable};
use kube::types::TextMap;

use super::request::{KUBELET_KEYS, KUBELET_PREFIX, PublishRequest, TOKENS};

/// Who wins where a class and a pod use one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precedence {
    /// The class.
    Class,
    /// The pod, as in the upstream driver; `--allow-attribute-override`.
    Pod,
}

/// The attributes of one call.
pub struct Attributes {
    /// The JSON object.
    pub json: SecretString,
    /// Keys that both the class and the pod set, to different values; the loser's value is dropped.
    pub collisions: Vec<String>,
    /// Keys of kubelet's prefix that kubelet does not set: they are left out.
    pub unknown: Vec<String>,
}

impl Attributes {
    /// Merges the two sides.
    pub fn merge(
        parameters: &TextMap,
        request: &PublishRequest,
        precedence: Precedence,
    ) -> Result<Attributes, ReservedParameter> {
        if let Some(key) = parameters.keys().find(|key| key.starts_with(KUBELET_PREFIX)) {
            return Err(ReservedParameter { key: key.to_owned() });
        }
        let mut of_pod: BTreeMap<&str, &str> = BTreeMap::new();
        let (mut collisions, mut unknown) = (Vec::new(), Vec::new());
        for (key, value) in &request.attributes {
            let (key, value) = (key.as_str(), value.expose());
            if key.starts_with(KUBELET_PREFIX) && !KUBELET_KEYS.contains(&key) {
                unknown.push(key.to_owned());
                continue;
            }
            match parameters.get(key) {
                Some(of_class) if of_class != value => {
                    collisions.push(key.to_owned());
                    if precedence == Precedence::Pod {
                        of_pod.insert(key, value);
                    }
                }
                Some(_same) => {}
                None => {
                    of_pod.insert(key, value);
                }
            }
        }
        // Newer clusters deliver tokens among the secrets.
        if let Some(tokens) = request.secrets.get(TOKENS).filter(|tokens| !tokens.expose().is_empty()) {
            of_pod.insert(TOKENS, tokens.expose());
        }
        let of_class = parameters.iter().filter(|(key, _)| !of_pod.contains_key(key));
        let merged = in_order(of_class, of_pod.iter().map(|(key, value)| (*key, *value)));
        Ok(Attributes { json: to_json(merged), collisions, unknown })
    }
}

/// The secrets of a request as the contract wants them: a JSON object, or `null` when there are none, since some
/// providers fail on an empty text.
pub fn secrets_json(secrets: &BTreeMap<String, SecretString>) -> SecretString {
    if secrets.is_empty() {
        return SecretString::new("null".to_owned());
    }
    to_json(secrets.iter().map(|(key, value)| (key.as_str(), value.expose())))
}

/// Two sides in the order of keys, each of which is in that order. No map is made of both: they may be large.
fn in_order<'a>(
    one: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    other: impl Iterator<Item = (&'a str, &'a str)> + Clone,
) -> impl Iterator<Item = (&'a str, &'a str)> + Clone {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some((of_one, _)), Some((of_other, _))) if of_other < of_one => other.next(),
        (Some(_), _) => one.next(),
        (None, _) => other.next(),
    })
}

fn to_json<'a>(texts: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> SecretString {
    // Exactly as long as it becomes, so that no half-grown copy is left in memory.
    let room = texts.clone().map(|(key, value)| json_len(key) + json_len(value) + 6).sum::<usize>() + 2;
    let mut text = Vec::with_capacity(room);
    // Writing strings into memory cannot fail, and what is written is UTF-8.
    let mut written = true;
    for (at, (key, value)) in texts.enumerate() {
        text.push(if at == 0 { b'{' } else { b',' });
        written &= serde_json::to_writer(&mut text, key).is_ok();
        text.push(b':');
        written &= serde_json::to_writer(&mut text, value).is_ok();
    }
    text.extend_from_slice(if text.is_empty() { b"{}" } else { b"}" });
    debug_assert!(written && text.len() <= room, "strings always have a JSON form");
    SecretString::new(String::from_utf8(text).unwrap_or_default())
}

/// A class sets a key that only kubelet may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservedParameter {
    key: String,
}

impl fmt::Display for ReservedParameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = quotable(&self.key, 128);
        write!(f, "parameter \"{key}\" is reserved: kubelet sets it, remove it from the class")
    }
}

impl std::error::Error for ReservedParameter {}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::event::PodRef;
    use volume::target::TargetPath;

    fn secret_map(entries: &[(&str, &str)]) -> BTreeMap<String, SecretString> {
        entries.iter().map(|(k, v)| ((*k).to_owned(), SecretString::new((*v).to_owned()))).collect()
    }

    fn request(attributes: &[(&str, &str)], secrets: &[(&str, &str)]) -> PublishRequest {
        PublishRequest {
            volume_id: "v".to_owned(),
            target: TargetPath::parse("/t/mount", None).unwrap(),
            class: "c".to_owned(),
            pod: PodRef { namespace: "ns".to_owned(), name: "p".to_owned(), uid: "u".to_owned() },
            attributes: secret_map(attributes),
            secrets: secret_map(secrets),
            had_foreign_tokens: false,
            group: None,
        }
    }

    fn parameters(entries: &[(&str, &str)]) -> TextMap {
        entries.iter().copied().collect()
    }

    #[test]
    fn both_sides_are_passed_on_with_sorted_keys() {
        let request = request(&[("z", "1"), ("csi.storage.k8s.io/pod.name", "p")], &[]);
        let merged =
            Attributes::merge(&parameters(&[("a", "<&>\"\n")]), &request, Precedence::Class).unwrap();
        assert_eq!(merged.json.expose(), r#"{"a":"<&>\"\n","csi.storage.k8s.io/pod.name":"p","z":"1"}"#);
        assert!(merged.collisions.is_empty());
    }

    #[test]
    fn the_class_wins_unless_the_administrator_gave_that_up() {
        let request = request(&[("address", "evil"), ("same", "1")], &[]);
        let class = parameters(&[("address", "good"), ("same", "1")]);
        for (precedence, address) in [(Precedence::Class, "good"), (Precedence::Pod, "evil")] {
            let merged = Attributes::merge(&class, &request, precedence).unwrap();
            assert_eq!(merged.json.expose(), format!(r#"{{"address":"{address}","same":"1"}}"#));
            assert_eq!(merged.collisions, ["address"]);
        }
    }

    #[test]
    fn a_pod_cannot_speak_for_kubelet_in_keys_that_kubelet_does_not_set() {
        let known = KUBELET_KEYS.map(|key| (key, "kubelet"));
        let own = [("csi.storage.k8s.io/pod.labels", "evil"), ("csi.storage.k8s.io/", "evil"), ("own", "x")];
        let request = request(&[&known[..], &own].concat(), &[]);
        let merged = Attributes::merge(&TextMap::default(), &request, Precedence::Pod).unwrap();
        assert!(!merged.json.expose().contains("evil"), "{}", merged.json.expose());
        for (key, _) in known {
            assert!(merged.json.expose().contains(&format!("\"{key}\":\"kubelet\"")), "{key}");
        }
        assert_eq!(merged.unknown, ["csi.storage.k8s.io/", "csi.storage.k8s.io/pod.labels"]);
    }

    #[test]
    fn a_class_cannot_speak_for_kubelet() {
        let class = parameters(&[("csi.storage.k8s.io/serviceAccount.name", "admin")]);
        for precedence in [Precedence::Class, Precedence::Pod] {
            let refused = Attributes::merge(&class, &request(&[], &[]), precedence).err().unwrap();
            assert!(refused.to_string().contains("serviceAccount.name"), "{refused}");
        }
    }

    #[test]
    fn tokens_come_from_the_secrets_first() {
        let of = |attributes: &[(&str, &str)], secrets: &[(&str, &str)]| {
            let request = request(attributes, secrets);
            let merged = Attributes::merge(&TextMap::default(), &request, Precedence::Class).unwrap();
            merged.json.expose().to_owned()
        };
        assert_eq!(of(&[(TOKENS, "old")], &[(TOKENS, "new")]), format!(r#"{{"{TOKENS}":"new"}}"#));
        assert_eq!(of(&[(TOKENS, "old")], &[(TOKENS, "")]), format!(r#"{{"{TOKENS}":"old"}}"#));
        assert_eq!(of(&[], &[]), "{}");
    }

    #[test]
    fn both_sides_come_in_the_order_of_their_keys_however_they_alternate() {
        let request = request(&[("b", "2"), ("c", "3"), ("f", "6")], &[]);
        let class = parameters(&[("a", "1"), ("d", "4"), ("e", "5"), ("g", "7")]);
        let merged = Attributes::merge(&class, &request, Precedence::Class).unwrap();
        let json = r#"{"a":"1","b":"2","c":"3","d":"4","e":"5","f":"6","g":"7"}"#;
        assert_eq!(merged.json.expose(), json);
    }

    #[test]
    fn no_secrets_are_null_and_never_an_empty_text() {
        assert_eq!(secrets_json(&BTreeMap::new()).expose(), "null");
        assert_eq!(secrets_json(&secret_map(&[("k", "v")])).expose(), r#"{"k":"v"}"#);
    }
}
