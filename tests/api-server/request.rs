//! A request as it came, and what its path, query and headers ask for.

use super::status::About;

/// A request with its body.
#[derive(Default)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    pub content_type: String,
    pub accept: String,
    pub user_agent: String,
    /// Whom the caller wants to be taken for.
    pub impersonated: Option<String>,
    pub body: Vec<u8>,
    /// The path taken apart; `None` when it names no resource.
    pub place: Option<Place>,
}

/// A resource path taken apart; parts that are not there are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub group: String,
    pub version: String,
    pub namespace: String,
    pub plural: String,
    pub name: String,
    pub subresource: String,
}

/// Group, plural, namespace (empty for cluster scope), name.
pub type Key = (String, String, String, String);

impl Place {
    /// The resource path taken apart; `None` for every other path.
    pub fn parse(path: &str) -> Option<Place> {
        let decoded: Vec<String> = path.strip_prefix('/')?.split('/').map(decoded).collect();
        let steps: Vec<&str> = decoded.iter().map(String::as_str).collect();
        let (group, version, rest) = match steps.as_slice() {
            ["api", "v1", rest @ ..] => ("", "v1", rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (*plural, "", ""),
            [plural, name] => (*plural, *name, ""),
            [plural, name, subresource] => (*plural, *name, *subresource),
            _ => return None,
        };
        let owned = str::to_owned;
        Some(Place {
            group: owned(group),
            version: owned(version),
            namespace: owned(namespace),
            plural: owned(plural),
            name: owned(name),
            subresource: owned(subresource),
        })
    }

    /// The object's key; `None` for a collection.
    pub fn key(&self) -> Option<Key> {
        (!self.name.is_empty()).then(|| self.key_of(&self.name))
    }

    /// The key of an object of that name in this place.
    pub fn key_of(&self, name: &str) -> Key {
        (self.group.clone(), self.plural.clone(), self.namespace.clone(), name.to_owned())
    }

    /// What an error about this place names.
    pub fn about(&self) -> About<'_> {
        About { group: &self.group, plural: &self.plural, name: &self.name }
    }

    /// Group and version as objects carry them.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

impl Request {
    /// The verb as access rules name it.
    pub fn verb(&self) -> &'static str {
        let is_collection = self.place.as_ref().is_some_and(|place| place.name.is_empty());
        match self.method.as_str() {
            "GET" | "HEAD" if is_collection && self.is_watch() => "watch",
            "GET" | "HEAD" if is_collection => "list",
            "GET" | "HEAD" => "get",
            // As a verb of its own, so that a fault can meet either.
            "POST" if self.parameter("dryRun") == "All" => "check",
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" if is_collection => "deletecollection",
            "DELETE" => "delete",
            _ => "other",
        }
    }

    fn is_watch(&self) -> bool {
        self.flag("watch")
    }

    /// Whether a parameter of the query says yes.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.parameter(name).as_str(), "1" | "true")
    }

    /// A parameter of the query, decoded; empty when absent.
    pub fn parameter(&self, name: &str) -> String {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map_or_else(String::new, |(_, value)| decoded(value))
    }

    /// The one name that a field selector asks for; empty when it does not.
    pub fn selected_name(&self) -> String {
        let fields = self.parameter("fieldSelector");
        let mut names = fields.split(',').filter_map(|term| term.strip_prefix("metadata.name="));
        names.next().map_or_else(String::new, |name| name.trim_start_matches('=').to_owned())
    }

    /// Who is said to own the fields that this request sets.
    pub fn manager(&self) -> String {
        let given = self.parameter("fieldManager");
        let agent = self.user_agent.split('/').next().unwrap_or("");
        let manager = if given.is_empty() { agent } else { &given };
        if manager.is_empty() { "unknown".to_owned() } else { manager.chars().take(128).collect() }
    }
}

/// Percent-decoding, lenient.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = (*first == b'%').then(|| tail.get(..2)).flatten();
        let byte = hex.and_then(|hex| u8::from_str_radix(str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(match byte {
            Some(byte) => byte,
            None if *first == b'+' => b' ',
            None => *first,
        });
        rest = if byte.is_some() { tail.get(2..).unwrap_or_default() } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
