//! The parameters of a class: held where they are of a usual size, and else counted.

use std::fmt;

use serde::de::MapAccess;

use super::text_map::{TextMap, TextMapBuilder};
use super::tolerant::{ByShape, Shaped, Shapes};
use base::text::json_len;

/// What a class tells its provider.
#[derive(Clone, PartialEq, Eq)]
pub enum Parameters {
    /// All of them.
    Held(TextMap),
    /// More than are held of a class; whoever needs them reads the whole class.
    TooLarge {
        /// How many they are.
        count: usize,
        /// How many bytes they take as JSON.
        bytes: usize,
    },
}

impl Parameters {
    /// How many they are.
    pub fn count(&self) -> usize {
        match self {
            Parameters::Held(texts) => texts.len(),
            Parameters::TooLarge { count, .. } => *count,
        }
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }
}

impl Default for Parameters {
    fn default() -> Parameters {
        Parameters::Held(TextMap::default())
    }
}

impl fmt::Debug for Parameters {
    /// Names alone: what a provider is told is not for the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Parameters::Held(texts) => f.debug_list().entries(texts.keys()).finish(),
            Parameters::TooLarge { count, bytes } => write!(f, "{count} of {bytes} bytes"),
        }
    }
}

/// Reads parameters up to these limits.
#[derive(Clone, Copy)]
pub(super) struct ParametersReader {
    most: usize,
    largest_bytes: usize,
}

/// What was read, or the first key whose value is no text.
pub(super) type ReadParameters = Shaped<Result<Parameters, String>>;

impl ParametersReader {
    /// As many as are held of a class in use.
    pub(super) const HELD: ParametersReader =
        ParametersReader { most: MOST_PARAMETERS, largest_bytes: LARGEST_PARAMETERS_BYTES };
    /// As many as the API server stores.
    pub(super) const ALL: ParametersReader =
        ParametersReader { most: usize::MAX, largest_bytes: LARGEST_ALL_BYTES };
}

impl<'de> Shapes<'de> for ParametersReader {
    type Value = ReadParameters;

    fn wrong(self) -> ReadParameters {
        Shaped::Wrong
    }

    fn null(self) -> ReadParameters {
        Shaped::Is(Ok(Parameters::default()))
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<ReadParameters, A::Error> {
        let (mut texts, mut count, mut bytes) = (Some(TextMapBuilder::default()), 0_usize, 0_usize);
        let mut wrong: Option<String> = None;
        while let Some(key) = object.next_key::<String>()? {
            let shaped = object.next_value_seed(ByShape(Value { key: &key, texts: &mut texts }))?;
            count += 1;
            match shaped {
                Some(value_bytes) => {
                    bytes = bytes.saturating_add(json_len(&key) + value_bytes + PUNCTUATION_BYTES)
                }
                None if wrong.as_ref().is_none_or(|wrong| key < *wrong) => wrong = Some(key),
                None => {}
            }
            if count > self.most || bytes > self.largest_bytes {
                texts = None;
            }
        }
        Ok(Shaped::Is(match (wrong, texts) {
            (Some(key), _) => Err(key),
            (None, Some(texts)) => Ok(Parameters::Held(texts.build())),
            (None, None) => Ok(Parameters::TooLarge { count, bytes }),
        }))
    }
}

/// The value of a key, which goes straight to where it is kept: the bytes that it takes, if it is a text.
struct Value<'a> {
    key: &'a str,
    texts: &'a mut Option<TextMapBuilder>,
}

impl Shapes<'_> for Value<'_> {
    type Value = Option<usize>;

    fn wrong(self) -> Option<usize> {
        None
    }

    fn null(self) -> Option<usize> {
        self.text("")
    }

    fn text(self, text: &str) -> Option<usize> {
        if let Some(texts) = self.texts
            && !texts.add(self.key, text)
        {
            *self.texts = None;
        }
        Some(json_len(text))
    }
}

/// Parameters that are held of one class.
pub const MOST_PARAMETERS: usize = 1024;
/// What they may take as JSON, which is how a provider gets them. A call holds them three times over, and all pods of a
/// node may be mounted at once.
pub const LARGEST_PARAMETERS_BYTES: usize = 128 * 1024;
/// What parameters may take at all; etcd stores no object of that size.
pub const LARGEST_ALL_BYTES: usize = 4 * 1024 * 1024;
/// Four quotation marks, a colon and a comma.
const PUNCTUATION_BYTES: usize = 6;
