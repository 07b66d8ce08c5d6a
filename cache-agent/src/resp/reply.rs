//! Answers, and their bytes in both versions of the protocol.

use bytes::{BufMut, Bytes, BytesMut};

/// What a command is answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// One word or line of the protocol's own.
    Status(&'static str),
    /// Why not: a code in capitals and what to do.
    Error(String),
    /// A number.
    Number(i64),
    /// Bytes.
    Bulk(Bytes),
    /// Nothing.
    Null,
    /// Several.
    Array(Vec<Self>),
    /// Names and what they stand for; version 2 has them in turn.
    Map(Vec<(&'static str, Self)>),
}

/// The version of the protocol that a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// Until it says otherwise.
    #[default]
    Two,
    /// After `HELLO 3`.
    Three,
}

impl Reply {
    /// Done.
    pub const OK: Self = Self::Status("OK");

    /// Some text as bytes.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Bulk(Bytes::from(text.into()))
    }

    /// A value, or nothing.
    pub fn value(value: Option<Bytes>) -> Self {
        value.map_or(Self::Null, Self::Bulk)
    }

    /// Writes its bytes.
    pub fn write(&self, out: &mut BytesMut, version: Version) {
        match self {
            Self::Status(line) => {
                out.put_u8(b'+');
                out.put_slice(line.as_bytes());
                out.put_slice(b"\r\n");
            }
            Self::Error(line) => {
                out.put_u8(b'-');
                let one_line = |byte: u8| if byte < b' ' { b' ' } else { byte };
                out.extend(line.bytes().map(one_line));
                out.put_slice(b"\r\n");
            }
            Self::Number(number) => head(out, b':', *number),
            Self::Bulk(bytes) => {
                head(out, b'$', bytes.len() as i64);
                out.put_slice(bytes);
                out.put_slice(b"\r\n");
            }
            Self::Null => out.put_slice(match version {
                Version::Two => b"$-1\r\n",
                Version::Three => b"_\r\n",
            }),
            Self::Array(all) => {
                head(out, b'*', all.len() as i64);
                all.iter().for_each(|one| one.write(out, version));
            }
            Self::Map(all) => {
                match version {
                    Version::Two => head(out, b'*', 2 * all.len() as i64),
                    Version::Three => head(out, b'%', all.len() as i64),
                }
                for (name, one) in all {
                    head(out, b'$', name.len() as i64);
                    out.put_slice(name.as_bytes());
                    out.put_slice(b"\r\n");
                    one.write(out, version);
                }
            }
        }
    }
}

fn head(out: &mut BytesMut, kind: u8, number: i64) {
    out.put_u8(kind);
    // On the stack: a number a reply, and no allocation for it.
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.put_u8(b'-');
    }
    out.put_slice(&digits[at..]);
    out.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply, version: Version) -> String {
        let mut out = BytesMut::new();
        reply.write(&mut out, version);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn every_kind_in_both_versions() {
        let all = Reply::Array(vec![
            Reply::OK,
            Reply::Error("ERR a\r\nb".to_owned()),
            Reply::Number(-12),
            Reply::Number(i64::MIN),
            Reply::text("abc"),
            Reply::Null,
            Reply::Map(vec![("proto", Reply::Number(3))]),
        ]);
        let same = "+OK\r\n-ERR a  b\r\n:-12\r\n:-9223372036854775808\r\n$3\r\nabc\r\n";
        let two = format!("*7\r\n{same}$-1\r\n*2\r\n$5\r\nproto\r\n:3\r\n");
        let three = format!("*7\r\n{same}_\r\n%1\r\n$5\r\nproto\r\n:3\r\n");
        assert_eq!(written(&all, Version::Two), two);
        assert_eq!(written(&all, Version::Three), three);
    }
}
