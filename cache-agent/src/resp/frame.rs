//! Commands as bytes: arrays of bulk strings, or a line of words.
//!
//! No kept parser fits: those that are read whole replies of any kind and trust the lengths
//! in them. Here nothing is set aside before its bytes have come.

use bytes::{Buf, Bytes, BytesMut};

/// The most words of one command: a thousand keys, and what goes with them.
pub const WORDS_MAX: usize = 2_048;
/// The most bytes of one command, as of a message over gRPC.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The longest line, in bytes: of lengths, and of commands that are one line.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Why the connection cannot go on: nobody knows where the next command begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A length that is no number, or none that a command may have.
    #[error("invalid length")]
    Length,
    /// Too many words.
    #[error("too many words in one command")]
    Words,
    /// Too many bytes.
    #[error("a command of too many bytes")]
    Bytes,
    /// Something else than a bulk string.
    #[error("expected a bulk string ('$')")]
    NotBulk,
    /// A bulk string that goes on after its end.
    #[error("a bulk string longer than it says")]
    NoEnd,
    /// A line without an end.
    #[error("too big inline request")]
    Line,
    /// Quotes, which need Redis's own rules.
    #[error("quotes are not read in inline commands")]
    Quotes,
    /// What a browser sends, which somebody made it send.
    #[error("this is no HTTP server")]
    Http,
}

/// Takes the next command off the buffer, as its words; none if it is not whole yet.
/// `words` is emptied first. No words at all is an empty line, which asks for nothing.
///
/// # Errors
/// [`Malformed`]; nothing after it can be read.
pub fn take(buffer: &mut BytesMut, words: &mut Vec<Bytes>) -> Result<bool, Malformed> {
    words.clear();
    match buffer.first() {
        None => Ok(false),
        Some(b'*') => take_array(buffer, words),
        Some(_) => take_line(buffer, words),
    }
}

fn take_array(buffer: &mut BytesMut, words: &mut Vec<Bytes>) -> Result<bool, Malformed> {
    let Some((count, mut at)) = number(buffer, 1)? else {
        return Ok(false);
    };
    // Redis ignores empty and absent arrays.
    let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
    if count > WORDS_MAX {
        return Err(Malformed::Words);
    }
    let from = at;
    for _ in 0..count {
        let Some((begin, end)) = bulk(buffer, at)? else {
            return Ok(false);
        };
        debug_assert!(begin <= end);
        at = end + 2;
    }
    // All of it is here, so that it is walked through once more without any doubt.
    let frame = buffer.split_to(at).freeze();
    let mut at = from;
    for _ in 0..count {
        if let Some((begin, end)) = bulk(&frame, at)? {
            words.push(frame.slice(begin..end));
            at = end + 2;
        }
    }
    Ok(true)
}

/// Where the bulk string at this place begins and ends; nothing if it is not whole.
fn bulk(bytes: &[u8], at: usize) -> Result<Option<(usize, usize)>, Malformed> {
    match bytes.get(at) {
        None => return Ok(None),
        Some(b'$') => {}
        Some(_) => return Err(Malformed::NotBulk),
    }
    let Some((length, begin)) = number(bytes, at + 1)? else {
        return Ok(None);
    };
    let length = usize::try_from(length).map_err(|_| Malformed::Length)?;
    if length > FRAME_BYTES_MAX - begin.min(FRAME_BYTES_MAX) {
        return Err(Malformed::Bytes);
    }
    let end = begin + length;
    match bytes.get(end..end + 2) {
        None => Ok(None),
        Some(b"\r\n") => Ok(Some((begin, end))),
        Some(_) => Err(Malformed::NoEnd),
    }
}

/// The number in the line that begins here, and where the next line begins.
fn number(bytes: &[u8], at: usize) -> Result<Option<(i64, usize)>, Malformed> {
    /// Digits and a sign of the longest number, and the end of its line.
    const LONGEST: usize = 22;
    let rest = bytes.get(at..).unwrap_or_default();
    let rest = &rest[..rest.len().min(LONGEST)];
    let Some(end) = rest.iter().position(|byte| *byte == b'\r') else {
        return match rest.len() < LONGEST {
            true => Ok(None),
            false => Err(Malformed::Length),
        };
    };
    match rest.get(end + 1) {
        None => return Ok(None),
        Some(b'\n') => {}
        Some(_) => return Err(Malformed::Length),
    }
    let text = std::str::from_utf8(&rest[..end]).map_err(|_| Malformed::Length)?;
    let number = text.parse().map_err(|_| Malformed::Length)?;
    Ok(Some((number, at + end + 2)))
}

fn take_line(buffer: &mut BytesMut, words: &mut Vec<Bytes>) -> Result<bool, Malformed> {
    let seen = &buffer[..buffer.len().min(LINE_BYTES_MAX)];
    let Some(end) = seen.iter().position(|byte| *byte == b'\n') else {
        return match seen.len() < LINE_BYTES_MAX {
            true => Ok(false),
            false => Err(Malformed::Line),
        };
    };
    let line = buffer.split_to(end).freeze();
    buffer.advance(1);
    if line.iter().any(|byte| matches!(byte, b'"' | b'\'')) {
        return Err(Malformed::Quotes);
    }
    let spoken = line.split(u8::is_ascii_whitespace);
    let spoken = spoken.filter(|word| !word.is_empty());
    words.extend(spoken.map(|word| line.slice_ref(word)));
    if words.len() > WORDS_MAX {
        return Err(Malformed::Words);
    }
    let is_http = |word: &Bytes| word.eq_ignore_ascii_case(b"post") || &word[..] == b"Host:";
    match words.first().is_some_and(is_http) {
        true => Err(Malformed::Http),
        false => Ok(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<Vec<Vec<Bytes>>, Malformed> {
        let (mut buffer, mut words) = (BytesMut::from(bytes), Vec::new());
        let mut all = Vec::new();
        while take(&mut buffer, &mut words)? {
            all.push(words.clone());
        }
        Ok(all)
    }

    fn encoded(words: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            bytes.extend(format!("${}\r\n", word.len()).bytes());
            bytes.extend(word);
            bytes.extend(b"\r\n");
        }
        bytes
    }

    #[test]
    fn arrays_and_lines_are_commands() {
        let all =
            read(b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\nPING  now\r\n\r\n*0\r\nQUIT\n").unwrap();
        let all: Vec<Vec<&[u8]>> = all
            .iter()
            .map(|words| words.iter().map(|word| &word[..]).collect())
            .collect();
        let expected: [&[&[u8]]; 5] = [
            &[b"GET", b"a\r\nb"],
            &[b"PING", b"now"],
            &[],
            &[],
            &[b"QUIT"],
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn what_is_no_command_says_why() {
        let long = vec![b'x'; LINE_BYTES_MAX];
        let cases: [(&[u8], Malformed); 12] = [
            (b"*x\r\n", Malformed::Length),
            (b"*1\rx", Malformed::Length),
            (b"*11111111111111111111111", Malformed::Length),
            (b"*2049\r\n", Malformed::Words),
            (b"*1\r\n+OK\r\n", Malformed::NotBulk),
            (b"*1\r\n$-1\r\n", Malformed::Length),
            (b"*1\r\n$16777217\r\n", Malformed::Bytes),
            (b"*1\r\n$2\r\nabc\r\n", Malformed::NoEnd),
            (b"SET a \"b\"\r\n", Malformed::Quotes),
            (b"POST / HTTP/1.1\r\n", Malformed::Http),
            (b"Host: x\r\n", Malformed::Http),
            (&long, Malformed::Line),
        ];
        for (bytes, why) in cases {
            assert_eq!(read(bytes), Err(why), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn lengths_set_nothing_aside() {
        let (mut buffer, mut words) = (BytesMut::from(&b"*2000\r\n$16000000\r\nx"[..]), Vec::new());
        assert_eq!(take(&mut buffer, &mut words), Ok(false));
        assert_eq!(words.capacity(), 0);
        assert!(buffer.capacity() < 1_000);
    }

    proptest! {
        #[test]
        fn however_it_is_cut_it_is_read_the_same(
            commands in proptest::collection::vec(
                proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 1..5), 1..5),
            cut in any::<usize>(),
        ) {
            let bytes: Vec<u8> = commands.iter().flat_map(|words| encoded(words)).collect();
            let (mut buffer, mut words) = (BytesMut::new(), Vec::new());
            let mut all = Vec::new();
            for part in bytes.chunks(cut % bytes.len() + 1) {
                buffer.extend_from_slice(part);
                while take(&mut buffer, &mut words).unwrap() {
                    all.push(words.iter().map(|word| word.to_vec()).collect::<Vec<_>>());
                }
            }
            prop_assert_eq!(all, commands);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
