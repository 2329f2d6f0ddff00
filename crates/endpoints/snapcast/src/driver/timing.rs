//! A client's clock, as its questions for the time tell it.
//!
//! A client asks fifty times in a row when it has connected, each time 0.1 ms after the last answer, and then once a
//! second; it never says when an answer reached it. But the next question left after that, so in the row each question
//! bounds the way of the answer before it. Later ones bound one way only; how long that may take is what the row showed.

use std::time::Duration;

use antiphon_audio::clock::{ClockFilter, Exchange};
use antiphon_domain::HubTime;
use antiphon_endpoint::{ClockReading, EndpointEvent, SyncReport};

use crate::wire::Stamp;

/// A question that comes so soon after an answer was asked because of it.
const IN_A_ROW: Duration = Duration::from_millis(20);

/// What one way is believed to take at most, before a row showed better.
const ONE_WAY: Duration = Duration::from_millis(50);

/// However short the row's ways were: a wireless network takes so much now and then.
const AT_LEAST: Duration = Duration::from_millis(1);

/// Between two reports.
const REPORT: Duration = Duration::from_millis(900);

/// What was learnt from one connection's questions.
#[derive(Debug)]
pub struct Timing {
    filter: ClockFilter,
    /// The last question: sent by the client's clock, nanoseconds; received and answered by ours.
    last: Option<(i64, HubTime, HubTime)>,
    longest: Duration,
    next_report: HubTime,
}

impl Timing {
    /// Knows nothing.
    pub fn new() -> Self {
        Self { filter: ClockFilter::new(), last: None, longest: ONE_WAY, next_report: HubTime::EPOCH }
    }

    /// A question that was sent, received and answered then.
    pub fn asked(&mut self, sent: Stamp, received: HubTime, answered: HubTime) {
        let sent = sent.micros() * 1_000;
        let row = self.last.filter(|(.., answered)| received.since(*answered) < IN_A_ROW);
        let both =
            row.and_then(|(first, received, answered)| Exchange::asked(first, received, answered, sent));
        let exchange = both.unwrap_or_else(|| Exchange::one_way(sent, received, self.longest));
        if let Some(both) = &both {
            self.longest = self.longest.min((both.uncertainty() * 2).max(AT_LEAST));
        }
        self.filter.observe(exchange);
        self.last = Some((sent, received, answered));
    }

    /// What is known, once a second at most.
    pub fn report(&mut self, now: HubTime) -> Option<EndpointEvent> {
        if now < self.next_report {
            return None;
        }
        let reading = self.filter.reading(now)?;
        self.next_report = now + REPORT;
        let clock = ClockReading {
            offset_nanos: reading.offset_nanos,
            uncertainty: reading.uncertainty,
            drift_ppm: reading.drift_ppm,
        };
        // How far from its stamp a chunk is heard the client keeps to itself, and what it does about it too.
        Some(EndpointEvent::Sync(SyncReport { clock: Some(clock), ..SyncReport::default() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFSET: i64 = 5_000_000_000;

    fn stamp(client_nanos: i64) -> Stamp {
        Stamp::from_micros(client_nanos / 1_000)
    }

    #[test]
    fn a_row_of_questions_tells_the_offset_closely() {
        let mut timing = Timing::new();
        let mut now: i64 = 1_000_000_000;
        // 200 us there, 200 us back, 150 us between.
        for _ in 0..50 {
            let received = HubTime::from_nanos(now + 200_000);
            timing.asked(stamp(now + OFFSET), received, HubTime::from_nanos(now + 220_000));
            now += 570_000;
        }
        // And once a second, late now and then.
        for second in 0..20 {
            now += 1_000_000_000;
            let way = if second % 5 == 0 { 700_000 } else { 210_000 };
            let received = HubTime::from_nanos(now + way);
            timing.asked(stamp(now + OFFSET), received, received);
        }
        let Some(EndpointEvent::Sync(report)) = timing.report(HubTime::from_nanos(now)) else {
            panic!("nothing is known");
        };
        let clock = report.clock.unwrap();
        let wrong = (clock.offset_nanos - OFFSET).unsigned_abs();
        assert!(clock.uncertainty < Duration::from_micros(700), "{clock:?}");
        assert!(u128::from(wrong) <= clock.uncertainty.as_nanos(), "{clock:?}");
        assert!(report.error.is_none());
        assert!(timing.report(HubTime::from_nanos(now + 1_000_000)).is_none(), "once a second");
    }
}
