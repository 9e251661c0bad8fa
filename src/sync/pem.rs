//! PEM: the text form of certificates and keys.
//!
//! A file may be megabytes of text that somebody hostile chose: it is read in one pass, line by line, and a block is
//! decoded only when it is asked for. What may be a key is in no buffer that is not overwritten when dropped, and in
//! none that grows, which would leave copies behind. Knows nothing of what the blocks hold.

use std::collections::BTreeMap;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// One block of a PEM text, not yet decoded.
///
/// It has no `Debug`: it may be a key.
pub struct Block<'a> {
    label: &'a [u8],
    /// What is between the lines that begin and end it; none when no line ends it.
    inside: Option<&'a [u8]>,
}

/// The header lines of a block by name; of two with one name the last one counts.
pub type Headers<'a> = BTreeMap<&'a [u8], &'a [u8]>;

/// The blocks of a text in order, whatever is around them. One that does not end, before the text does or another
/// one begins, is there too: it cannot be decoded.
pub fn blocks(text: &[u8]) -> impl Iterator<Item = Block<'_>> {
    let mut lines = Lines { rest: text };
    std::iter::from_fn(move || {
        let label = lines.find_map(|line| label(line, BEGIN))?;
        let start = lines.rest;
        loop {
            let before = lines.rest;
            let Some(line) = lines.next() else {
                return Some(Block { label, inside: None });
            };
            if self::label(line, BEGIN).is_some() {
                lines.rest = before;
                return Some(Block { label, inside: None });
            }
            if let Some(end) = self::label(line, END) {
                let inside = start.get(..start.len().saturating_sub(before.len()));
                return Some(Block { label, inside: inside.filter(|_| end == label) });
            }
        }
    })
}

impl<'a> Block<'a> {
    /// What the block says it is, such as `CERTIFICATE`.
    pub fn label(&self) -> &'a [u8] {
        self.label
    }

    /// The block's header lines; a block without a single one is the rule.
    pub fn headers(&self) -> Headers<'a> {
        self.parts().0
    }

    /// The bytes that the block stands for; `None` when it does not end, is not base64, or stands for none.
    pub fn decode(&self) -> Option<Zeroizing<Vec<u8>>> {
        self.inside?;
        let (_, base64) = self.parts();
        let mut text = Zeroizing::new(Vec::with_capacity(base64.len()));
        text.extend(base64.iter().filter(|byte| !byte.is_ascii_whitespace()));
        let mut bytes = Zeroizing::new(vec![0_u8; base64::decoded_len_estimate(text.len())]);
        let length = BASE64.decode_slice(&*text, &mut bytes).ok()?;
        bytes.truncate(length);
        (length > 0).then_some(bytes)
    }

    /// The headers, and the base64 below them.
    fn parts(&self) -> (Headers<'a>, &'a [u8]) {
        let mut headers = Headers::new();
        let mut lines = Lines { rest: self.inside.unwrap_or_default() };
        loop {
            let base64 = lines.rest;
            match lines.next().and_then(header) {
                Some((name, value)) => drop(headers.insert(name, value)),
                None => return (headers, base64),
            }
        }
    }
}

/// The text of one block, in lines of 64 characters.
pub fn encode(label: &str, headers: &Headers<'_>, bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let estimate = base64::encoded_len(bytes.len(), true).unwrap_or_default();
    let mut base64 = Zeroizing::new(vec![0_u8; estimate]);
    let length = BASE64.encode_slice(bytes, &mut base64).unwrap_or_default();
    debug_assert_eq!(length, estimate, "the buffer is as large as the text");

    let label = label.as_bytes();
    // Whoever looks for this one looks at the first line.
    let (first, others): (Vec<_>, Vec<_>) = headers.iter().partition(|(name, _)| **name == PROC_TYPE);
    let mut parts: Vec<&[u8]> = vec![BEGIN, label, DASHES, b"\n"];
    for (name, value) in first.into_iter().chain(others) {
        parts.extend([*name, b": ", *value, b"\n"]);
    }
    if !headers.is_empty() {
        parts.push(b"\n");
    }
    for line in base64.chunks(LINE_BYTES) {
        parts.extend([line, b"\n"]);
    }
    parts.extend([END, label, DASHES, b"\n"]);
    concat(&parts)
}

/// All parts in one buffer that is allocated once.
pub fn concat(parts: &[impl AsRef<[u8]>]) -> Zeroizing<Vec<u8>> {
    let length = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.as_ref().len()));
    let mut whole = Zeroizing::new(Vec::with_capacity(length));
    for part in parts {
        whole.extend_from_slice(part.as_ref());
    }
    whole
}

/// The lines of a text, without what ends them.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|byte| *byte == b'\n').unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.get(1..).unwrap_or_default();
        Some(line.trim_ascii_end())
    }
}

/// The label of a line that begins or ends a block.
fn label<'a>(line: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    line.strip_prefix(mark)?.strip_suffix(DASHES)
}

/// The name and the value of a header line. One that begins with dashes is none: written at the beginning of a line, as
/// all are, it could end its block, or begin another one.
fn header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at_checked(colon)?;
    let name = name.trim_ascii();
    (!name.starts_with(DASHES)).then(|| (name, value.get(1..).unwrap_or_default().trim_ascii()))
}

/// The name of the header that says whether a block is encrypted.
pub const PROC_TYPE: &[u8] = b"Proc-Type";
const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";
/// Characters of base64 in a line, as every tool writes them.
const LINE_BYTES: usize = 64;
/// Takes bits that are left over at the end, as Go and OpenSSL do.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

#[cfg(test)]
mod tests {
    use super::*;

    /// Labels and contents.
    fn read(text: &str) -> Vec<(String, Option<String>)> {
        let text_of = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        blocks(text.as_bytes())
            .map(|block| (text_of(block.label()), block.decode().map(|bytes| text_of(&bytes))))
            .collect()
    }

    #[test]
    fn a_block_is_read_and_what_cannot_be_one_is_told_from_it() {
        const WHOLE: Option<&str> = Some("hello");
        type Row = (&'static str, &'static str, &'static [(&'static str, Option<&'static str>)]);
        let table: &[Row] = &[
            ("empty", "", &[]),
            ("no block", "-----BEGIN\n-----END A-----\nBEGIN A\n", &[]),
            ("one", "-----BEGIN A-----\naGVsbG8=\n-----END A-----\n", &[("A", WHOLE)]),
            ("no last line end", "-----BEGIN A-----\naGVsbG8=\n-----END A-----", &[("A", WHOLE)]),
            ("CRLF", "x\r\n-----BEGIN A-----\r\naGVs\r\nbG8=\r\n-----END A-----\r\n", &[("A", WHOLE)]),
            ("space", "-----BEGIN A----- \t\n aGV sbG8=\t\n\n-----END A-----  \n", &[("A", WHOLE)]),
            ("headers", "-----BEGIN A-----\nB: c\nD:\n\naGVsbG8=\n-----END A-----\n", &[("A", WHOLE)]),
            ("bits left over", "-----BEGIN A-----\naGVsbG9=\n-----END A-----\n", &[("A", WHOLE)]),
            ("begins within a line", " -----BEGIN A-----\naGVsbG8=\n-----END A-----\n", &[]),
            ("ends within a line", "-----BEGIN A-----\naGVsbG8=-----END A-----\n", &[("A", None)]),
            ("another end", "-----BEGIN A-----\naGVsbG8=\n-----END B-----\n", &[("A", None)]),
            ("no end", "-----BEGIN A-----\naGVsbG8=\n", &[("A", None)]),
            ("nothing inside", "-----BEGIN A-----\n-----END A-----\n", &[("A", None)]),
            ("no padding", "-----BEGIN A-----\naGVsbG8\n-----END A-----\n", &[("A", None)]),
            ("no base64", "-----BEGIN A-----\naGVs_G8=\n-----END A-----\n", &[("A", None)]),
            (
                "a header that would end it",
                "-----BEGIN A-----\n -----END A: -----\n\naGVsbG8=\n-----END A-----\n",
                &[("A", None)],
            ),
            ("a late header", "-----BEGIN A-----\naGVs\nB: c\nbG8=\n-----END A-----\n", &[("A", None)]),
            (
                "the next begins before the end",
                "-----BEGIN A-----\naGVs\n-----BEGIN B-----\naGVsbG8=\n-----END B-----\n",
                &[("A", None), ("B", WHOLE)],
            ),
            (
                "one after another, with text around",
                "x\n-----BEGIN A-----\naGVsbG8=\n-----END A-----\ny: z\n-----BEGIN A-----\n!\n-----END A-----\n",
                &[("A", WHOLE), ("A", None)],
            ),
        ];
        for (name, text, blocks) in table {
            let expected: Vec<_> =
                blocks.iter().map(|(label, text)| ((*label).to_owned(), text.map(str::to_owned))).collect();
            assert_eq!(read(text), expected, "{name}");
        }
    }

    #[test]
    fn a_block_is_written_as_it_is_read() {
        let headers = Headers::from([(&b"B"[..], &b"2: 3"[..]), (b"A", b""), (PROC_TYPE, b"1")]);
        let bytes: Vec<u8> = (0..100).collect();
        let text = encode("X Y", &headers, &bytes);
        assert_eq!(text.capacity(), text.len(), "the buffer has never grown");
        let lines: Vec<_> = str::from_utf8(&text).unwrap().lines().collect();
        assert_eq!(lines[..5], ["-----BEGIN X Y-----", "Proc-Type: 1", "A: ", "B: 2: 3", ""]);
        assert_eq!(lines[5..8].iter().map(|line| line.len()).collect::<Vec<_>>(), [64, 64, 8]);
        assert_eq!(lines[8..], ["-----END X Y-----"]);
        let again = blocks(&text).next().unwrap();
        assert_eq!((again.headers(), again.decode().unwrap().to_vec()), (headers, bytes));
    }

    #[test]
    fn lines_are_full_to_the_last_byte() {
        for (bytes, lines) in [(47, 3), (48, 3), (49, 4), (96, 4)] {
            let text = encode("X", &Headers::new(), &vec![7; bytes]);
            assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), lines, "{bytes}");
        }
    }
}
