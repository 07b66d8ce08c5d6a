//! Places in a database's log, and whose log it is.

use std::fmt;
use std::str::FromStr;

/// The place of an event in the log. Places are in commit order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Where the transaction was committed.
    pub lsn: u64,
    /// Which event of the transaction it is, from 1; 0 for what belongs to none.
    pub index: u64,
}

/// Whose log it is. After a failover or a restore the same places may hold other changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The system identifier, which a database cluster gets when it is made.
    pub system: String,
    /// The timeline, which grows when a standby is promoted or a backup restored.
    pub timeline: u32,
}

/// A place in the log as PostgreSQL writes it: `16/B374D848`.
#[derive(Clone, Copy, Debug)]
pub struct Lsn(pub u64);

/// What is no place, or no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no place in a database's log")]
pub struct NoPlace;

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 as u32)
    }
}

impl FromStr for Lsn {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (high, low) = text.split_once('/').ok_or(NoPlace)?;
        let half = |text| u32::from_str_radix(text, 16).map_err(|_| NoPlace);
        Ok(Self(u64::from(half(high)?) << 32 | u64::from(half(low)?)))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Lsn(self.lsn), self.index)
    }
}

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (lsn, index) = text.rsplit_once('/').ok_or(NoPlace)?;
        let Lsn(lsn) = lsn.parse()?;
        let index = index.parse().map_err(|_| NoPlace)?;
        Ok(Self { lsn, index })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.system, self.timeline)
    }
}

impl FromStr for Origin {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (system, timeline) = text.split_once('/').ok_or(NoPlace)?;
        let timeline = timeline.parse().map_err(|_| NoPlace)?;
        let system = system.to_owned();
        Ok(Self { system, timeline })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again() {
        let place = Place {
            lsn: 0x16_B374_D848,
            index: 12,
        };
        assert_eq!(place.to_string(), "16/B374D848/12");
        assert_eq!("16/B374D848/12".parse(), Ok(place));
        let origin = Origin {
            system: "7123".to_owned(),
            timeline: 2,
        };
        assert_eq!(origin.to_string().parse(), Ok(origin));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "1",
            "1/2",
            "x/1/2",
            "1/100000000/1",
            "1/2/-1",
            "1/2/3/4",
        ] {
            assert_eq!(text.parse::<Place>(), Err(NoPlace), "{text}");
        }
        assert_eq!("7123".parse::<Origin>(), Err(NoPlace));
    }
}
