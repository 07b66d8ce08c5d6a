//! Loads by flights: one per key per process, safe against callers that go away.

use super::probe::Probe;
use super::run::Load;
use super::{Ask, Attempt, Flown, Served, Tiers};
use crate::error::Kind;
use crate::event::{Event, Tier};
use crate::flight::single::{Lead, Part};
use crate::model::key::Key;
use crate::tier::l1::Age;
use std::sync::Arc;
use std::time::Duration;

/// How often a load that ends with its callers looks whether one still waits.
const ABANDONED_EVERY: Duration = Duration::from_millis(50);

impl<V: Send + Sync + 'static> Tiers<V> {
    /// Answers from the tiers, or loads.
    ///
    /// # Errors
    /// The load's, see [`Kind`]. Trouble of L2 or the bus is none.
    pub(crate) async fn get_or_load(
        self: &Arc<Self>,
        key: Key<'_>,
        ask: &Ask,
        load: Load<V>,
    ) -> Flown<V> {
        if let Some(served) = self.look(self.space.hash(key), key.bytes(), ask) {
            self.look_after(|| self.attempt(key), &served, load);
            let flown = Ok(served);
            self.answered(&flown, None);
            return flown;
        }
        let left = self.domain.clock().now();
        let flown = match ask.max_staleness {
            // No flight: what another caller finds may be too old for this one. If nothing
            // is, the lease still keeps the fleet to one load.
            Some(_) => self.probe_or_load(self.attempt(key), ask, load).await,
            None => match self.fly(key, ask, load).await {
                Err(error) => self.hold_over(key, ask).ok_or(error),
                flown => flown,
            },
        };
        self.answered(&flown, Some(left));
        flown
    }

    /// What a hit brings about in the background, if anything.
    fn look_after(
        self: &Arc<Self>,
        attempt: impl FnOnce() -> Attempt,
        served: &Served<V>,
        load: Load<V>,
    ) {
        match served.age {
            Age::Due => self.refresh(attempt, served, load),
            Age::Fresh if self.sample.draws() => self.compare(attempt(), served, load),
            Age::Fresh | Age::Stale => {}
        }
    }

    async fn fly(self: &Arc<Self>, key: Key<'_>, ask: &Ask, load: Load<V>) -> Flown<V> {
        loop {
            let attempt = self.attempt(key);
            let flights = &self.flights;
            match flights.join(&attempt.key, attempt.hash, attempt.since, ask.shares()) {
                Part::Lead(lead) => {
                    let follow = lead.follow();
                    // On a task of its own: the flight goes on when the caller
                    // that happened to lead it goes away.
                    tokio::spawn(self.clone().lead(attempt, *ask, load, lead));
                    return match self.wait_for(follow, key, ask).await {
                        Some(flown) => flown,
                        None => Err(self.load_error(Kind::LoadPanicked)),
                    };
                }
                Part::Follow(follow) => {
                    load.step_aside()();
                    let flight = self.wait_for(follow, key, ask);
                    match tokio::time::timeout(self.policy.lease, flight).await {
                        Ok(Some(flown)) => {
                            self.observe(Event::Coalesced { cache: self.id });
                            return flown;
                        }
                        Ok(None) => {}
                        // Somebody holds a ticket and does not fill.
                        Err(_) => return self.load_alone(&attempt, ask, load).await,
                    }
                }
                Part::Full => return Err(self.load_error(Kind::Overloaded)),
            }
        }
    }

    /// Loads without a lease: the value is for this caller alone.
    async fn load_alone(&self, attempt: &Attempt, ask: &Ask, load: Load<V>) -> Flown<V> {
        let loaded = self.run_load(attempt, ask, None, load).await?;
        let (held, _) = self.offer(attempt, None, loaded, None).await?;
        Ok(Served {
            held,
            tier: Tier::None,
            age: Age::Fresh,
            found: self.domain.clock().now(),
        })
    }

    async fn lead(
        self: Arc<Self>,
        attempt: Attempt,
        ask: Ask,
        load: Load<V>,
        lead: Lead<Flown<V>>,
    ) {
        // Look in L1 AGAIN. Without it, two callers can load one after the other:
        // 1. A and B both miss in L1
        // 2. A leads, loads, keeps the value, and its flight ends
        // 3. B comes to join, finds no flight, and leads a second one
        if let Some(served) = self.look(attempt.hash, &attempt.key, &ask) {
            return lead.finish(Ok(served));
        }
        let goes_on = self.policy.loads_go_on;
        let loading = self.probe_or_load(attempt, &ask, load);
        let abandoned = async {
            if goes_on {
                std::future::pending::<()>().await;
            }
            while !lead.is_abandoned() {
                tokio::time::sleep(ABANDONED_EVERY).await;
            }
        };
        let flown = tokio::select! {
            flown = loading => flown,
            () = abandoned => return,
        };
        lead.finish(flown);
    }

    async fn probe_or_load(
        self: &Arc<Self>,
        attempt: Attempt,
        ask: &Ask,
        load: Load<V>,
    ) -> Flown<V> {
        let grant = match self.probe(&attempt, ask, load.step_aside()).await {
            Probe::Found(served) => {
                self.look_after(|| attempt, &served, load);
                return Ok(served);
            }
            Probe::Granted(grant) => Some(grant),
            Probe::Busy(_) | Probe::NoLease => None,
        };
        let loaded = self.run_load(&attempt, ask, grant.as_ref(), load).await?;
        let (held, _) = self.offer(&attempt, grant, loaded, None).await?;
        Ok(Served {
            held,
            tier: Tier::None,
            age: Age::Fresh,
            found: self.domain.clock().now(),
        })
    }
}
