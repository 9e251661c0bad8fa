//! Base64 as secrets and continue tokens have it.

/// The standard alphabet, padded.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0_u32, |word, i| word << 8 | u32::from(chunk.get(i).copied().unwrap_or(0)));
        for place in 0..4 {
            let digit = (word >> (18 - 6 * place)) & 63;
            let letter = DIGITS[usize::try_from(digit).expect("six bits")];
            text.push(if place > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

/// The bytes, or the position at which Go's decoder finds the text illegal. Line ends are skipped.
pub fn decode(text: &str) -> Result<Vec<u8>, usize> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let mut letters = text.bytes().enumerate().filter(|(_, letter)| !matches!(letter, b'\r' | b'\n'));
    loop {
        let quantum: Vec<(usize, u8)> = letters.by_ref().take(4).collect();
        let Some((start, _)) = quantum.first().copied() else {
            return Ok(bytes);
        };
        let padding = quantum.iter().rev().take_while(|(_, letter)| *letter == b'=').count();
        let mut word = 0_u32;
        for (position, letter) in quantum.iter().take(quantum.len() - padding) {
            let digit = DIGITS.iter().position(|digit| digit == letter).ok_or(*position)?;
            word = word << 6 | u32::try_from(digit).expect("six bits");
        }
        if quantum.len() < 4 || padding > 2 {
            return Err(start);
        }
        word <<= 6 * padding;
        bytes.extend_from_slice(&word.to_be_bytes()[1..4 - padding]);
        if let Some((position, _)) = (padding > 0).then(|| letters.next()).flatten() {
            return Err(position);
        }
    }
}

/// As in a URL: another alphabet for two digits, and no padding.
pub fn encode_for_url(bytes: &[u8]) -> String {
    encode(bytes).trim_end_matches('=').replace('+', "-").replace('/', "_")
}

/// What [`encode_for_url`] made; an error is the position of what is illegal.
pub fn decode_from_url(text: &str) -> Result<Vec<u8>, usize> {
    let mut padded = text.replace('-', "+").replace('_', "/");
    while !padded.len().is_multiple_of(4) {
        padded.push('=');
    }
    decode(&padded)
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
