use super::*;
use proptest::prelude::*;
use tokio::io::AsyncReadExt;

/// The code of a few characters (RFC 7541, appendix B), as bits.
fn coded(text: &str) -> Vec<u8> {
    let mut bits = String::new();
    for letter in text.chars() {
        bits.push_str(match letter {
            'a' => "00011",
            'o' => "00111",
            's' => "01000",
            't' => "01001",
            'c' => "00100",
            'e' => "00101",
            '2' => "00010",
            ' ' => "010100",
            '%' => "010101",
            '-' => "010110",
            '.' => "010111",
            '/' => "011000",
            'F' => "1100000",
            'k' => "1110101",
            'X' => "11111100",
            'p' => "101011",
            'm' => "101001",
            ':' => "1011100",
            '@' => "1111111111010",
            '#' => "111111111010",
            other => panic!("{other} has no code here"),
        });
    }
    while !bits.len().is_multiple_of(8) {
        bits.push('1');
    }
    let byte = |eight: &[u8]| {
        let text = std::str::from_utf8(eight).unwrap();
        u8::from_str_radix(text, 2).unwrap()
    };
    bits.as_bytes().chunks(8).map(byte).collect()
}

/// A field with a value that is new: its name by its number, or one of its own.
fn field(kind: u8, name: &[u8], value: &[u8], coded: bool) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(name);
    bytes.push(value.len() as u8 | if coded { 0x80 } else { 0 });
    bytes.extend(value);
    bytes
}

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags, 0, 0, 0, 1]);
    bytes.extend(payload);
    bytes
}

async fn read(sent: &[u8]) -> Vec<u8> {
    let mut all = vec![0; PREFACE];
    all.extend(sent);
    let mut read = Vec::new();
    Mended::new(&all[..]).read_to_end(&mut read).await.unwrap();
    read.split_off(PREFACE)
}

const PATHS: [(&str, &str); 5] = [
    ("/tmp/a.sock", "-tmp-a.sock"),
    ("%2Ftmp%2Fa.sock", "-2Ftmp-2Fa.sock"),
    ("tmp%2Fa.sock", "tmp-2Fa.sock"),
    ("/tmp/X:k@ a#o", "-tmp-X:k@-a#o"),
    ("a.to.ea:22", "a.to.ea:22"),
];

#[tokio::test]
async fn a_path_becomes_a_host_of_the_same_length_in_either_spelling() {
    for (path, host) in PATHS {
        // Kept in the table, not kept, never to be kept; and with its name spelled out.
        let plain = [&[10], AUTHORITY_PLAIN].concat();
        let spelled_out = [&[0x88], &AUTHORITY_CODED[..]].concat();
        for (kind, name) in [
            (0x41, &b""[..]),
            (0x01, b""),
            (0x11, b""),
            (0x40, &plain),
            (0x00, &spelled_out),
        ] {
            for is_coded in [false, true] {
                let spelled = |text: &str| match is_coded {
                    true => coded(text),
                    false => text.as_bytes().to_vec(),
                };
                let headers = |text: &str| {
                    let mut block = vec![0x83, 0x3f, 0xe1, 0x1f, 0x86];
                    block.extend(field(0x40, b"\x03a/b", b"c/d", false));
                    block.extend(field(kind, name, &spelled(text), is_coded));
                    block.extend(field(0x44, b"", b"/a/path", false));
                    frame(HEADERS, END_HEADERS, &block)
                };
                let (sent, expected) = (headers(path), headers(host));
                assert_eq!(sent.len(), expected.len());
                assert_eq!(read(&sent).await, expected, "{path} {kind} {is_coded}");
            }
        }
    }
}

#[tokio::test]
async fn padding_and_priority_are_stepped_over_and_the_rest_is_left_alone() {
    let authority = |text: &[u8]| field(0x41, b"", text, false);
    let padded = |text: &[u8]| {
        let mut payload = vec![3, 0, 0, 0, 0, 7];
        payload.extend(authority(text));
        payload.extend(b"/%/");
        frame(HEADERS, END_HEADERS | PADDED | PRIORITY, &payload)
    };
    assert_eq!(read(&padded(b"/a")).await, padded(b"-a"));
    // Not the whole of a block, not headers, or no frame at all.
    let cut = frame(HEADERS, 0, &authority(b"/a"));
    let data = frame(0, 0, &authority(b"/a"));
    let half = frame(HEADERS, END_HEADERS, &authority(b"/a"))[..12].to_vec();
    for sent in [cut, data, half, b"/a/b/c".to_vec()] {
        assert_eq!(read(&sent).await, sent);
    }
}

/// Hands out so many bytes at a time.
struct Drops<'a>(&'a [u8], usize);

impl AsyncRead for Drops<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let size = self.1.min(self.0.len()).min(buffer.remaining());
        let (now, later) = self.0.split_at(size);
        buffer.put_slice(now);
        self.0 = later;
        Poll::Ready(Ok(()))
    }
}

proptest! {
    #[test]
    fn however_it_comes_it_is_mended_the_same_and_no_longer(
        block in proptest::collection::vec(any::<u8>(), 0..200),
        kind in 0..4_u8,
        flags in any::<u8>(),
        rest in proptest::collection::vec(any::<u8>(), 0..40),
        at_once in 1..30_usize,
    ) {
        let mut sent = vec![0; PREFACE];
        sent.extend(frame(kind, flags, &block));
        sent.extend(frame(HEADERS, END_HEADERS, &field(0x41, b"", b"/a", false)));
        sent.extend(rest);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = |at_once| runtime.block_on(async {
            let mut read = Vec::new();
            let mut mended = Mended::new(Drops(&sent, at_once));
            mended.read_to_end(&mut read).await.unwrap();
            read
        });
        let (whole, drops) = (read(usize::MAX), read(at_once));
        prop_assert_eq!(&whole, &drops);
        prop_assert_eq!(whole.len(), sent.len());
        prop_assert!(whole.windows(3).any(|three| three == b"\x02-a"));
        if kind != HEADERS {
            let same = PREFACE + FRAME_HEAD + block.len();
            prop_assert_eq!(&whole[..same], &sent[..same]);
        }
    }
}
