//! How much sound a session keeps before it is heard, at each pace.

use std::time::Duration;

use antiphon_endpoint::Pace;

/// How much sound a session keeps at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Depth {
    /// What the server keeps ready for its sink.
    pub buffer: Duration,
    /// The pieces it is asked for in, and what the sink keeps.
    pub piece: Duration,
    /// Sound is made at most so long before it is heard: the buffer, and what the sink adds to it.
    pub ahead: Duration,
    /// How early blocks must come: there must be time to make the sound, too.
    pub lead: Duration,
}

impl Depth {
    pub(crate) fn of(pace: Pace) -> Self {
        let [buffer, piece, ahead, lead] = match pace {
            Pace::Steady => [350, 20, 410, 450],
            Pace::Quick => [60, 10, 90, 120],
        }
        .map(Duration::from_millis);
        Self { buffer, piece, ahead, lead }
    }

    /// For this machine's own sound, which no network delays.
    pub(crate) fn here(pace: Pace) -> Self {
        match pace {
            Pace::Steady => Self {
                buffer: Duration::from_millis(200),
                piece: Duration::from_millis(10),
                ahead: Duration::from_millis(260),
                lead: Duration::from_millis(300),
            },
            Pace::Quick => Self::of(pace),
        }
    }
}
