//! Mends what many clients send over a Unix socket: the path of the socket in place of a
//! host (`:authority`), bare or percent-encoded. It is no host, and the HTTP/2 library here
//! would reset each of their calls with PROTOCOL_ERROR.
//!
//! `/`, `%` and a space become `-`, in place. The header tables of both ends (HPACK, RFC
//! 7541) count lengths, so nothing may grow or shrink: not the text, and not its code either,
//! which is six bits for each of these four.

use bytes::BytesMut;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

/// What a connection begins with.
const PREFACE: usize = 24;
const FRAME_HEAD: usize = 9;
/// The largest frame that the server takes; a larger one is left to it to refuse.
const FRAME_MAX: usize = 16_384;
const HEADERS: u8 = 1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;
/// The number of `:authority` among the names that both ends know; and how it is written by
/// those who do not use it, plain or coded.
const AUTHORITY: usize = 1;
const AUTHORITY_PLAIN: &[u8] = b":authority";
const AUTHORITY_CODED: [u8; 8] = [0xb8, 0x3b, 0x53, 0x39, 0xec, 0x32, 0x7d, 0x7f];
/// The codes by their length in bits: the first one, and how many there are. Longer ones are
/// of no use in a path.
const CODES: [(u32, u32, u32); 10] = [
    (5, 0x0, 10),
    (6, 0x14, 26),
    (7, 0x5c, 32),
    (8, 0xf8, 6),
    (10, 0x3f8, 5),
    (11, 0x7fa, 3),
    (12, 0xffa, 2),
    (13, 0x1ff8, 6),
    (14, 0x3ffc, 2),
    (15, 0x7ffc, 3),
];
/// Of six bits each: a space, `%` and `/`; and what they become, `-`.
const STRANGE_CODES: [u32; 3] = [0x14, 0x15, 0x18];
const DASH_CODE: u32 = 0x16;

/// A connection whose incoming bytes are mended.
#[derive(Debug)]
pub struct Mended<S> {
    inner: S,
    /// What has come, and is not sorted.
    held: BytesMut,
    /// What may be read.
    sorted: BytesMut,
    next: Next,
    ended: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// So many bytes that are no business of this.
    Plain(usize),
    /// The head of a frame.
    Frame,
}

impl<S> Mended<S> {
    /// A connection that begins.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            held: BytesMut::new(),
            sorted: BytesMut::new(),
            next: Next::Plain(PREFACE),
            ended: false,
        }
    }

    /// Takes what is whole out of what has come.
    fn sort(&mut self) {
        loop {
            let size = match self.next {
                Next::Plain(left) => {
                    let size = left.min(self.held.len());
                    self.next = match left - size {
                        0 => Next::Frame,
                        left => Next::Plain(left),
                    };
                    size
                }
                Next::Frame => {
                    let Some(head) = self.held.first_chunk::<FRAME_HEAD>() else {
                        return;
                    };
                    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                    let size = FRAME_HEAD + length;
                    if head[3] != HEADERS || length > FRAME_MAX {
                        self.next = Next::Plain(size);
                        continue;
                    }
                    if self.held.len() < size {
                        return;
                    }
                    mend_frame(&mut self.held[..size]);
                    size
                }
            };
            if size == 0 {
                return;
            }
            let part = self.held.split_to(size);
            self.sorted.unsplit(part);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Mended<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.sorted.is_empty() && !self.ended {
            let mut space = [0; 8_192];
            let mut read = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.inner).poll_read(context, &mut read))?;
            self.ended = read.filled().is_empty();
            self.held.extend_from_slice(read.filled());
            self.sort();
            if self.ended {
                // Half a frame is for the server to complain of.
                let rest = self.held.split();
                self.sorted.unsplit(rest);
            }
        }
        let size = buffer.remaining().min(self.sorted.len());
        let part = self.sorted.split_to(size);
        buffer.put_slice(&part);
        Poll::Ready(Ok(()))
    }
}

/// Mends the names and values of a whole frame, if they are all in it.
fn mend_frame(frame: &mut [u8]) {
    let flags = frame[4];
    if flags & END_HEADERS == 0 {
        return;
    }
    let mut start = FRAME_HEAD;
    let mut end = frame.len();
    if flags & PADDED != 0 {
        let padding = frame.get(start).copied().unwrap_or_default();
        end = end.saturating_sub(padding.into());
        start += 1;
    }
    if flags & PRIORITY != 0 {
        start += 5;
    }
    if let Some(block) = frame.get_mut(start..end) {
        // What cannot be read is for the server to complain of.
        let _ = mend_block(block);
    }
}

/// Walks from field to field; nothing if that is not how a block is made.
fn mend_block(block: &mut [u8]) -> Option<()> {
    let mut at = 0;
    while let Some(first) = block.get(at).copied() {
        // A whole field that is known, or a new size of the table.
        if first & 0x80 != 0 {
            number(block, &mut at, 7)?;
            continue;
        }
        if first & 0xe0 == 0x20 {
            number(block, &mut at, 5)?;
            continue;
        }
        let bits = if first & 0x40 != 0 { 6 } else { 4 };
        let is_authority = match number(block, &mut at, bits)? {
            0 => match text(block, &mut at)? {
                (name, false) => name == AUTHORITY_PLAIN,
                (name, true) => name == AUTHORITY_CODED,
            },
            name => name == AUTHORITY,
        };
        let (value, coded) = text(block, &mut at)?;
        if is_authority {
            match coded {
                true => mend_coded(value),
                false => mend_plain(value),
            }
        }
    }
    Some(())
}

/// A number that begins in the last so many bits of a byte.
fn number(block: &[u8], at: &mut usize, bits: u32) -> Option<usize> {
    let most = (1_usize << bits) - 1;
    let mut number = usize::from(*block.get(*at)?) & most;
    *at += 1;
    if number < most {
        return Some(number);
    }
    for shift in [0, 7, 14, 21] {
        let byte = usize::from(*block.get(*at)?);
        *at += 1;
        number += (byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// A text, and whether it is coded.
fn text<'b>(block: &'b mut [u8], at: &mut usize) -> Option<(&'b mut [u8], bool)> {
    let coded = block.get(*at)? & 0x80 != 0;
    let length = number(block, at, 7)?;
    let start = *at;
    *at = start.checked_add(length)?;
    Some((block.get_mut(start..*at)?, coded))
}

fn mend_plain(text: &mut [u8]) {
    for byte in text {
        if matches!(byte, b'/' | b'%' | b' ') {
            *byte = b'-';
        }
    }
}

/// The same where each character is a code of its own length.
fn mend_coded(text: &mut [u8]) {
    let (mut code, mut bits) = (0_u32, 0_u32);
    for at in 0..text.len() * 8 {
        code = code << 1 | bit(text, at);
        bits += 1;
        let is_whole = |(length, first, count): &(u32, u32, u32)| {
            *length == bits && (*first..*first + *count).contains(&code)
        };
        if CODES.iter().any(is_whole) {
            if bits == 6 && STRANGE_CODES.contains(&code) {
                for (back, at) in (at - 5..=at).rev().enumerate() {
                    set_bit(text, at, DASH_CODE >> back & 1);
                }
            }
            (code, bits) = (0, 0);
        } else if bits > 15 {
            return;
        }
    }
}

fn bit(text: &[u8], at: usize) -> u32 {
    u32::from(text[at / 8] >> (7 - at % 8) & 1)
}

fn set_bit(text: &mut [u8], at: usize, bit: u32) {
    let mask = 1 << (7 - at % 8);
    match bit {
        0 => text[at / 8] &= !mask,
        _ => text[at / 8] |= mask,
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Mended<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl<S: Connected> Connected for Mended<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.inner.connect_info()
    }
}

#[cfg(test)]
mod tests;
