//! Telling what of a timeline has been heard.

use antiphon_domain::HubTime;

use super::schedule::{BLOCK, Schedule};
use super::{Segment, Timeline};
use crate::news::{FeedEvent, FeedSink};

impl Timeline {
    /// Says what has been heard by `now`, and forgets it.
    pub(crate) fn report(&mut self, now: HubTime) {
        let heard = self.schedule.heard(now);
        while let Some(mut first) = self.segments.pop_front() {
            report_one(&mut first, &self.schedule, &mut self.out, heard, now);
            if first.end.is_none_or(|end| heard < end) {
                self.segments.push_front(first);
                break;
            }
            let offset = first.note_heard(heard);
            match first.failure.clone() {
                Some(error) => first.tell(&mut self.out, FeedEvent::Failed { error, offset }),
                None => first.tell(&mut self.out, FeedEvent::Finished { offset }),
            }
        }
        let Self { segments, schedule, out, .. } = self;
        for segment in segments.iter_mut().skip(1) {
            report_one(segment, schedule, out, heard, now);
        }
        self.ring.prune(heard / BLOCK);
        self.schedule.prune(now);
    }
}

fn report_one(
    segment: &mut Segment,
    schedule: &Schedule,
    out: &mut Vec<(FeedSink, FeedEvent)>,
    heard: u64,
    now: HubTime,
) {
    let Some(start) = segment.start else { return };
    let has_sound = segment.end.map_or(segment.sound, |end| end > start);
    if !segment.started
        && has_sound
        && let Some(at) = schedule.frame_due(start)
    {
        if !segment.scheduled {
            segment.scheduled = true;
            segment.tell(out, FeedEvent::Scheduled { at });
        }
        if at <= now {
            segment.started = true;
            segment.tell(out, FeedEvent::Started { at });
        }
    }
    if heard >= start {
        segment.note_heard(heard);
    }
}
