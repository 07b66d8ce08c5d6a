//! What a capture makes of a database's log.

use crate::formats::{one, parse};
use bytes::Bytes;
use invalidator::capture::place::Place;
use invalidator::capture::reader::{BEAT_PREFIX, Batch, Outgoing, Reader};
use invalidator::change::{Change, Op};
use pgwire_replication::{Lsn, ReplicationEvent};

const USERS: &[u8] = b"R\0\0\0\x07public\0users\0d\0\x01\x01id\0\0\0\0\x14\xff\xff\xff\xff";
const INSERT: &[u8] = b"I\0\0\0\x07N\0\x01t\0\0\0\x017";
const DELETE: &[u8] = b"D\0\0\0\x07K\0\x01t\0\0\0\x018";
const TRUNCATE: &[u8] = b"T\0\0\0\x01\0\0\0\0\x07";

fn begin(lsn: u64, xid: u32) -> ReplicationEvent {
    ReplicationEvent::Begin {
        final_lsn: Lsn(lsn),
        xid,
        commit_time_micros: 1_000_000,
    }
}

fn data(data: &'static [u8]) -> ReplicationEvent {
    ReplicationEvent::XLogData {
        wal_start: Lsn(0),
        wal_end: Lsn(0),
        server_time_micros: 0,
        data: Bytes::from_static(data),
    }
}

fn commit(lsn: u64) -> ReplicationEvent {
    ReplicationEvent::Commit {
        lsn: Lsn(lsn),
        end_lsn: Lsn(lsn + 8),
        commit_time_micros: 1_000_000,
    }
}

fn message(lsn: u64, transactional: bool, prefix: &str) -> ReplicationEvent {
    ReplicationEvent::Message {
        transactional,
        lsn: Lsn(lsn),
        prefix: prefix.to_owned(),
        content: Bytes::from_static(br#"{"cache": "users", "tags": ["team:1"]}"#),
    }
}

fn read(stored: Place, sent: impl IntoIterator<Item = ReplicationEvent>) -> Batch {
    let mut reader = Reader::new("cdc", stored);
    let mut batch = Batch::default();
    for event in sent {
        reader.read(event, &mut batch).expect("sense");
    }
    batch
}

fn place(lsn: u64, index: u64) -> Place {
    Place { lsn, index }
}

fn places(batch: &Batch) -> Vec<Place> {
    batch.events.iter().map(|event| event.place).collect()
}

fn change(event: &Outgoing) -> Change {
    one(parse(&event.payload).expect("an event"))
}

/// Two transactions, a heartbeat, and an application's message.
fn log() -> Vec<ReplicationEvent> {
    vec![
        begin(100, 4),
        data(USERS),
        data(INSERT),
        data(DELETE),
        commit(100),
        message(120, false, BEAT_PREFIX),
        begin(140, 3),
        data(TRUNCATE),
        message(130, true, "cacheaside"),
        message(131, true, "others"),
        commit(140),
        message(150, false, "cacheaside"),
    ]
}

#[test]
fn every_change_has_its_place_in_commit_order() {
    let batch = read(Place::default(), log());
    assert_eq!(
        places(&batch),
        [
            place(100, 1),
            place(100, 2),
            place(120, 0),
            place(140, 1),
            place(140, 2),
            place(150, 0),
        ]
    );
    assert!(places(&batch).is_sorted());
    let subjects: Vec<_> = batch.events.iter().map(|it| it.subject.as_str()).collect();
    let table = "cdc.public.users";
    assert_eq!(
        subjects,
        [
            table,
            table,
            "cdc.beat",
            table,
            "cdc.message",
            "cdc.message"
        ]
    );
    let ops = batch.events.iter().map(|event| match change(event) {
        Change::Row(row) => {
            assert_eq!(row.changed_ms, Some(946_684_801_000));
            Some(row.op)
        }
        Change::Named(named) => {
            assert_eq!(named.cache.as_str(), "users");
            None
        }
        Change::Nothing(_) => None,
        other @ (Change::Lost(_) | Change::Malformed(_)) => panic!("{other:?}"),
    });
    let ops: Vec<_> = ops.flatten().collect();
    assert_eq!(ops, [Op::Insert, Op::Delete, Op::Truncate]);
    assert_eq!(batch.xids, [4, 3], "those must be visible first");
    assert_eq!((batch.transactions, batch.done), (2, Some(150)));
}

#[test]
fn what_the_stream_has_is_not_told_again_wherever_it_stopped() {
    let all = places(&read(Place::default(), log()));
    for (count, stored) in all.iter().enumerate() {
        // The database begins with the transaction that the place is in.
        let whole = log().into_iter().skip(match stored.lsn {
            100 => 0,
            120 => 5,
            140 => 6,
            _ => 11,
        });
        let table = (stored.lsn > 100).then(|| data(USERS));
        let batch = read(*stored, table.into_iter().chain(whole));
        assert_eq!(places(&batch), all[count + 1..], "behind {stored}");
        assert!(batch.skipped >= 1);
    }
}

#[test]
fn of_a_transaction_without_events_nothing_is_confirmed() {
    let batch = read(Place::default(), [begin(100, 4), data(USERS), commit(100)]);
    assert_eq!((batch.done, batch.transactions), (None, 1));
    assert!(batch.xids.is_empty() && batch.events.is_empty());
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (sent, why) in [
        (vec![data(USERS), data(INSERT)], "outside a transaction"),
        (vec![begin(1, 1), data(INSERT)], "not described"),
        (vec![begin(1, 1), data(TRUNCATE)], "not described"),
        (vec![commit(1)], "did not begin"),
        (vec![begin(1, 1), data(b"?")], "letter is unknown"),
        (
            vec![begin(1, 1), data(USERS), data(b"I\0\0\0\x07N\0\x02nn")],
            "other columns",
        ),
    ] {
        let mut reader = Reader::new("cdc", Place::default());
        let mut batch = Batch::default();
        let mut each = sent.into_iter();
        let error = each.find_map(|event| reader.read(event, &mut batch).err());
        assert!(error.expect(why).to_string().contains(why), "{why}");
    }
}
