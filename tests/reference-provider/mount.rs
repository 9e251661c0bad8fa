//! What the reference provider answers to a Mount call, as a pure function of the call and of its own state.
//!
//! It refuses to know gRPC, HTTP, files and time. The four texts of a call come from whoever reaches the
//! provider's socket, so every one of them is parsed with errors that never repeat what they hold: the attributes
//! carry service-account tokens, the secrets are secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use base::secret::{SecretBytes, SecretString};

use super::directory::FileObject;
use super::objects::{self, ObjectRef, ObjectsError};

/// Answers one Mount call; `source` says where the objects come from and `state` what was asked for in tests.
///
/// # Errors
/// The first thing wrong with the call, in the order of the fields; see [`MountError`].
pub fn mount(call: &MountCall<'_>, state: &State, source: Source<'_>) -> Result<Answer, MountError> {
    let attributes = Attributes::parse(call.attributes)?;
    object_or_null::<IgnoredAny>(call.secrets, Part::Secrets)?;
    serde_json::from_str::<u32>(call.permission)
        .map_err(|error| MountError::parse(Part::Permission, &error))?;
    if call.target_path.is_empty() {
        return Err(MountError::NoTargetPath);
    }
    check_tokens(&attributes, &state.audiences)?;

    let pod_uid = attributes.get(POD_UID_KEY).unwrap_or_default();
    let rotated = state.rotation && state.mounted_pods.contains(pod_uid);
    let mut answer = Answer { pod_uid: pod_uid.to_owned(), files: Vec::new(), versions: Vec::new() };
    for name in wanted(&attributes, source)? {
        let (contents, version) = object(&name, state, source, rotated)?;
        answer.versions.push(ObjectVersion { id: format!("secret/{name}"), version });
        answer.files.push(File { path: name, mode: UNSET_MODE, contents });
    }
    Ok(answer)
}

/// The keys of a call's attributes, sorted; empty when the text is no attributes at all.
pub fn attribute_keys(attributes: &str) -> Vec<String> {
    Attributes::parse(attributes).map(|attributes| attributes.0.into_keys().collect()).unwrap_or_default()
}

/// The texts of a Mount call, as they arrived. The attributes and the secrets must not be printed.
#[derive(Clone, Copy)]
pub struct MountCall<'a> {
    /// JSON object of strings, or null.
    pub attributes: &'a str,
    /// JSON object, or null.
    pub secrets: &'a str,
    /// JSON number: the decimal file mode. Checked, and left to the driver to apply.
    pub permission: &'a str,
    /// The volume's path on the host. Checked not to be empty, and never opened.
    pub target_path: &'a str,
}

/// Where the objects come from.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// The fixed objects `foo` and `fookey`; every other name is an object without contents.
    Fixed,
    /// The files of the user's own directory, sorted by path. Rotation is what happens to the files.
    Files(&'a [FileObject]),
}

/// What tests have asked for, and what the provider remembers of earlier calls.
#[derive(Debug, Default)]
pub struct State {
    /// Whether the fixed objects of a pod that was mounted before are rotated.
    pub rotation: bool,
    /// The uids of the pods that were mounted before.
    pub mounted_pods: BTreeSet<String>,
    /// The audiences for which every call has to carry a token.
    pub audiences: Vec<String>,
    /// Contents that replace the source's, by object name.
    pub contents: BTreeMap<String, SetContents>,
}

/// Contents set by a test.
#[derive(Debug)]
pub struct SetContents {
    /// The contents.
    pub value: SecretString,
    /// The version that goes with them.
    pub version: String,
}

/// The whole content of a volume, and the versions it consists of.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The pod that the volume belongs to; empty when the call does not say.
    pub pod_uid: String,
    /// One file for each object.
    pub files: Vec<File>,
    /// One version for each object, in the same order.
    pub versions: Vec<ObjectVersion>,
}

/// A file of the answer.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    /// Path in the volume: the object's name.
    pub path: String,
    /// Permission bits as the protocol has them; always 0, which leaves them to the driver.
    pub mode: i32,
    /// The contents.
    pub contents: SecretBytes,
}

/// The version of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectVersion {
    /// `secret/` and the object's name.
    pub id: String,
    /// Differs whenever the contents do.
    pub version: String,
}

/// Why a Mount call cannot be answered. No variant holds a value of the call.
#[derive(Debug, PartialEq, Eq)]
pub enum MountError {
    /// A part of the call is not the JSON that it has to be.
    Malformed {
        /// Which one.
        part: Part,
        /// Line of the text, counted from 1; 0 when the parser does not know it.
        line: usize,
        /// Column of the text, counted from 1; 0 when the parser does not know it.
        column: usize,
    },
    /// The call names no target path.
    NoTargetPath,
    /// Audiences are checked, and the call carries no tokens at all.
    NoTokens,
    /// Audiences are checked, and there is no token for this one.
    NoTokenFor {
        /// The audience.
        audience: String,
    },
    /// The attributes do not say which objects the volume holds.
    NoObjects,
    /// The `objects` attribute is not in the subset that the provider reads.
    Objects(ObjectsError),
    /// The user's directory has no such file.
    UnknownObject {
        /// The object's name.
        name: String,
    },
}

/// A part of a Mount call that is JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The attributes.
    Attributes,
    /// The secrets.
    Secrets,
    /// The permission.
    Permission,
    /// The attribute with the service-account tokens.
    Tokens,
}

impl MountError {
    /// Keeps the place and drops serde's text, which quotes the value that it stumbled over.
    fn parse(part: Part, error: &serde_json::Error) -> MountError {
        MountError::Malformed { part, line: error.line(), column: error.column() }
    }
}

impl fmt::Display for MountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MountError::Malformed { part, line, column } => {
                let (noun, expected) = match part {
                    Part::Attributes => ("attributes", "a JSON object of strings or null"),
                    Part::Secrets => ("secrets", "a JSON object or null"),
                    Part::Permission => ("permission", "a JSON number"),
                    Part::Tokens => ("service account tokens", "a JSON object"),
                };
                write!(f, "could not parse {noun}: expected {expected}, line {line} column {column}")
            }
            MountError::NoTargetPath => f.write_str("target path is not set"),
            MountError::NoTokens => f.write_str("service account tokens is not set"),
            MountError::NoTokenFor { audience } => {
                write!(f, "service account token for audience {audience} is not set")
            }
            MountError::NoObjects => f.write_str("objects is not set"),
            MountError::Objects(error) => error.fmt(f),
            MountError::UnknownObject { name } => {
                write!(f, "could not find object {name:?}: no such file in the secrets directory")
            }
        }
    }
}

impl std::error::Error for MountError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            MountError::Objects(error) => Some(error),
            _ => None,
        }
    }
}

/// The attributes of a call. The values are overwritten when dropped, because tokens are among them.
struct Attributes(BTreeMap<String, SecretString>);

impl Attributes {
    fn parse(text: &str) -> Result<Attributes, MountError> {
        let map = object_or_null::<String>(text, Part::Attributes)?;
        Ok(Attributes(map.into_iter().map(|(key, value)| (key, SecretString::new(value))).collect()))
    }

    /// The value of an attribute that is there and not empty.
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(SecretString::expose).filter(|value| !value.is_empty())
    }
}

/// A JSON object, where null stands for an empty one.
fn object_or_null<T: DeserializeOwned>(text: &str, part: Part) -> Result<BTreeMap<String, T>, MountError> {
    let map: Option<BTreeMap<String, T>> =
        serde_json::from_str(text).map_err(|error| MountError::parse(part, &error))?;
    Ok(map.unwrap_or_default())
}

/// Each audience in turn has to be a key of the tokens; what stands behind it is not looked at.
fn check_tokens(attributes: &Attributes, audiences: &[String]) -> Result<(), MountError> {
    if audiences.is_empty() {
        return Ok(());
    }
    let text = attributes.get(TOKENS_KEY).ok_or(MountError::NoTokens)?;
    let Tokens(tokens) =
        serde_json::from_str(text).map_err(|error| MountError::parse(Part::Tokens, &error))?;
    match audiences.iter().find(|audience| !tokens.contains_key(*audience)) {
        Some(audience) => Err(MountError::NoTokenFor { audience: audience.clone() }),
        None => Ok(()),
    }
}

/// The tokens by audience, reduced to the audiences.
#[derive(Deserialize)]
struct Tokens(BTreeMap<String, IgnoredAny>);

/// The names of the objects that the volume holds.
fn wanted(attributes: &Attributes, source: Source<'_>) -> Result<Vec<String>, MountError> {
    match (attributes.get(OBJECTS_KEY), source) {
        (Some(text), _) => {
            let objects = objects::parse(text).map_err(MountError::Objects)?;
            Ok(objects.into_iter().map(|ObjectRef { name, .. }| name).collect())
        }
        (None, Source::Files(files)) => Ok(files.iter().map(|file| file.path.clone()).collect()),
        (None, Source::Fixed) => Err(MountError::NoObjects),
    }
}

/// The contents and the version of one object.
fn object(
    name: &str,
    state: &State,
    source: Source<'_>,
    rotated: bool,
) -> Result<(SecretBytes, String), MountError> {
    if let Some(set) = state.contents.get(name) {
        return Ok((SecretBytes::new(set.value.expose().as_bytes().to_vec()), set.version.clone()));
    }
    let (contents, version) = match source {
        Source::Files(files) => {
            let file = files
                .iter()
                .find(|file| file.path == name)
                .ok_or_else(|| MountError::UnknownObject { name: name.to_owned() })?;
            return Ok((file.contents.clone(), file.version.clone()));
        }
        Source::Fixed if rotated => ("rotated", "v2"),
        Source::Fixed => match name {
            "foo" => ("secret", "v1"),
            "fookey" => (FOOKEY, "v1"),
            _ => ("", "v1"),
        },
    };
    Ok((SecretBytes::new(contents.as_bytes().to_vec()), version.to_owned()))
}

/// The attribute with the list of objects.
const OBJECTS_KEY: &str = "objects";

/// The attribute with the pod's uid, set by kubelet.
const POD_UID_KEY: &str = "csi.storage.k8s.io/pod.uid";

/// The attribute with the service-account tokens, set by kubelet.
const TOKENS_KEY: &str = "csi.storage.k8s.io/serviceAccount.tokens";

/// The protocol's zero: the file's permission is the driver's business.
const UNSET_MODE: i32 = 0;

/// Looks like a key to a person, and to no parser.
const FOOKEY: &str = "-----BEGIN PUBLIC KEY-----\nThis is mock key\n-----END PUBLIC KEY-----";

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECTS: &str =
        "array:\n  - |\n    objectName: foo\n    objectVersion: v1\n  - |\n    objectName: fookey\n";

    fn attributes(more: &[(&str, &str)]) -> String {
        let mut map = BTreeMap::from([(OBJECTS_KEY, OBJECTS), (POD_UID_KEY, "uid-1")]);
        map.extend(more.iter().copied());
        serde_json::to_string(&map).unwrap()
    }

    fn call(attributes: &str) -> MountCall<'_> {
        MountCall { attributes, secrets: "null", permission: "420", target_path: "/target" }
    }

    /// Path, contents and version of every object; also checks what is the same for all of them.
    fn shown(answer: &Answer) -> Vec<(&str, &str, &str)> {
        assert_eq!(answer.files.len(), answer.versions.len());
        let objects = answer.files.iter().zip(&answer.versions);
        objects
            .map(|(file, version)| {
                assert_eq!((file.mode, &version.id), (0, &format!("secret/{}", file.path)));
                let contents = std::str::from_utf8(file.contents.expose()).unwrap();
                (file.path.as_str(), contents, version.version.as_str())
            })
            .collect()
    }

    #[test]
    fn foo_and_fookey_have_their_fixed_contents_at_version_one() {
        let answer = mount(&call(&attributes(&[])), &State::default(), Source::Fixed).unwrap();
        assert_eq!(answer.pod_uid, "uid-1");
        assert_eq!(
            shown(&answer),
            [
                ("foo", "secret", "v1"),
                ("fookey", "-----BEGIN PUBLIC KEY-----\nThis is mock key\n-----END PUBLIC KEY-----", "v1"),
            ]
        );
    }

    #[test]
    fn a_pod_that_was_mounted_before_gets_rotated_objects_and_another_pod_does_not() {
        let state =
            State { rotation: true, mounted_pods: BTreeSet::from(["uid-1".into()]), ..State::default() };
        let again = mount(&call(&attributes(&[])), &state, Source::Fixed).unwrap();
        assert_eq!(shown(&again), [("foo", "rotated", "v2"), ("fookey", "rotated", "v2")]);
        let text = attributes(&[(POD_UID_KEY, "uid-2")]);
        let first = mount(&call(&text), &state, Source::Fixed).unwrap();
        assert_eq!(shown(&first)[0], ("foo", "secret", "v1"));
        let off = State { rotation: false, ..state };
        assert_eq!(shown(&mount(&call(&attributes(&[])), &off, Source::Fixed).unwrap())[0].1, "secret");
    }

    #[test]
    fn a_token_is_required_for_each_audience_that_is_checked() {
        let state = State { audiences: vec!["aud1".into()], ..State::default() };
        let tokens = r#"{"aud1":{"token":"t","expirationTimestamp":"2030-01-01T00:00:00Z"}}"#;
        let text = attributes(&[(TOKENS_KEY, tokens)]);
        assert_eq!(mount(&call(&text), &state, Source::Fixed).unwrap().files.len(), 2);

        let state = State { audiences: vec!["aud1".into(), "aud2".into()], ..State::default() };
        let error = mount(&call(&text), &state, Source::Fixed).unwrap_err();
        assert_eq!(error.to_string(), "service account token for audience aud2 is not set");
    }

    #[test]
    fn empty_tokens_are_an_error_while_an_audience_is_checked() {
        let state = State { audiences: vec!["aud1".into()], ..State::default() };
        for text in [attributes(&[]), attributes(&[(TOKENS_KEY, "")])] {
            let error = mount(&call(&text), &state, Source::Fixed).unwrap_err();
            assert_eq!(error.to_string(), "service account tokens is not set");
        }
        let text = attributes(&[(TOKENS_KEY, "{}")]);
        let error = mount(&call(&text), &state, Source::Fixed).unwrap_err();
        assert_eq!(error.to_string(), "service account token for audience aud1 is not set");
    }

    #[test]
    fn an_unknown_name_is_an_object_without_contents() {
        let text = attributes(&[(OBJECTS_KEY, "array:\n- objectName: bar\n")]);
        let answer = mount(&call(&text), &State::default(), Source::Fixed).unwrap();
        assert_eq!(shown(&answer), [("bar", "", "v1")]);
    }

    #[test]
    fn contents_that_a_test_set_win_over_the_source_and_over_rotation() {
        let set = SetContents { value: SecretString::new("mine".into()), version: "v3".into() };
        let mut state =
            State { rotation: true, mounted_pods: BTreeSet::from(["uid-1".into()]), ..State::default() };
        state.contents.insert("foo".into(), set);
        let answer = mount(&call(&attributes(&[])), &state, Source::Fixed).unwrap();
        assert_eq!(shown(&answer), [("foo", "mine", "v3"), ("fookey", "rotated", "v2")]);
    }

    fn files() -> Vec<FileObject> {
        let file = |path: &str, contents: &[u8]| FileObject {
            path: path.into(),
            contents: SecretBytes::new(contents.to_vec()),
            version: format!("version of {path}"),
        };
        vec![file("a", b"1"), file("b/c", b"2")]
    }

    #[test]
    fn without_objects_a_directory_gives_all_of_its_files() {
        let files = files();
        for text in ["null", "{}", r#"{"objects":""}"#] {
            let answer = mount(&call(text), &State::default(), Source::Files(&files)).unwrap();
            assert_eq!(
                shown(&answer),
                [("a", "1", "version of a"), ("b/c", "2", "version of b/c")],
                "{text}"
            );
        }
    }

    #[test]
    fn objects_select_among_the_files_of_a_directory_and_have_to_exist() {
        let files = files();
        let text = attributes(&[(OBJECTS_KEY, "array:\n- objectName: b/c\n")]);
        let answer = mount(&call(&text), &State::default(), Source::Files(&files)).unwrap();
        assert_eq!(shown(&answer), [("b/c", "2", "version of b/c")]);

        let text = attributes(&[(OBJECTS_KEY, "array:\n- objectName: ../etc/passwd\n")]);
        let error = mount(&call(&text), &State::default(), Source::Files(&files)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "could not find object \"../etc/passwd\": no such file in the secrets directory"
        );
    }

    #[test]
    fn a_wrong_part_is_named_and_its_values_are_not_repeated() {
        let good = attributes(&[]);
        let tokens = attributes(&[(TOKENS_KEY, "\"hunter2\"")]);
        let no_objects = attributes(&[(OBJECTS_KEY, "")]);
        let bad_objects = attributes(&[(OBJECTS_KEY, "hunter2")]);
        let table = [
            (
                "empty attributes",
                MountCall { attributes: "", ..call(&good) },
                "could not parse attributes: expected a JSON object of strings or null, line 1 column 0",
            ),
            (
                "a number among the attributes",
                MountCall { attributes: r#"{"a":4242}"#, ..call(&good) },
                "could not parse attributes: expected a JSON object of strings or null, line 1 column 9",
            ),
            (
                "secrets as text",
                MountCall { secrets: "\"hunter2\"", ..call(&good) },
                "could not parse secrets: expected a JSON object or null, line 1 column 9",
            ),
            (
                "secrets that end early",
                MountCall { secrets: r#"{"a":"hunter2""#, ..call(&good) },
                "could not parse secrets: expected a JSON object or null, line 1 column 14",
            ),
            (
                "an octal permission",
                MountCall { permission: "0644", ..call(&good) },
                "could not parse permission: expected a JSON number, line 1 column 2",
            ),
            ("no target path", MountCall { target_path: "", ..call(&good) }, "target path is not set"),
            (
                "tokens as text",
                call(&tokens),
                "could not parse service account tokens: expected a JSON object, line 1 column 9",
            ),
            ("no objects", call(&no_objects), "service account tokens is not set"),
            ("no objects either", call("null"), "service account tokens is not set"),
        ];
        let checked = State { audiences: vec!["aud1".into()], ..State::default() };
        for (name, call, text) in table {
            assert_eq!(mount(&call, &checked, Source::Fixed).unwrap_err().to_string(), text, "{name}");
        }

        let error = mount(&call(&no_objects), &State::default(), Source::Fixed).unwrap_err();
        assert_eq!(error.to_string(), "objects is not set");
        let error = mount(&call(&bad_objects), &State::default(), Source::Fixed).unwrap_err();
        assert_eq!(error.to_string(), "could not read objects: line 1: expected `key: value`");
    }

    #[test]
    fn secrets_may_be_null_or_any_object() {
        let text = attributes(&[]);
        for secrets in ["null", "{}", r#"{"username":"u"}"#] {
            let call = MountCall { secrets, ..call(&text) };
            assert!(mount(&call, &State::default(), Source::Fixed).is_ok(), "{secrets}");
        }
    }

    #[test]
    fn nothing_printed_about_an_answer_shows_its_contents() {
        let answer = mount(&call(&attributes(&[])), &State::default(), Source::Fixed).unwrap();
        let printed = format!("{answer:?}");
        assert!(printed.contains("SecretBytes(6 bytes)") && !printed.contains("mock key"), "{printed}");
    }
}
