//! The service account's bearer token, as kubelet keeps it in a file.
//!
//! Kubelet replaces the file well before the token expires, so reading it at most once a minute is enough,
//! and a read that fails leaves the last good token in use. The token is checked before use: a line break in
//! it would end the header and begin one of the file's choosing. It never appears in an error.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use base::lock::{Mutex, MutexGuard};
use base::secret::SecretString;

/// A token file and the last good token from it.
pub struct TokenFile {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    token: SecretString,
    read_at: Instant,
    is_failing: bool,
}

/// The file holds no usable token.
#[derive(Debug)]
pub enum TokenError {
    /// It could not be read.
    Read {
        /// Why.
        cause: io::Error,
    },
    /// It is empty, or white space alone.
    Empty,
    /// It is longer than any token.
    TooLong,
    /// It holds a byte that may not stand in a header.
    Illegal,
}

impl TokenFile {
    /// Reads the token for the first time.
    ///
    /// # Errors
    /// Whatever is wrong with the file; there is no earlier token to fall back to.
    pub fn open(path: &Path, now: Instant) -> Result<TokenFile, TokenError> {
        let state = State { token: read(path)?, read_at: now, is_failing: false };
        Ok(TokenFile { path: path.to_owned(), state: Mutex::new(state) })
    }

    /// The token to send; the file is read again when the last reading is [`REREAD_AFTER`] old.
    pub fn current(&self, now: Instant) -> SecretString {
        {
            let mut state = self.state();
            if now.saturating_duration_since(state.read_at) < REREAD_AFTER {
                return state.token.clone();
            }
            // Set before the file is read, outside the lock: the other callers go on with the token at hand.
            state.read_at = now;
        }
        self.reread();
        self.state().token.clone()
    }

    /// Reads the file at once because the server refused `refused`; true when there is another token to try.
    pub fn replace(&self, refused: &SecretString, now: Instant) -> bool {
        self.state().read_at = now;
        self.reread();
        self.state().token != *refused
    }

    fn reread(&self) {
        match read(&self.path) {
            Ok(token) => {
                let mut state = self.state();
                state.token = token;
                if std::mem::take(&mut state.is_failing) {
                    log::info!(file:% = self.path.display(); "token file is readable again");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.state().is_failing, true) {
                    log::warn!(file:% = self.path.display(), error:% = error;
                        "token file cannot be read, the last good token stays in use");
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is a single assignment, so a panic elsewhere leaves the state whole.
        self.state.lock()
    }
}

/// The token as the file has it now.
pub(super) fn read(path: &Path) -> Result<SecretString, TokenError> {
    // Room for the largest token from the start: growing would leave copies behind that nothing overwrites.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST_TOKEN_BYTES + 2));
    #[expect(clippy::disallowed_methods, reason = "kubelet replaces the file under its path")]
    let file = File::open(path).map_err(|cause| TokenError::Read { cause })?;
    let one_too_many = u64::try_from(LARGEST_TOKEN_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    file.take(one_too_many).read_to_end(&mut bytes).map_err(|cause| TokenError::Read { cause })?;
    if bytes.len() > LARGEST_TOKEN_BYTES {
        return Err(TokenError::TooLong);
    }
    let token = bytes.trim_ascii();
    if token.is_empty() {
        return Err(TokenError::Empty);
    }
    match str::from_utf8(token) {
        Ok(token) if token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(SecretString::new(token.to_owned()))
        }
        _ => Err(TokenError::Illegal),
    }
}

/// Kubelet renews a token when a fifth of its life is left, at least some minutes: a minute is early enough.
const REREAD_AFTER: Duration = Duration::from_secs(60);
/// A service account's token is 1 to 2 KiB; servers refuse header lines beyond this size anyway.
pub const LARGEST_TOKEN_BYTES: usize = 16 * 1024;

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenError::Read { cause } => write!(f, "{cause}"),
            TokenError::Empty => write!(f, "it is empty"),
            TokenError::TooLong => write!(f, "it is longer than {LARGEST_TOKEN_BYTES} bytes"),
            TokenError::Illegal => write!(f, "it holds a byte that may not stand in a header"),
        }
    }
}

impl std::error::Error for TokenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            TokenError::Read { cause } => Some(cause),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn holding(name: &str, content: &[u8]) -> Scratch {
            let path = std::env::temp_dir().join(format!("token-{name}-{}", std::process::id()));
            fs::write(&path, content).unwrap();
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_file(&self.0).ok();
        }
    }

    #[test]
    fn the_token_is_read_again_after_a_minute_and_not_before() {
        let file = Scratch::holding("reread", b"one\n");
        let start = Instant::now();
        let tokens = TokenFile::open(&file.0, start).unwrap();
        fs::write(&file.0, "two").unwrap();
        assert_eq!(tokens.current(start + Duration::from_secs(59)).expose(), "one");
        assert_eq!(tokens.current(start + Duration::from_secs(60)).expose(), "two");
    }

    #[test]
    fn a_refused_token_is_replaced_at_once() {
        let file = Scratch::holding("refused", b"one");
        let start = Instant::now();
        let tokens = TokenFile::open(&file.0, start).unwrap();
        let refused = tokens.current(start);
        assert!(!tokens.replace(&refused, start), "the file still holds the refused token");
        fs::write(&file.0, "two").unwrap();
        assert!(tokens.replace(&refused, start));
        assert_eq!(tokens.current(start).expose(), "two");
    }

    #[test]
    fn the_last_good_token_survives_a_failure() {
        let file = Scratch::holding("survives", b"good");
        let start = Instant::now();
        let tokens = TokenFile::open(&file.0, start).unwrap();
        for (minutes, bad) in [(1, "".as_bytes()), (2, b"a\nb"), (3, b"\xff")] {
            fs::write(&file.0, bad).unwrap();
            assert_eq!(tokens.current(start + Duration::from_secs(60 * minutes)).expose(), "good");
            assert!(tokens.state().is_failing);
        }
        fs::remove_file(&file.0).unwrap();
        assert_eq!(tokens.current(start + Duration::from_secs(600)).expose(), "good");
        fs::write(&file.0, "better").unwrap();
        assert_eq!(tokens.current(start + Duration::from_secs(700)).expose(), "better");
        assert!(!tokens.state().is_failing);
    }

    #[test]
    fn an_unusable_first_token_is_an_error_that_does_not_show_it() {
        let table = [
            ("empty", b"".to_vec(), "it is empty"),
            ("blank", b" \n\t".to_vec(), "it is empty"),
            (
                "a second line",
                b"hunter2\nX-Evil: 1".to_vec(),
                "it holds a byte that may not stand in a header",
            ),
            ("not ascii", "hünter2".into(), "it holds a byte that may not stand in a header"),
            ("too long", vec![b'a'; LARGEST_TOKEN_BYTES + 1], "it is longer than 16384 bytes"),
        ];
        for (name, content, text) in table {
            let file = Scratch::holding("unusable", &content);
            let error = TokenFile::open(&file.0, Instant::now()).err().unwrap();
            assert_eq!(error.to_string(), text, "{name}");
        }
        assert!(TokenFile::open(Path::new("/nonexistent/token"), Instant::now()).is_err());
    }
}
