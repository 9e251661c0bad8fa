//! What a provider answers, from the wire to a payload: taken when every path is clean and no path is both a file and
//! a directory, refused in words that hold nothing of it otherwise.

use std::collections::{BTreeMap, HashMap};

use crate::message::decoded;
use base::secret::SecretBytes;
use protobuf::Message;
use provider::answer::MountResponse;
use rpc::pb::provider as pb;
use volume::payload::{File, FileMode, Payload};

use crate::paths::is_file_path;
use crate::text::{assert_is_harmless, assert_is_without};

pub fn check(bytes: &[u8]) {
    // The generated code and our own reader agree on what is an answer, and on what it says.
    let (message, answer) = (decoded::<pb::MountResponse>(bytes), answer(bytes));
    assert_eq!(message.is_some(), answer.is_some());
    let (Some(message), Some(answer)) = (message, answer) else { return };
    is_read_as_it_is_written(&message);
    nothing_is_lost(&message, &answer);
    assert_eq!(answer.encoded_bytes, u64::try_from(bytes.len()).unwrap());
    let sent: Vec<_> =
        message.files.iter().map(|file| (file.path.clone(), file.mode, file.contents.clone())).collect();
    payload(sent);
}

fn answer(mut bytes: &[u8]) -> Option<MountResponse> {
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    MountResponse::decode(&mut bytes, size).ok()
}

/// Fields that this driver does not know included.
fn is_read_as_it_is_written(message: &pb::MountResponse) {
    let written = message.write_to_bytes().unwrap();
    let again = decoded::<pb::MountResponse>(&written).unwrap();
    assert!(again == *message, "a message changes when it is written");
}

fn nothing_is_lost(message: &pb::MountResponse, answer: &MountResponse) {
    let sent = message.object_version.iter().map(|object| (object.id.as_str(), object.version.as_str()));
    // Of two with one id the last stays.
    let last: HashMap<&str, &str> = sent.collect();
    assert_eq!(answer.objects.len(), last.len());
    assert!(
        answer.objects.is_sorted_by(|one, next| one.id < next.id),
        "each object once, in the order of ids"
    );
    for object in &answer.objects {
        assert_eq!(last.get(object.id.as_str()), Some(&object.version.as_str()));
    }
    assert_eq!(answer.error_code, message.error.as_ref().map(|error| error.code.clone()).unwrap_or_default());
    assert_eq!(answer.files.len(), message.files.len());
    for ((path, mode, contents), file) in answer.files.iter().zip(&message.files) {
        assert_eq!((path, *mode, contents.expose()), (&file.path, file.mode, file.contents.as_slice()));
    }
}

/// A file as it is described: path, mode, content.
pub type Described = (String, i32, Vec<u8>);

/// What a payload must be made of; `None` when there must be none.
pub fn expected(files: &[Described]) -> Option<BTreeMap<String, (u32, Vec<u8>)>> {
    let mut tree = BTreeMap::new();
    for (path, mode, contents) in files {
        if !is_file_path(path) {
            return None;
        }
        let bits = if *mode == 0 { 0o644 } else { mode.cast_unsigned() & 0o777 };
        tree.insert(path.clone(), (bits, contents.clone()));
    }
    let is_below =
        |path: &String, file: &String| path.strip_prefix(file).is_some_and(|rest| rest.starts_with('/'));
    let clash = tree.keys().any(|file| tree.keys().any(|path| is_below(path, file)));
    (!clash).then_some(tree)
}

/// Makes the payload and compares it with what it must be.
pub fn payload(files: Vec<Described>) -> Option<Payload> {
    let expected = expected(&files);
    let made = Payload::new(files.iter().map(|(path, mode, contents)| {
        let contents = SecretBytes::new(contents.clone());
        (path.clone(), File { mode: FileMode::from_provider(*mode), contents })
    }));
    let payload = match made {
        Ok(payload) => payload,
        Err(error) => {
            assert!(expected.is_none(), "a payload is refused: {error}");
            let text = error.to_string();
            assert_is_harmless(&text, 128 * 10 + 100);
            let paths: Vec<_> = files.iter().map(|(path, ..)| path.as_str()).collect();
            files.iter().for_each(|(.., contents)| assert_is_without(&text, contents, &paths));
            return None;
        }
    };
    let expected = expected.unwrap_or_else(|| panic!("a payload is taken that is none"));
    let made = payload
        .files()
        .map(|(path, file)| (path.as_str().to_owned(), (file.mode.bits(), file.contents.expose().to_vec())));
    assert_eq!(made.collect::<BTreeMap<_, _>>(), expected);
    assert_eq!(payload.is_empty(), expected.is_empty());
    assert_eq!(payload.content_bytes(), expected.values().map(|(_, contents)| contents.len()).sum::<usize>());
    let shown = format!("{payload:?}");
    let paths: Vec<_> = expected.keys().map(String::as_str).collect();
    expected.values().for_each(|(_, contents)| assert_is_without(&shown, contents, &paths));
    Some(payload)
}
