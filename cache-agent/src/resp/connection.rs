//! One connection: read what has come, answer it, write it, and again.
//!
//! Nothing is read while answers are written, so a client that sends faster than it reads is
//! slowed down by its own connection.

use super::client::Client;
use super::command::Command;
use super::frame;
use super::reply::{Reply, Version};
use bytes::{Bytes, BytesMut};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

/// How much is read at once.
const READ_BYTES: usize = 16 * 1024;
/// The most commands that are taken together.
const BATCH_MAX: usize = 256;
/// The most of them that run at once.
const PART: usize = 16;
/// How large answers may grow before they are written.
const WRITE_BYTES: usize = 256 * 1024;
/// How long a command may take from its first byte to its last, and answers until they are
/// taken. Who is slower is let go: it would hold memory for nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves one client until it goes, is too slow, speaks nonsense, or `closing`.
pub async fn run<S>(mut client: Client, mut stream: S, closing: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    let mut words: Vec<Bytes> = Vec::new();
    // When the first byte came of a command that is not whole yet.
    let mut begun = None;
    while !closing.is_cancelled() {
        let (commands, broken) = commands(&mut input, &mut words);
        if commands.is_empty() && broken.is_none() {
            if input.is_empty() {
                (begun, input) = (None, small(input));
            }
            let end = begun.map(|begun| begun + PATIENCE);
            if !read(&mut stream, &mut input, end, &closing).await {
                return;
            }
            begun = begun.or_else(|| Some(Instant::now()));
            continue;
        }
        begun = None;
        let mut commands = commands.into_iter();
        // In parts: answers may be far larger than commands.
        while commands.len() > 0 && !client.is_done {
            let part = commands.by_ref().take(PART).collect();
            client.answer(part, &mut out).await;
            if out.len() >= WRITE_BYTES && !write(&mut stream, &mut out).await {
                return;
            }
        }
        if let Some(broken) = broken {
            let error = Reply::Error(format!("ERR Protocol error: {broken}"));
            error.write(&mut out, Version::Two);
        }
        if !write(&mut stream, &mut out).await || client.is_done || broken.is_some() {
            // A client that is gone cannot be told.
            let _ = stream.shutdown().await;
            return;
        }
    }
}

type Commands = Vec<Result<Command, super::refusal::Refusal>>;

/// What has come whole, and what broke off.
fn commands(input: &mut BytesMut, words: &mut Vec<Bytes>) -> (Commands, Option<frame::Malformed>) {
    let mut all = Vec::new();
    while all.len() < BATCH_MAX {
        match frame::take(input, words) {
            Ok(true) if words.is_empty() => {}
            Ok(true) => all.push(Command::read(words)),
            Ok(false) => break,
            Err(malformed) => return (all, Some(malformed)),
        }
    }
    // They keep the bytes alive that they were read from.
    words.clear();
    (all, None)
}

/// Waits for more, until then if there is an end; whether there is any.
async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
    input: &mut BytesMut,
    end: Option<Instant>,
    closing: &CancellationToken,
) -> bool {
    input.reserve(READ_BYTES);
    let reading = async {
        match end {
            Some(end) => timeout_at(end, stream.read_buf(input)).await.ok(),
            None => Some(stream.read_buf(input).await),
        }
    };
    tokio::select! {
        biased;
        () = closing.cancelled() => false,
        read = reading => matches!(read, Some(Ok(more)) if more > 0),
    }
}

/// Writes all answers; whether they were taken.
async fn write<S: AsyncWrite + Unpin>(stream: &mut S, out: &mut BytesMut) -> bool {
    let written = timeout(PATIENCE, stream.write_all(out)).await;
    out.clear();
    *out = small(std::mem::take(out));
    matches!(written, Ok(Ok(())))
}

/// An empty buffer; another one if it has grown: one large value is no reason to keep so
/// much for a client that says nothing.
fn small(buffer: BytesMut) -> BytesMut {
    match buffer.capacity() > 4 * WRITE_BYTES {
        true => BytesMut::new(),
        false => buffer,
    }
}
