//! Base64 as Debezium writes the content of logical messages.

/// Decodes standard base64 with padding; `None` for anything else.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(4) {
        return None;
    }
    let padding = bytes.iter().rev().take_while(|byte| **byte == b'=').count();
    if padding > 2 {
        return None;
    }
    let mut decoded = Vec::with_capacity(bytes.len() / 4 * 3);
    for quad in bytes[..bytes.len() - padding].chunks(4) {
        let mut bits: u32 = 0;
        for &byte in quad {
            bits = bits << 6 | u32::from(sextet(byte)?);
        }
        // A last group of two or three digits stands for one or two bytes.
        let missing = 4 - quad.len();
        let [_, whole @ ..] = (bits << (6 * missing)).to_be_bytes();
        decoded.extend_from_slice(&whole[..3 - missing]);
    }
    Some(decoded)
}

fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_of_rfc_4648() {
        for (text, plain) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(decode(text).as_deref(), Some(plain.as_bytes()), "{text}");
        }
        assert_eq!(
            decode("++//").as_deref(),
            Some([0xfb, 0xef, 0xff].as_slice())
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "Z", "Zg", "Z===", "====", "Zm9v=", "Z=9v", "Zm 9", "Zm9-", "ü",
        ] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
