//! What a provider answers, from the wire on.
//!
//! It is read field by field rather than by the generated code. That keeps every field that it does not know, and makes
//! a value of a hundred bytes and more of each entry, two bytes of which are enough on the wire: an answer within the
//! limit of size could become as much memory as the whole container may have. Here the entries are counted, and what
//! is unknown is passed over.

use std::collections::BTreeMap;
use std::fmt;
use std::io::BufRead;

use protobuf::CodedInputStream;
use protobuf::rt::{WireType, skip_field_for_tag};

use base::secret::SecretBytes;

/// What a provider answered, before its files are checked.
pub struct MountResponse {
    /// What the volume holds now: each id once, in the order of ids. Providers answer in an order of chance, and name
    /// an object twice that is mounted under two paths; the last of these counts.
    pub objects: Vec<ObjectVersion>,
    /// The provider's own error code; empty when it has none.
    pub error_code: String,
    /// Path, mode and contents of each file; none when the provider wrote them itself.
    pub files: Vec<(String, i32, SecretBytes)>,
    /// Size of the answer on the wire, in bytes.
    pub encoded_bytes: u64,
}

/// An object and its version, both as the provider names them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectVersion {
    /// Identifies the object within the volume.
    pub id: String,
    /// Opaque.
    pub version: String,
}

/// Why an answer could not be read. It holds nothing of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerError {
    /// It is no message of this type.
    Malformed,
    /// It has more objects and files than any volume could hold.
    TooManyEntries,
}

impl MountResponse {
    /// Reads an answer of `encoded_bytes` bytes.
    pub fn decode(from: &mut impl BufRead, encoded_bytes: u64) -> Result<MountResponse, AnswerError> {
        let mut input = CodedInputStream::from_buf_read(from);
        let mut versions = BTreeMap::new();
        let mut error_code = String::new();
        let mut files = Vec::new();
        let mut entries = 0;
        fields(&mut input, &mut |tag, input| {
            match tag {
                OBJECT_VERSION | FILE if entries == MOST_ENTRIES => return Err(AnswerError::TooManyEntries),
                OBJECT_VERSION => {
                    entries += 1;
                    let (id, version) = object_version(input)?;
                    versions.insert(id, version);
                }
                // Of several, the last one.
                ERROR => error_code = error(input)?,
                FILE => {
                    entries += 1;
                    files.push(file(input)?);
                }
                other => skip(other, input)?,
            }
            Ok(())
        })?;
        let objects = versions.into_iter().map(|(id, version)| ObjectVersion { id, version }).collect();
        Ok(MountResponse { objects, error_code, files, encoded_bytes })
    }
}

fn error(input: &mut CodedInputStream<'_>) -> Result<String, AnswerError> {
    let mut code = String::new();
    message(input, &mut |tag, input| match tag {
        ERROR_CODE => set(&mut code, input.read_string()),
        other => skip(other, input),
    })?;
    Ok(code)
}

fn object_version(input: &mut CodedInputStream<'_>) -> Result<(String, String), AnswerError> {
    let (mut id, mut version) = (String::new(), String::new());
    message(input, &mut |tag, input| match tag {
        OBJECT_ID => set(&mut id, input.read_string()),
        OBJECT_VERSION_TEXT => set(&mut version, input.read_string()),
        other => skip(other, input),
    })?;
    Ok((id, version))
}

fn file(input: &mut CodedInputStream<'_>) -> Result<(String, i32, SecretBytes), AnswerError> {
    let (mut path, mut mode, mut contents) = (String::new(), 0, SecretBytes::default());
    message(input, &mut |tag, input| match tag {
        FILE_PATH => set(&mut path, input.read_string()),
        FILE_MODE => set(&mut mode, input.read_int32()),
        FILE_CONTENTS => set(&mut contents, input.read_bytes().map(SecretBytes::new)),
        other => skip(other, input),
    })?;
    Ok((path, mode, contents))
}

type OnField<'a> = &'a mut dyn FnMut(u32, &mut CodedInputStream<'_>) -> Result<(), AnswerError>;

/// Each field of what is left of the input.
fn fields(input: &mut CodedInputStream<'_>, on_field: OnField<'_>) -> Result<(), AnswerError> {
    while let Some(tag) = input.read_raw_tag_or_eof().map_err(malformed)? {
        on_field(tag, input)?;
    }
    Ok(())
}

/// Each field of a message within the message.
fn message(input: &mut CodedInputStream<'_>, on_field: OnField<'_>) -> Result<(), AnswerError> {
    let length = input.read_raw_varint64().map_err(malformed)?;
    let outer = input.push_limit(length).map_err(malformed)?;
    fields(input, on_field)?;
    input.pop_limit(outer);
    Ok(())
}

fn set<T>(field: &mut T, read: protobuf::Result<T>) -> Result<(), AnswerError> {
    *field = read.map_err(malformed)?;
    Ok(())
}

/// Passes over a field that is not known.
fn skip(tag: u32, input: &mut CodedInputStream<'_>) -> Result<(), AnswerError> {
    if wire_type(tag)? != WireType::StartGroup as u32 {
        return skip_field_for_tag(tag, input).map_err(malformed);
    }
    loop {
        let inner = input.read_raw_tag_or_eof().map_err(malformed)?.ok_or(AnswerError::Malformed)?;
        if wire_type(inner)? == WireType::EndGroup as u32 {
            return Ok(());
        }
        skip_field_for_tag(inner, input).map_err(malformed)?;
    }
}

/// There is no field of the number 0.
fn wire_type(tag: u32) -> Result<u32, AnswerError> {
    if tag >> 3 == 0 { Err(AnswerError::Malformed) } else { Ok(tag & 7) }
}

/// The decoder's own text may quote the bytes over which it stumbled.
fn malformed(_: protobuf::Error) -> AnswerError {
    AnswerError::Malformed
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnswerError::Malformed => f.write_str("the answer is not a valid protocol buffer message"),
            AnswerError::TooManyEntries => {
                write!(
                    f,
                    "the answer has more than {MOST_ENTRIES} objects and files: mount fewer in one volume"
                )
            }
        }
    }
}

impl std::error::Error for AnswerError {}

/// Some 100 bytes of memory each. No volume of the shipped limits holds as many files.
pub const MOST_ENTRIES: usize = 65_536;

// Numbers and types of the fields, as proto/ has them.
const OBJECT_VERSION: u32 = 1 << 3 | WireType::LengthDelimited as u32;
const ERROR: u32 = 2 << 3 | WireType::LengthDelimited as u32;
const FILE: u32 = 3 << 3 | WireType::LengthDelimited as u32;
const OBJECT_ID: u32 = 1 << 3 | WireType::LengthDelimited as u32;
const OBJECT_VERSION_TEXT: u32 = 2 << 3 | WireType::LengthDelimited as u32;
const ERROR_CODE: u32 = 1 << 3 | WireType::LengthDelimited as u32;
const FILE_PATH: u32 = 1 << 3 | WireType::LengthDelimited as u32;
const FILE_MODE: u32 = 2 << 3 | WireType::Varint as u32;
const FILE_CONTENTS: u32 = 3 << 3 | WireType::LengthDelimited as u32;

#[cfg(test)]
mod tests {
    use protobuf::Message;

    use rpc::pb::provider as pb;

    use super::*;

    fn decode(bytes: &[u8]) -> Result<MountResponse, AnswerError> {
        MountResponse::decode(&mut &*bytes, u64::try_from(bytes.len()).unwrap())
    }

    fn written(fill: impl FnOnce(&mut pb::MountResponse)) -> Vec<u8> {
        let mut message = pb::MountResponse::default();
        fill(&mut message);
        message.write_to_bytes().unwrap()
    }

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        let bytes = written(|message| {
            for (id, version) in [("b", "1"), ("a", "1"), ("b", "2")] {
                let (id, version) = (id.to_owned(), version.to_owned());
                message.object_version.push(pb::ObjectVersion { id, version, ..Default::default() });
            }
            message.error.mut_or_insert_default().code = "NoSuchKey".to_owned();
            let contents = b"hunter2".to_vec();
            message.files.push(pb::File { path: "a/b".into(), mode: -1, contents, ..Default::default() });
        });
        let read = decode(&bytes).unwrap();
        let object =
            |id: &str, version: &str| ObjectVersion { id: id.to_owned(), version: version.to_owned() };
        assert_eq!(read.objects, [object("a", "1"), object("b", "2")]);
        assert_eq!(read.error_code, "NoSuchKey");
        let files: Vec<_> =
            read.files.iter().map(|(path, mode, bytes)| (path.as_str(), *mode, bytes.expose())).collect();
        assert_eq!(files, [("a/b", -1, &b"hunter2"[..])]);
        assert_eq!(read.encoded_bytes, u64::try_from(bytes.len()).unwrap());
    }

    #[test]
    fn fields_that_are_not_known_and_known_ones_of_another_type_are_passed_over() {
        let known = written(|message| message.object_version.push(pb::ObjectVersion::default()));
        // Field 9: a number, bytes, four and eight bytes, a group with a group in it; then field 1 as a number.
        let unknown: [&[u8]; 6] = [
            &[0x48, 1],
            &[0x4a, 1, 0],
            &[0x4d, 0, 0, 0, 0],
            &[0x49, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0x4b, 0x08, 1, 0x53, 0x54, 0x4c],
            &[0x08, 1],
        ];
        for fields in unknown {
            let read = decode(&[fields, &known].concat()).unwrap();
            assert_eq!((read.objects.len(), read.files.len()), (1, 0), "{fields:?}");
        }
        for broken in
            [&[0x4b, 0x08, 1][..], &[0x4b, 4], &[3, 0x4c], &[0x4c], &[0x0a, 5, 1], &[0x1a, 2, 0x0a, 9]]
        {
            assert_eq!(decode(broken).err(), Some(AnswerError::Malformed), "{broken:?}");
        }
    }

    #[test]
    fn so_many_entries_are_read_and_no_more() {
        for entry in [[0x0a, 0], [0x1a, 0]] {
            assert!(decode(&entry.repeat(MOST_ENTRIES)).is_ok());
            assert_eq!(decode(&entry.repeat(MOST_ENTRIES + 1)).err(), Some(AnswerError::TooManyEntries));
        }
    }
}
