//! How loud a stream is to be at its server, and who said so.
//!
//! A machine within the talk with the server: at most one change is under way, and the latest wish follows it. A change
//! that the server tells of and that is none of ours was made by a person there.

use antiphon_domain::{Level, Volume};

use super::wire::volume::{UNITY, from_server, to_server};

/// What a person did at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turned {
    Volume(Volume),
    Muted(bool),
}

/// What to tell the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Volume(u32),
    Muted(bool),
}

#[derive(Debug)]
pub(crate) struct Levels {
    /// Whether the volume is the server's matter at all.
    own: bool,
    wished: Option<Level>,
    /// What the server has, as far as we know.
    volume: u32,
    muted: bool,
    /// Changes under way.
    setting: u32,
    looking: bool,
    /// What is being looked at was overtaken by a change of ours.
    void: bool,
    /// Something changed since we began to look.
    again: bool,
}

impl Levels {
    pub(crate) fn new(own: bool) -> Self {
        Self {
            own,
            wished: None,
            volume: UNITY,
            muted: false,
            setting: 0,
            looking: false,
            void: false,
            again: false,
        }
    }

    /// What a stream begins with: muted where nobody has said how loud.
    pub(crate) fn first(&mut self) -> (u32, bool) {
        if self.own {
            self.volume = self.wished.map_or(0, |level| to_server(level.volume));
            self.muted = self.wished.is_none_or(|level| level.muted);
        }
        (self.volume, self.muted)
    }

    pub(crate) fn wish(&mut self, level: Level) {
        if self.own {
            self.wished = Some(level);
        }
    }

    /// What to tell the server now; each must be answered by [`Levels::set`].
    pub(crate) fn changes(&mut self) -> [Option<Change>; 2] {
        let Some(level) = self.wished.filter(|_| self.setting == 0) else { return [None; 2] };
        let volume = to_server(level.volume);
        let louder = (volume != self.volume).then_some(Change::Volume(volume));
        let muted = (level.muted != self.muted).then_some(Change::Muted(level.muted));
        self.volume = volume;
        self.muted = level.muted;
        let changes = [louder, muted];
        self.setting = changes.iter().flatten().count() as u32;
        self.void |= self.setting > 0;
        changes
    }

    /// The server has done as we asked.
    pub(crate) fn set(&mut self) {
        self.setting = self.setting.saturating_sub(1);
    }

    /// The server says that something changed; whether to look at it.
    pub(crate) fn changed(&mut self) -> bool {
        let look = self.own && !self.looking;
        if look {
            self.looking = true;
            self.void = self.setting > 0;
            self.again = false;
        } else {
            self.again = true;
        }
        look
    }

    /// What the server has: what of it a person did, and whether to look again.
    pub(crate) fn seen(&mut self, volume: u32, muted: bool) -> ([Option<Turned>; 2], bool) {
        self.looking = false;
        let mut turned = [None; 2];
        // One that was overtaken is told of once more.
        if !self.void && self.setting == 0 {
            if volume != self.volume {
                turned[0] = Some(Turned::Volume(from_server(volume)));
            }
            if muted != self.muted {
                turned[1] = Some(Turned::Muted(muted));
            }
            self.volume = volume;
            self.muted = muted;
            if turned.iter().any(Option::is_some) {
                // It is their wish that counts until the next of ours.
                self.wished = None;
            }
        }
        (turned, std::mem::take(&mut self.again) && self.changed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(volume: i64, muted: bool) -> Level {
        Level { volume: Volume::new(volume).unwrap(), muted }
    }

    fn value(volume: i64) -> u32 {
        to_server(Volume::new(volume).unwrap())
    }

    #[test]
    fn a_stream_begins_muted_until_somebody_says_how_loud() {
        let mut levels = Levels::new(true);
        assert_eq!(levels.first(), (0, true));
        levels.wish(level(40, false));
        assert_eq!(levels.changes(), [Some(Change::Volume(value(40))), Some(Change::Muted(false))]);
        let mut levels = Levels::new(false);
        levels.wish(level(40, true));
        assert_eq!(levels.first(), (UNITY, false));
        assert_eq!(levels.changes(), [None; 2]);
    }

    #[test]
    fn of_many_wishes_the_latest_is_told_once_the_first_is_done() {
        let mut levels = Levels::new(true);
        levels.wish(level(10, false));
        levels.first();
        assert_eq!(levels.changes(), [None; 2]);
        levels.wish(level(20, false));
        assert_eq!(levels.changes(), [Some(Change::Volume(value(20))), None]);
        for volume in 21..60 {
            levels.wish(level(volume, false));
            assert_eq!(levels.changes(), [None; 2]);
        }
        levels.set();
        assert_eq!(levels.changes(), [Some(Change::Volume(value(59))), None]);
    }

    #[test]
    fn echoes_are_not_changes_and_changes_are_not_echoes() {
        let mut levels = Levels::new(true);
        levels.wish(level(10, false));
        levels.first();
        levels.wish(level(20, false));
        levels.changes();
        assert!(levels.changed(), "it looks");
        // Asked before the server has done it: whatever it says is void.
        assert_eq!(levels.seen(value(10), false), ([None; 2], false));
        levels.set();
        assert!(levels.changed());
        assert_eq!(levels.seen(value(20), false), ([None; 2], false));
        assert!(levels.changed());
        let turned = Some(Turned::Volume(Volume::new(70).unwrap()));
        assert_eq!(levels.seen(value(70), false), ([turned, None], false));
        assert_eq!(levels.changes(), [None; 2], "theirs stays");
        levels.wish(level(20, false));
        assert_eq!(levels.changes(), [Some(Change::Volume(value(20))), None]);
        levels.set();
        assert!(levels.changed());
        assert!(!levels.changed(), "one look at a time");
        let (turned, again) = levels.seen(value(20), true);
        assert_eq!((turned, again), ([None, Some(Turned::Muted(true))], true));
    }
}
