//! Where announced invalidations are handed over to be looked at again.

use super::{InspectorSettings, Sample};
use cache_core::clock::Tick;
use cache_core::model::position::Position;
use cache_core::wire::invalidation::Target;
use tokio::sync::mpsc;

/// The announcing end. It never waits.
#[derive(Clone, Debug)]
pub struct Sampler(mpsc::Sender<Sample>);

/// The inspector's end.
#[derive(Debug)]
pub struct Samples {
    queue: mpsc::Receiver<Sample>,
    settings: InspectorSettings,
}

/// Both ends, with room for one second's worth between them; nothing at a rate of 0.
///
/// A burst may so take all of its second at once. It waits here for no longer than
/// its first look is away.
pub fn channel(settings: InspectorSettings) -> Option<(Sampler, Samples)> {
    if settings.rate == 0 {
        return None;
    }
    let (sender, queue) = mpsc::channel(settings.rate as usize);
    Some((Sampler(sender), Samples { queue, settings }))
}

impl Sampler {
    /// Hands an announced invalidation over. Returns false if it is not sampled: there
    /// is no room, because others took the rate, or L2 keeps the inspector waiting.
    pub fn offer(&self, target: &Target, position: Position, announced: Tick) -> bool {
        let Ok(room) = self.0.try_reserve() else {
            return false;
        };
        room.send(Sample {
            target: target.clone(),
            position,
            announced,
            history: Default::default(),
        });
        true
    }
}

impl Samples {
    /// What one round takes in: its share of the rate, at most.
    pub fn take(&mut self) -> impl Iterator<Item = Sample> {
        let most = self.settings.round_max();
        std::iter::from_fn(|| self.queue.try_recv().ok()).take(most)
    }

    /// The limits.
    pub fn settings(&self) -> InspectorSettings {
        self.settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_core::model::key::Name;

    fn offer(sampler: &Sampler, offset: u64) -> bool {
        let target = Target::Key {
            cache: Name::new("users").unwrap(),
            key: b"user:7".as_slice().into(),
        };
        let position = Position::new(0, offset, 0);
        sampler.offer(&target, position, Tick::default())
    }

    #[test]
    fn a_second_s_worth_may_come_at_once_and_is_taken_in_shares() {
        let (sampler, mut samples) = channel(InspectorSettings { rate: 8 }).unwrap();
        let taken = (0..10).filter(|offset| offer(&sampler, *offset)).count();
        assert_eq!(taken, 8);
        let offsets = |samples: &mut Samples| -> Vec<u64> {
            samples.take().map(|one| one.position.offset).collect()
        };
        assert_eq!(offsets(&mut samples), [0, 1], "a quarter of it");
        assert!(offer(&sampler, 10) && offer(&sampler, 11) && !offer(&sampler, 12));
        assert_eq!(offsets(&mut samples), [2, 3]);
    }

    #[test]
    fn a_rate_of_zero_is_no_inspector() {
        assert!(channel(InspectorSettings { rate: 0 }).is_none());
    }

    #[test]
    fn whoever_ended_takes_nothing_and_holds_up_nobody() {
        let (sampler, samples) = channel(InspectorSettings::default()).unwrap();
        drop(samples);
        assert!(!offer(&sampler, 1));
    }
}
