//! What the player and the focus channels say about the streams, and what is told about it.

use antiphon_domain::HubTime;
use antiphon_domain::focus::{Channel, Focus};
use serde_json::json;
use std::time::Duration;

use super::estate::out_of_reach;
use super::progress::{Due, millis};
use super::stream::{Phase, Stream};
use super::telling::{nearly_finished, start, unattached};
use super::{Arrived, AudioPlayer, Fate, NAMESPACE, Rest};
use crate::effect::{PlayerCommand, PlayerId};
use crate::interfaces::{Activity, Announcement, Turn};
use crate::message::Event;
use crate::signal::PlayerNews;

impl AudioPlayer {
    pub(super) fn on_news(&mut self, id: PlayerId, news: &PlayerNews, turn: &mut Turn<'_>) {
        // A chained stream that sounds has the one before it behind itself, whatever order the news came in.
        let successor = self.queue.front().is_some_and(|head| head.id == id && head.chained.is_some());
        if successor && matches!(news, PlayerNews::Started { .. }) {
            self.finish(turn);
        }
        if self.current.as_ref().is_some_and(|current| current.id == id) {
            self.on_current(news, turn);
        } else if let Some(index) = self.queue.iter().position(|queued| queued.id == id) {
            self.on_queued(index, news, turn);
        } else if let Some(arrived) = self.arrived.iter_mut().find(|arrived| arrived.stream.id == id) {
            arrived.on_news(news);
        }
    }

    fn on_current(&mut self, news: &PlayerNews, turn: &mut Turn<'_>) {
        let Some(current) = self.current.as_mut() else { return };
        let now = turn.now();
        match news {
            PlayerNews::Started { at } | PlayerNews::Resumed { at } if !current.started => {
                current.phase = Phase::Playing { at: *at, from: current.item.offset };
                start(current, turn);
                if current.buffered {
                    nearly_finished(current, current.item.offset, turn);
                }
                self.tell_title(turn);
                self.report_progress(turn);
            }
            PlayerNews::Buffered => {
                current.buffered = true;
                if current.started {
                    nearly_finished(current, current.position(now), turn);
                }
            }
            PlayerNews::Stalled { at } => {
                if let Phase::Playing { .. } = current.phase {
                    let offset = current.position(*at);
                    current.phase = Phase::Stalled { offset };
                    current.stutter = Some(*at);
                    turn.send(current.event("PlaybackStutterStarted", offset));
                }
            }
            PlayerNews::Recovered { at } => {
                if let Phase::Stalled { offset } = current.phase {
                    current.phase = Phase::Playing { at: *at, from: offset };
                    end_stutter(current, *at, offset, turn);
                }
            }
            PlayerNews::Paused { offset } => {
                if let Phase::Playing { .. } | Phase::Stalled { .. } = current.phase {
                    current.phase = Phase::Paused { offset: *offset };
                    turn.send(current.event("PlaybackPaused", *offset));
                    turn.announce(current.announcement(Activity::Paused));
                }
            }
            PlayerNews::Resumed { at } => {
                if let Phase::Paused { offset } = current.phase {
                    current.phase = Phase::Playing { at: *at, from: offset };
                    turn.send(current.event("PlaybackResumed", offset));
                    turn.announce(current.announcement(Activity::Playing));
                    end_stutter(current, *at, offset, turn);
                }
            }
            PlayerNews::Finished => self.finish(turn),
            PlayerNews::Stopped { offset } => {
                self.drop_queue(turn);
                self.stopped_at(*offset, turn);
                turn.give_up_focus(Channel::Content);
            }
            PlayerNews::Taken => self.stop(turn),
            PlayerNews::Failed(error) => self.fail(error, turn),
            PlayerNews::Unattached => match self.current.take() {
                Some(current) if current.item.raw.is_some() => {
                    regret(&current, turn);
                    turn.announce(current.announcement(Activity::Stopped));
                    self.rests(current.item.token, Rest::Stopped, current.item.offset);
                    self.begin_next(turn);
                }
                // Another device's directive brought it: nobody there waits for our exception.
                inherited => {
                    self.current = inherited;
                    self.fail(&out_of_reach(), turn);
                }
            },
            PlayerNews::Attributes(attributes) => {
                current.set_attributes(attributes.clone(), current.position(now));
            }
            PlayerNews::Title(title) => {
                current.title.set(title);
                self.tell_title(turn);
            }
            PlayerNews::Started { .. } => {}
        }
    }

    fn on_queued(&mut self, index: usize, news: &PlayerNews, turn: &mut Turn<'_>) {
        let queued = &mut self.queue[index];
        match news {
            PlayerNews::Unattached if queued.item.raw.is_none() => queued.failed = Some(out_of_reach()),
            PlayerNews::Unattached | PlayerNews::Stopped { .. } | PlayerNews::Taken => {
                let gone = self.queue.remove(index);
                if let Some(gone) = gone.filter(|_| *news == PlayerNews::Unattached) {
                    regret(&gone, turn);
                }
                self.preload(turn);
            }
            _ => queued.on_early_news(news),
        }
    }

    /// Sends the progress reports that are due.
    pub(super) fn report_progress(&mut self, turn: &mut Turn<'_>) {
        let Some(current) = self.current.as_mut() else { return };
        let Phase::Playing { .. } = current.phase else { return };
        let position = current.position(turn.now());
        while let Some(due) = current.item.progress.take(position) {
            turn.send(match due {
                Due::Delay => current.event("ProgressReportDelayElapsed", position),
                Due::Interval => current.event_with_reports("ProgressReportIntervalElapsed", position),
            });
        }
    }

    /// Tells the title when one waits and the stream sounds.
    pub(super) fn tell_title(&mut self, turn: &mut Turn<'_>) {
        let Some(current) = self.current.as_mut().filter(|current| current.started) else { return };
        if let Some(title) = current.title.take(turn.now()) {
            let payload = json!({ "token": current.item.token, "metadata": { "title": title } });
            turn.send(Event::new(NAMESPACE, "StreamMetadataExtracted", payload));
        }
    }

    /// Obeys the content channel: begin, pause, go on, or leave.
    pub(super) fn on_focus_of_content(&mut self, focus: Focus, turn: &mut Turn<'_>) {
        if focus == Focus::None {
            return self.stop(turn);
        }
        let Some(current) = self.current.as_mut() else { return };
        let id = current.id;
        match focus {
            Focus::Foreground | Focus::Ducked => {
                if current.phase == Phase::Waiting {
                    current.phase = Phase::Starting;
                    turn.player(PlayerCommand::Play { id, after: None });
                } else if current.held {
                    current.held = false;
                    turn.announce(Announcement::ContentSource(NAMESPACE));
                    turn.player(PlayerCommand::Resume { id });
                }
            }
            Focus::Paused => {
                // What a person paused is not ours to resume.
                let sounds = !matches!(current.phase, Phase::Waiting | Phase::Paused { .. });
                if sounds && !current.held {
                    current.held = true;
                    turn.player(PlayerCommand::Pause { id });
                }
            }
            Focus::None => {}
        }
    }
}

impl Arrived {
    fn on_news(&mut self, news: &PlayerNews) {
        match news {
            PlayerNews::Unattached if self.fate == Fate::Awaited => self.fate = Fate::Unattached,
            // A later Play elsewhere in the group was not held up as this one is.
            PlayerNews::Taken => self.fate = Fate::Stopped,
            _ => self.stream.on_early_news(news),
        }
    }
}

fn end_stutter(stream: &mut Stream, at: HubTime, offset: Duration, turn: &mut Turn<'_>) {
    if let Some(since) = stream.stutter.take() {
        let mut event = stream.event("PlaybackStutterFinished", offset);
        event.payload["stutterDurationInMilliseconds"] = json!(millis(at.since(since)));
        turn.send(event);
    }
}

fn regret(stream: &Stream, turn: &mut Turn<'_>) {
    if let Some(raw) = &stream.item.raw {
        turn.regret(raw, &unattached());
    }
}
