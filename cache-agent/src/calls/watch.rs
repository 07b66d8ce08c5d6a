//! Watch: what becomes invalid, told as the agent hears it.
//!
//! A watcher is a place in the [feed](crate::feed), and holds nothing else. One that reads too slowly
//! finds its place gone, and is told of a gap.

use crate::callers::Caller;
use crate::calls::Agent;
use crate::convert;
use crate::failure::{Failure, Reason};
use crate::feed::{Place, Told};
use crate::proto::v1::{self, watch_response as event};
use crate::turns::Turn;
use bytes::Bytes;
use cache_core::wire::invalidation::{Invalidation, Target};
use cache_core::{Name, Tag};
use futures_util::Stream;
use std::collections::HashSet;
use tokio::sync::watch;
use tokio::time::Instant;

/// The most caches that one watch may name: as many as a process can have.
const NAMES_MAX: usize = cache_core::event::CACHES_MAX;
/// How many invalidations one message has at most.
const TOGETHER_MAX: usize = 256;

/// One watch under way.
struct Watch {
    agent: Agent,
    /// Nothing for all.
    caches: Option<HashSet<Name>>,
    /// Who watches; nobody if nobody is asked.
    caller: Option<Caller>,
    /// The number of the next one to be told.
    at: u64,
    news: watch::Receiver<u64>,
    /// What is said first.
    greeting: Option<event::Event>,
    due: Instant,
    _turn: Turn,
}

impl Agent {
    /// Tells what becomes invalid from the cursor on, until the agent ends. It begins with
    /// a gap if something may be missing, and else with a heartbeat.
    ///
    /// # Errors
    /// [`Reason::BadCursor`], [`Reason::CacheUnknown`], [`Reason::BatchTooLarge`] for too
    /// many names, and [`Reason::Overloaded`] when too many streams are open.
    pub fn watch(
        &self,
        request: v1::WatchRequest,
        caller: Option<Caller>,
    ) -> Result<impl Stream<Item = Result<v1::WatchResponse, Failure>> + Send + use<>, Failure>
    {
        let named = request.caches.len();
        if named > NAMES_MAX {
            return Err(Failure::too_many("caches", named, NAMES_MAX).at("caches"));
        }
        let mut names = HashSet::new();
        // All of them is all that the caller may use.
        let own = caller.as_ref().and_then(Caller::caches);
        let own = own.filter(|_| request.caches.is_empty());
        for name in request.caches.iter().chain(own.iter().flatten()) {
            names.insert(self.caches.known(name)?);
        }
        let turn = self.streams.take()?;
        let feed = &self.watcher.feed;
        let (news, head) = (feed.news(), feed.head());
        let at = match request.cursor.as_str() {
            "" => Some(head),
            cursor => match feed.place(cursor) {
                Place::Here(number) => feed.read(number, 0).map(|_| number),
                Place::Elsewhere => None,
                Place::Nowhere => {
                    let message = "it is no cursor of a Watch; leave it empty to watch from now on";
                    return Err(Failure::new(Reason::BadCursor, message).at("cursor"));
                }
            },
        };
        let mut watch = Watch {
            agent: self.clone(),
            caches: (!names.is_empty() || own.is_some()).then_some(names),
            caller,
            at: at.unwrap_or(head),
            news,
            greeting: None,
            due: Instant::now(),
            _turn: turn,
        };
        watch.greeting = Some(match at {
            Some(_) => watch.heartbeat(),
            None => watch.gap("the cursor is too old, or another agent's"),
        });
        Ok(futures_util::stream::unfold(Some(watch), step))
    }
}

/// The next thing to be told; after an error there is none.
async fn step(watch: Option<Watch>) -> Option<(Result<v1::WatchResponse, Failure>, Option<Watch>)> {
    let mut watch = watch?;
    let next = watch.next().await;
    // After the wait: who is gone meanwhile is told nothing more.
    if let Some(Err(gone)) = watch.caller.as_ref().map(Caller::is_as_before) {
        return Some((Err(gone), None));
    }
    match next {
        Some(event) => {
            let cursor = watch.agent.watcher.feed.cursor(watch.at);
            let event = Some(event);
            Some((Ok(v1::WatchResponse { cursor, event }), Some(watch)))
        }
        None => Some((Err(Failure::shutting_down()), None)),
    }
}

impl Watch {
    /// Nothing when the agent is about to end.
    async fn next(&mut self) -> Option<event::Event> {
        let event = match self.greeting.take() {
            // Whether the agent hears is told at once, by the heartbeat that is due.
            Some(gap @ event::Event::Gap(_)) => return Some(gap),
            Some(heartbeat) => heartbeat,
            None => self.listen().await?,
        };
        self.due = Instant::now() + self.agent.limits.load().watch_heartbeat;
        Some(event)
    }

    async fn listen(&mut self) -> Option<event::Event> {
        while !self.agent.closing.is_cancelled() {
            self.news.borrow_and_update();
            let feed = &self.agent.watcher.feed;
            match feed.read(self.at, TOGETHER_MAX) {
                None => {
                    self.at = feed.head();
                    return Some(self.gap("the watcher was too slow"));
                }
                Some(told) if !told.is_empty() => {
                    if let Some(event) = self.tell(told) {
                        return Some(event);
                    }
                    // All of it was of other caches, which is no sign of life.
                    if Instant::now() >= self.due {
                        return Some(self.heartbeat());
                    }
                }
                Some(_) => {
                    tokio::select! {
                        () = self.agent.closing.cancelled() => return None,
                        () = tokio::time::sleep_until(self.due) => return Some(self.heartbeat()),
                        // The feed lives as long as the agent: this is no error.
                        _ = self.news.changed() => {}
                    }
                }
            }
        }
        None
    }

    /// As many as go into one message, if any of them is of a cache that is watched.
    fn tell(&mut self, told: Vec<Told>) -> Option<event::Event> {
        let gaps = told.iter().take_while(|one| matches!(one, Told::Gap(_)));
        let gaps = gaps.count() as u64;
        let mut all = Vec::new();
        for one in told {
            match one {
                Told::Gap(reason) if all.is_empty() && gaps > 0 => {
                    self.at += gaps;
                    return Some(self.gap(&reason));
                }
                Told::Hears(hears) if all.is_empty() => {
                    self.at += 1;
                    let sign = self.sign();
                    return Some(event::Event::Heartbeat(event::Heartbeat { hears, ..sign }));
                }
                Told::Invalid(one) => {
                    self.at += 1;
                    all.extend(self.message(one));
                }
                // It has a message of its own, the next one.
                Told::Gap(_) | Told::Hears(_) => break,
            }
        }
        let some = (!all.is_empty()).then_some(all);
        some.map(|all| event::Event::Invalidations(event::Invalidations { all }))
    }

    /// One invalidation, if its cache is watched.
    fn message(&self, one: Invalidation) -> Option<event::Invalidation> {
        let (cache, target) = match one.target {
            Target::Key { cache, key } => {
                let key = Bytes::copy_from_slice(&key);
                (cache, event::invalidation::Target::Key(key))
            }
            Target::Tag { cache, tag } if tag == Tag::all() => {
                let whole = event::WholeCache {};
                (cache, event::invalidation::Target::WholeCache(whole))
            }
            Target::Tag { cache, tag } => {
                let tag = tag.as_str().to_owned();
                (cache, event::invalidation::Target::Tag(tag))
            }
            Target::Bucket(_) => return None,
        };
        match &self.caches {
            Some(caches) if !caches.contains(&cache) => None,
            _ => Some(event::Invalidation {
                cache: cache.as_str().to_owned(),
                target: Some(target),
                position: Some(one.position.into()),
                changed_at: one.changed_ms.map(convert::timestamp),
            }),
        }
    }

    fn gap(&self, reason: &str) -> event::Event {
        let names = self.caches.iter().flatten();
        event::Event::Gap(event::Gap {
            caches: names.map(|name| name.as_str().to_owned()).collect(),
            reason: reason.to_owned(),
        })
    }

    fn heartbeat(&self) -> event::Event {
        event::Event::Heartbeat(self.sign())
    }

    fn sign(&self) -> event::Heartbeat {
        let lag = self.agent.watcher.lag();
        let domain = self.agent.caches.domain();
        event::Heartbeat {
            hears: domain.is_some_and(|domain| domain.trust().holds(domain.clock().now())),
            lag: (lag.count > 0).then(|| convert::span(lag.p99)),
        }
    }
}
