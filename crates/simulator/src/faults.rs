//! Owns the faults that can be injected, their spelling, and the store of those that are armed and wait for their
//! occasion. Pure; the connection tasks ask and act.

use std::collections::VecDeque;
use std::str::FromStr;
use std::time::Duration;

use crate::Error;

/// Something that goes wrong at the simulator's side. Those that act at once need a connection; the others wait for
/// their occasion. `Display` is not offered: the spelling for the command line is that of `FromStr`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// `go-away`: GOAWAY now; open streams may finish; the downchannel is ended a second later.
    GoAway,
    /// `end-downchannel`: END_STREAM on the downchannel, connection stays.
    EndDownchannel,
    /// `reset-downchannel`: RST_STREAM (INTERNAL_ERROR) on the downchannel, connection stays.
    ResetDownchannel,
    /// `reset-events[:COUNT]`: the next events' streams are reset before any answer.
    ResetEvents(u32),
    /// `tcp-reset`: the sockets are closed with RST.
    TcpReset,
    /// `half-close`: FIN now, reading goes on.
    HalfClose,
    /// `silence`: the sockets stay open, nothing is answered any more, HTTP/2 PING included.
    Silence,
    /// `event-status:STATUS[:COUNT]`: the next events get this status and its exception body.
    EventStatus(u16, u32),
    /// `downchannel-status:STATUS[:COUNT]`: the next downchannel requests get this status.
    DownchannelStatus(u16, u32),
    /// `capabilities-status:STATUS[:COUNT]`: the next Capabilities calls get this status.
    CapabilitiesStatus(u16, u32),
    /// `lwa:ERROR[:COUNT]`: the next token requests fail with this `error` (400; `servererror` 500), or in one of these
    /// ways: `garbage` (a 200 that is no JSON), `reset` (the stream is reset), `silence` (no answer ever).
    Lwa(String, u32),
    /// `lwa-pair:ERROR[:COUNT]`: the next requests for a code pair, whoever makes them, fail likewise.
    LwaPair(String, u32),
    /// `expire-token`: every access token of the device is expired now.
    ExpireToken,
    /// `revoke`: every token of the device is void; refreshes get `invalid_grant`.
    Revoke,
    /// `slow-drip[:MILLISECONDS]`: whatever is sent goes byte by byte, a DATA frame each, this far apart.
    SlowDrip(Duration),
    /// `split`: delimiter lines are cut in two DATA frames, each time at the next offset.
    SplitDelimiters,
    /// `malformed`: five malformed parts on the downchannel now, one of each sort (see `emit`).
    MalformedPart,
    /// `oversized[:BYTES]`: a JSON part of this size on the downchannel now (default 8 MiB).
    OversizedPart(usize),
    /// `no-final-delimiter[:COUNT]`: the next answers to events with directives end without the closing delimiter.
    NoFinalDelimiter(u32),
    /// `unanswered-ping[:COUNT]`: the next `/ping` requests are never answered.
    UnansweredPing(u32),
    /// `delay-headers:MILLISECONDS[:COUNT]`: the next events' answers come this late.
    DelayHeaders(Duration, u32),
    /// `refuse[:COUNT]`: the next TCP connections (for one device: downchannel requests) are reset.
    Refuse(u32),
    /// `clear`: forget every armed fault, send normally again.
    Clear,
}

impl FromStr for Fault {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |why| Error::BadFault(text.to_owned(), why);
        let mut words = text.split(':');
        let kind = words.next().unwrap_or_default();
        let arguments: Vec<&str> = words.collect();
        let number = |at: usize, default: Option<u32>| match (arguments.get(at), default) {
            (Some(word), _) => word.parse::<u32>().map_err(|_| wrong("a number was expected")),
            (None, Some(default)) => Ok(default),
            (None, None) => Err(wrong("a number is missing")),
        };
        let status = || {
            let status = number(0, None)?;
            u16::try_from(status)
                .ok()
                .filter(|code| (200..600).contains(code))
                .ok_or_else(|| wrong("no such status"))
        };
        let millis = |default| number(0, default).map(|count| Duration::from_millis(u64::from(count)));
        Ok(match kind {
            "go-away" => Self::GoAway,
            "end-downchannel" => Self::EndDownchannel,
            "reset-downchannel" => Self::ResetDownchannel,
            "reset-events" => Self::ResetEvents(number(0, Some(1))?),
            "tcp-reset" => Self::TcpReset,
            "half-close" => Self::HalfClose,
            "silence" => Self::Silence,
            "event-status" => Self::EventStatus(status()?, number(1, Some(1))?),
            "downchannel-status" => Self::DownchannelStatus(status()?, number(1, Some(1))?),
            "capabilities-status" => Self::CapabilitiesStatus(status()?, number(1, Some(1))?),
            "lwa" | "lwa-pair" => {
                let error = arguments.first().ok_or_else(|| wrong("the error's name is missing"))?;
                let (error, count) = ((*error).to_owned(), number(1, Some(1))?);
                if kind == "lwa" { Self::Lwa(error, count) } else { Self::LwaPair(error, count) }
            }
            "expire-token" => Self::ExpireToken,
            "revoke" => Self::Revoke,
            "slow-drip" => Self::SlowDrip(millis(Some(1))?),
            "split" => Self::SplitDelimiters,
            "malformed" => Self::MalformedPart,
            "oversized" => Self::OversizedPart(number(0, Some(8 << 20))? as usize),
            "no-final-delimiter" => Self::NoFinalDelimiter(number(0, Some(1))?),
            "unanswered-ping" => Self::UnansweredPing(number(0, Some(1))?),
            "delay-headers" => Self::DelayHeaders(millis(None)?, number(1, Some(1))?),
            "refuse" => Self::Refuse(number(0, Some(1))?),
            "clear" => Self::Clear,
            _ => return Err(wrong("no such fault")),
        })
    }
}

/// How bytes of multipart bodies are put into DATA frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Emission {
    #[default]
    Normal,
    Drip(Duration),
    /// Cut delimiter lines at this offset (modulo their length).
    Split(usize),
}

/// Faults of one device that wait for their occasion.
#[derive(Debug, Default)]
pub(crate) struct Armed {
    pub(crate) event_status: VecDeque<u16>,
    pub(crate) downchannel_status: VecDeque<u16>,
    pub(crate) capabilities_status: VecDeque<u16>,
    pub(crate) lwa: VecDeque<String>,
    pub(crate) delays: VecDeque<Duration>,
    pub(crate) reset_events: u32,
    pub(crate) unanswered_pings: u32,
    pub(crate) unclosed: u32,
    pub(crate) refuse: u32,
    pub(crate) emission: Emission,
}

impl Armed {
    /// Takes a fault in if it is of the waiting sort; the others are the caller's.
    pub(crate) fn arm(&mut self, fault: &Fault) {
        match fault {
            Fault::ResetEvents(count) => self.reset_events = *count,
            Fault::EventStatus(status, count) => repeat(&mut self.event_status, status, *count),
            Fault::DownchannelStatus(status, count) => repeat(&mut self.downchannel_status, status, *count),
            Fault::CapabilitiesStatus(status, count) => repeat(&mut self.capabilities_status, status, *count),
            Fault::Lwa(error, count) => repeat(&mut self.lwa, error, *count),
            Fault::SlowDrip(pause) => self.emission = Emission::Drip(*pause),
            Fault::SplitDelimiters => self.emission = Emission::Split(0),
            Fault::NoFinalDelimiter(count) => self.unclosed = *count,
            Fault::UnansweredPing(count) => self.unanswered_pings = *count,
            Fault::DelayHeaders(delay, count) => repeat(&mut self.delays, delay, *count),
            Fault::Refuse(count) => self.refuse = *count,
            Fault::Clear => *self = Self::default(),
            _ => {}
        }
    }

    /// The emission for the next write; a split moves on by one offset.
    pub(crate) fn emission(&mut self) -> Emission {
        let now = self.emission;
        if let Emission::Split(offset) = &mut self.emission {
            *offset += 1;
        }
        now
    }
}

/// Counts down; whether there was one left.
pub(crate) fn take(count: &mut u32) -> bool {
    let any = *count > 0;
    *count = count.saturating_sub(1);
    any
}

fn repeat<T: Clone>(queue: &mut VecDeque<T>, item: &T, count: u32) {
    // A person's typing error must not fill the memory.
    for _ in 0..count.min(10_000) {
        queue.push_back(item.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling() {
        assert_eq!("go-away".parse::<Fault>().unwrap(), Fault::GoAway);
        assert_eq!("event-status:503:3".parse::<Fault>().unwrap(), Fault::EventStatus(503, 3));
        assert_eq!("lwa:slow_down".parse::<Fault>().unwrap(), Fault::Lwa("slow_down".into(), 1));
        for wrong in ["", "event-status", "event-status:9", "delay-headers", "refuse:x", "lwa"] {
            assert!(wrong.parse::<Fault>().is_err(), "{wrong}");
        }
    }
}
