//! From the primary's log to the stream, as a capture should do it: by logical
//! decoding, in the order of commits, and only what can be seen.
//!
//! The log tells of a commit before its rows are visible: one that waits for a
//! synchronous standby is decoded while every reader still finds the old row. A cache
//! that heard of it then would load the old row again, and of no further event. So a
//! transaction waits here until a fresh snapshot of the primary sees it.

use super::book::Book;
use crate::rows::{self, wall_us};
use async_nats::jetstream::{self, Context};
use cache_core::testkit::servers::binary;
use cache_core::testkit::until::pace;
use futures_util::future::join_all;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio_postgres::{Client, Statement};

const SLOT: &str = "relay";
/// The most transactions that are published together.
const BATCH: usize = 64;
/// How long the stream's acknowledgement is waited for.
const ACK_WAIT: Duration = Duration::from_secs(1);
/// The pause before something is tried again.
const PAUSE: Duration = Duration::from_millis(2);
/// A transaction that touches this table restores the past: no log tells of it.
const UNTOLD: &str = "public.restored";
const VISIBLE: &str = "SELECT pg_visible_in_snapshot(xid::xid8, pg_current_snapshot()) \
    FROM unnest($1::text[]) WITH ORDINALITY AS them(xid, place) ORDER BY place";

/// A committed transaction: its rows and their versions.
#[derive(Debug, Default)]
struct Transaction {
    xid: String,
    changes: Vec<(i64, u64)>,
    untold: bool,
}

/// Starts to relay; the slot begins here.
pub(crate) async fn start(primary: &str, nats: &str, book: Arc<Book>) -> Child {
    let client = rows::connect(primary).await;
    let create = "SELECT pg_create_logical_replication_slot($1, 'test_decoding')";
    let created = client.execute(create, &[&SLOT]).await;
    created.expect("a slot is made");
    let mut decoder = Command::new(binary("pg_recvlogical").expect("PostgreSQL is installed"));
    decoder
        .args(["--dbname", primary, "--slot", SLOT, "--start", "--no-loop"])
        .args(["--status-interval=1", "--file=-"])
        .args(["-o", "include-xids=1", "-o", "skip-empty-xacts=1"])
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut child = decoder.spawn().expect("the decoder starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let (decoded, transactions) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut open = Transaction::default();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(xid) = line.strip_prefix("COMMIT ") {
                open.xid = xid.to_owned();
                let _ = decoded.send(std::mem::take(&mut open));
            } else {
                open.untold |= line.contains(UNTOLD);
                open.changes.extend(change(&line));
            }
        }
    });
    let mut context = jetstream::new(async_nats::connect(nats).await.expect("NATS is up"));
    context.set_timeout(ACK_WAIT);
    let (progress, places) = watch::channel(0);
    tokio::spawn(note(rows::connect(primary).await, places));
    tokio::spawn(carry(transactions, client, context, book, progress));
    child
}

/// Writes down how far the stream is, for those who read the standby. Beside the relay,
/// which need not wait for it: the place may come late, and must not come early.
async fn note(client: Client, mut places: watch::Receiver<u64>) {
    // The epoch is whoever's who restores.
    let update = "UPDATE progress SET place = $1";
    let update = client.prepare(update).await;
    let update = update.expect("the primary is never touched");
    while places.changed().await.is_ok() {
        let last = *places.borrow_and_update() as i64;
        let updated = client.execute(&update, &[&last]).await;
        updated.expect("the primary is never touched");
    }
}

async fn carry(
    mut transactions: mpsc::UnboundedReceiver<Transaction>,
    client: Client,
    context: Context,
    book: Arc<Book>,
    progress: watch::Sender<u64>,
) {
    let query = client.prepare(VISIBLE).await;
    let query = query.expect("the primary is never touched");
    let mut waiting = Vec::new();
    loop {
        if waiting.is_empty() && transactions.recv_many(&mut waiting, BATCH).await == 0 {
            return;
        }
        let room = BATCH - waiting.len();
        waiting.extend(std::iter::from_fn(|| transactions.try_recv().ok()).take(room));
        let visible = visible(&client, &query, &waiting).await;
        let ready: Vec<_> = waiting.drain(..visible).collect();
        if ready.is_empty() {
            pace(PAUSE).await;
            continue;
        }
        let told = ready.into_iter().filter(|one| !one.untold);
        let changes: Vec<_> = told.flat_map(|one| one.changes).collect();
        if let Some(last) = publish(&context, &changes, &book).await {
            progress.send_replace(last);
        }
    }
}

/// How many of the first transactions can be seen.
async fn visible(client: &Client, query: &Statement, waiting: &[Transaction]) -> usize {
    let xids: Vec<_> = waiting.iter().map(|one| one.xid.as_str()).collect();
    let seen = client.query(query, &[&xids]).await;
    let seen = seen.expect("the primary is never touched");
    let mut seen = seen.iter().map(|row| row.get::<_, bool>(0));
    seen.position(|seen| !seen).unwrap_or(waiting.len())
}

/// Publishes until the stream has everything; returns the last place.
async fn publish(context: &Context, changes: &[(i64, u64)], book: &Book) -> Option<u64> {
    let mut last = None;
    let mut left: Vec<_> = changes.to_vec();
    while !left.is_empty() {
        let mut acknowledgements = Vec::new();
        for (row, version) in &left {
            let event = rows::event(*row, *version, wall_us());
            let published = context.publish("cdc.public.users", event.into()).await;
            acknowledgements.push(published.ok());
        }
        // Together: what a dying NATS took, it never acknowledges, and patience with one
        // after the other would hold up the stream for longer than any fault.
        let acknowledgements = acknowledgements.into_iter().map(async |one| match one {
            Some(one) => one.await.ok(),
            None => None,
        });
        let stored = join_all(acknowledgements).await;
        let mut failed = Vec::new();
        for (change, stored) in left.into_iter().zip(stored) {
            match stored {
                Some(stored) => {
                    book.stored(change.1, stored.sequence, wall_us());
                    last = last.max(Some(stored.sequence));
                }
                None => failed.push(change),
            }
        }
        left = failed;
        if !left.is_empty() {
            pace(PAUSE).await;
        }
    }
    last
}

/// Row and version of a decoded line about the table.
fn change(line: &str) -> Option<(i64, u64)> {
    let columns = line.strip_prefix("table public.users: UPDATE: ")?;
    let column = |name: &str| {
        let from = columns.find(name)? + name.len();
        columns[from..].split(' ').next()?.parse::<u64>().ok()
    };
    Some((column("id[bigint]:")? as i64, column("version[bigint]:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoded_line_is_read() {
        let line = "table public.users: UPDATE: id[bigint]:7 name[text]:'user' \
            team_id[bigint]:1 version[bigint]:42";
        assert_eq!(change(line), Some((7, 42)));
        assert_eq!(
            change("table public.progress: UPDATE: place[bigint]:9"),
            None
        );
    }
}
