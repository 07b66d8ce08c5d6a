//! Two writers and a reader race for one key: every order of their steps, and an end of
//! each writer after each of its steps.

use bytes::Bytes;
use cache_core::clock::SystemClock;
use cache_core::model::key::{Address, KeySpace};
use cache_core::tier::memory::MemoryRemote;
use cache_core::tier::{
    Beat, Invalidate, Known, Leased, Offer, Record, Remote, Seen, Token, Write, Written,
};
use cache_core::{Key, Name, Position};
use futures_util::FutureExt;
use std::sync::Arc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
/// The steps of a writer: quarantine, commit, write to L2.
const WRITER: usize = 3;
/// The steps of a reader: lease, read the source, fill.
const READER: usize = 3;

/// Which events the stream delivers when all is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Events {
    /// There is no stream.
    None,
    InOrder,
    LastFirst,
}

struct Race {
    remote: MemoryRemote,
    address: Address,
    /// The writer of each commit, in their order.
    commits: Vec<usize>,
    granted: bool,
    loaded: u8,
    stored: bool,
}

impl Race {
    fn new() -> Self {
        let name = |text| Name::new(text).expect("a name");
        let key = Key::new(b"k").expect("a key");
        let address = KeySpace::new(name("main"), name("users")).address(key);
        let remote = MemoryRemote::new(Arc::new(SystemClock::new()));
        let beat = Beat {
            bucket: address.bucket,
            seen: Position::ZERO,
            known: Known::NOTHING,
            doubted: false,
        };
        at_once(remote.beat(vec![beat]));
        Self {
            remote,
            address,
            commits: Vec::new(),
            granted: false,
            loaded: 0,
            stored: false,
        }
    }

    /// What the source holds: the number of its last writer, from 1.
    fn newest(&self) -> u8 {
        self.commits.last().map_or(0, |writer| *writer as u8 + 1)
    }

    fn writer(&mut self, writer: usize, step: usize) {
        let token = Token(writer as u64 + 1);
        let (remote, address) = (&self.remote, &self.address);
        match step {
            0 => assert!(at_once(remote.quarantine(address, token, MINUTE)).expect("it answers")),
            1 => self.commits.push(writer),
            _ => {
                let write = Write {
                    token,
                    as_of: None,
                    known: Known::NOTHING,
                    body: Bytes::from(vec![writer as u8 + 1]),
                    ttl: MINUTE,
                };
                let written = at_once(remote.write(address, write)).expect("it answers");
                self.stored |= matches!(written, Written::Stored { .. });
            }
        }
    }

    fn reader(&mut self, step: usize) {
        let token = Token(9);
        let (remote, address) = (&self.remote, &self.address);
        match step {
            0 => {
                let leased = at_once(remote.lease(address, token, MINUTE, Seen::Nothing));
                self.granted = matches!(leased, Ok(Leased::Granted { .. }));
            }
            1 => self.loaded = self.newest(),
            _ if self.granted => {
                let offer = Offer {
                    token: Some(token),
                    as_of: None,
                    body: Bytes::from(vec![self.loaded]),
                    ttl: MINUTE,
                };
                at_once(remote.fill(address, offer)).expect("it answers");
            }
            _ => {}
        }
    }

    fn deliver(&self, events: Events) {
        let mut offsets: Vec<_> = (1..=self.commits.len() as u64).collect();
        match events {
            Events::None => return,
            Events::InOrder => {}
            Events::LastFirst => offsets.reverse(),
        }
        for offset in offsets {
            let one = Invalidate {
                address: self.address.clone(),
                position: Some(Position::new(0, offset, 0)),
                known: Known::NOTHING,
                keep: MINUTE,
            };
            at_once(self.remote.apply(vec![one]));
        }
    }

    fn cached(&self) -> Option<u8> {
        let reading = at_once(self.remote.read(&self.address)).expect("it answers");
        match reading.record {
            Some(Record::Value { body, .. }) => Some(body[0]),
            Some(Record::Mark { .. }) | None => None,
        }
    }
}

fn at_once<T>(answer: impl Future<Output = T>) -> T {
    answer.now_or_never().expect("memory answers at once")
}

/// Every order of so many steps of the two writers and the reader.
fn orders(left: [usize; 3], so_far: &mut Vec<usize>, each: &mut impl FnMut(&[usize])) {
    if left == [0; 3] {
        return each(so_far);
    }
    for who in 0..left.len() {
        if left[who] > 0 {
            let mut left = left;
            left[who] -= 1;
            so_far.push(who);
            orders(left, so_far, each);
            so_far.pop();
        }
    }
}

#[test]
fn two_writers_in_every_order_and_ending_after_every_step_never_leave_the_older_value() {
    let (mut races, mut written) = (0, 0);
    for (first, second) in (0..=WRITER).flat_map(|one| (0..=WRITER).map(move |two| (one, two))) {
        // Whoever ends between its commit and L2 leaves the rest to its event.
        let ends_late = [first, second].contains(&2);
        let all = [Events::None, Events::InOrder, Events::LastFirst];
        for events in all.into_iter().skip(usize::from(ends_late)) {
            orders([first, second, READER], &mut Vec::new(), &mut |order| {
                let mut race = Race::new();
                let mut done = [0; 3];
                for who in order {
                    match who {
                        2 => race.reader(done[2]),
                        writer => race.writer(*writer, done[*writer]),
                    }
                    done[*who] += 1;
                }
                race.deliver(events);
                let (cached, newest) = (race.cached(), race.newest());
                assert!(
                    cached.is_none_or(|cached| cached == newest),
                    "{order:?}, {events:?}: {cached:?} is cached, and {newest} is the newest"
                );
                races += 1;
                written += usize::from(race.stored);
            });
        }
    }
    println!("{races} races, {written} of them with a value written through");
    assert!(written > 1_000, "only {written} of {races} wrote anything");
}
