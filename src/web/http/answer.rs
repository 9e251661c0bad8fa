//! An answer as bytes, one for all who get it.

use super::{Method, Response};

/// Head and body in one piece.
pub(super) struct Answer {
    bytes: Vec<u8>,
    head: usize,
}

impl Answer {
    /// What a request of this method gets.
    pub(super) fn to(&self, method: Method) -> &[u8] {
        match method {
            Method::Get => &self.bytes,
            Method::Head => self.bytes.get(..self.head).unwrap_or_default(),
        }
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Answer {
        let mut bytes = response.head().into_bytes();
        let head = bytes.len();
        bytes.extend_from_slice(response.body());
        Answer { bytes, head }
    }
}
