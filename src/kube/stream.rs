//! JSON documents, read as they come: what nobody asks for is skipped, so that it takes no memory however large it is.
//!
//! The size of an object is its author's choice within what the API server stores, and the size of an answer is that of
//! its largest objects together: what is kept of them is for the types to bound that are read.

use std::io::{self, BufRead, BufReader, Read};

use serde::de::DeserializeSeed;
use serde_json::error::Category;

use super::error::{TransportError, json_problem};
use super::transport::io_transport_error;

/// An answer of the API server, one document or many.
pub struct Stream(BufReader<Box<dyn Read + Send>>);

/// Why a document could not be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread {
    /// The stream ended within it: the place.
    CutOff(String),
    /// It is not what it should be: the place, never a value.
    Shape(String),
    /// It did not come.
    Transport(TransportError),
}

impl Stream {
    /// Documents from these bytes.
    pub(super) fn new(bytes: impl Read + Send + 'static) -> Stream {
        Stream(BufReader::new(Box::new(bytes)))
    }

    /// The next document; none when the stream has ended.
    ///
    /// # Errors
    /// [`Unread`]; the stream is of no use after that.
    pub fn next<'de, S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Unread> {
        if self.is_at_end()? {
            return Ok(None);
        }
        let mut document = Document { bytes: &mut self.0, left: LARGEST_DOCUMENT_BYTES };
        let read = seed.deserialize(&mut serde_json::Deserializer::from_reader(&mut document));
        let is_too_large = document.left == 0;
        read.map(Some).map_err(|error| match error.classify() {
            _ if is_too_large => {
                Unread::Transport(TransportError::TooLarge { limit: LARGEST_DOCUMENT_BYTES })
            }
            Category::Eof => Unread::CutOff(json_problem(&error)),
            Category::Io => Unread::Transport(io_transport_error(&io::Error::from(error))),
            Category::Data | Category::Syntax => Unread::Shape(json_problem(&error)),
        })
    }

    /// The one document that there is.
    ///
    /// # Errors
    /// [`Unread`].
    pub fn only<'de, S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<S::Value, Unread> {
        let document =
            self.next(seed)?.ok_or_else(|| Unread::CutOff("it ends early, before it began".to_owned()))?;
        // The end is read as well: only then can the connection be used again.
        if self.is_at_end()? {
            Ok(document)
        } else {
            Err(Unread::Shape("something follows its end".to_owned()))
        }
    }

    /// True when nothing but space is left.
    fn is_at_end(&mut self) -> Result<bool, Unread> {
        loop {
            let bytes = self.0.fill_buf().map_err(|cause| Unread::Transport(io_transport_error(&cause)))?;
            let space = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            if bytes.is_empty() || space < bytes.len() {
                let is_empty = bytes.is_empty();
                self.0.consume(space);
                return Ok(is_empty);
            }
            self.0.consume(space);
        }
    }
}

/// The bytes of one document, up to the largest.
struct Document<'a> {
    bytes: &'a mut BufReader<Box<dyn Read + Send>>,
    left: u64,
}

impl Read for Document<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other("the document is too large"));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        let read = self.bytes.read(into.get_mut(..most).unwrap_or_default())?;
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}

/// The largest document that is read. etcd keeps objects of 1.5 MiB unless it is told otherwise; six times that is an
/// object whose every byte JSON escapes, and a page of a list has some of the largest.
pub const LARGEST_DOCUMENT_BYTES: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::marker::PhantomData;

    use super::*;

    type Numbers = PhantomData<BTreeMap<String, u32>>;

    fn stream(text: &'static str) -> Stream {
        Stream::new(text.as_bytes())
    }

    fn number(of: u32) -> BTreeMap<String, u32> {
        BTreeMap::from([("a".to_owned(), of)])
    }

    #[test]
    fn documents_come_one_by_one_and_then_the_end() {
        let mut stream = stream("{\"a\":1}\n\n {\"a\":2}{\"a\":3}\n");
        for expected in [1, 2, 3] {
            assert_eq!(stream.next(Numbers::default()), Ok(Some(number(expected))));
        }
        assert_eq!(stream.next(Numbers::default()), Ok(None));
    }

    #[test]
    fn the_only_document_is_the_whole_of_the_stream() {
        assert_eq!(stream(" {\"a\":1}\n").only(Numbers::default()), Ok(number(1)));
        let two = stream("{\"a\":1}\n{\"a\":2}").only(Numbers::default());
        assert_eq!(two, Err(Unread::Shape("something follows its end".to_owned())));
        assert!(matches!(stream(" ").only(Numbers::default()), Err(Unread::CutOff(_))));
    }

    #[test]
    fn what_cannot_be_read_is_told_by_its_place() {
        let cut_off = Unread::CutOff("it ends early (line 1, column 5)".to_owned());
        assert_eq!(stream("{\"a\":").next(Numbers::default()), Err(cut_off));
        let wrong = stream("{\"a\":\"hunter2\"}").next(Numbers::default());
        let Err(Unread::Shape(problem)) = wrong else { panic!("{wrong:?}") };
        assert!(problem.starts_with("a field has the wrong type (line 1, column "), "{problem}");
    }

    #[test]
    fn a_document_has_an_end() {
        // Far more than is read, and not without an end, so that this test has one where the limit is gone.
        let key = io::repeat(b'x').take(2 * LARGEST_DOCUMENT_BYTES);
        let long = Stream::new(io::repeat(b' ').take(9).chain("{\"b".as_bytes()).chain(key));
        let problem = { long }.next(PhantomData::<serde::de::IgnoredAny>).unwrap_err();
        assert_eq!(problem, Unread::Transport(TransportError::TooLarge { limit: LARGEST_DOCUMENT_BYTES }));
    }

    #[test]
    fn a_connection_that_breaks_is_told_from_an_answer_that_is_wrong() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
        for begun in ["", "{\"a\""] {
            let problem = Stream::new(begun.as_bytes().chain(Broken)).next(Numbers::default()).unwrap_err();
            assert!(
                matches!(problem, Unread::Transport(TransportError::Lost { .. })),
                "{begun:?}: {problem:?}"
            );
        }
    }
}
