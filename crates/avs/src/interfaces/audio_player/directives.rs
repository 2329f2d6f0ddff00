//! What AudioPlayer's directives make of the queue.

use std::time::Duration;

use antiphon_domain::focus::Channel;
use serde_json::json;

use super::payload::{self, Behaviour, Item, Play};
use super::stream::Stream;
use super::telling::{forget, unattached};
use super::{Arrived, AudioPlayer, Fate, NAMESPACE};
use crate::effect::{PlayerCommand, PlayerId, PlayerSource};
use crate::exception::Refusal;
use crate::interfaces::Turn;
use crate::message::{Directive, Event};

/// More streams than this never wait in the queue.
const QUEUE_LIMIT: usize = 100;
/// So many messageIds of Plays are remembered, to refuse a repeated one.
const SEEN_LIMIT: usize = 64;
/// A preloaded stream is the one wanted when it begins this close to the wish (AVS Device SDK).
const SAME_OFFSET: Duration = Duration::from_millis(10);

impl AudioPlayer {
    /// A Play has arrived: its turn may come later.
    pub(super) fn arrive(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        let play = payload::play(directive)?;
        let message_id = &directive.header.message_id;
        if self.seen.contains(message_id) {
            return Err(Refusal::unexpected("a Play with this messageId was here before"));
        }
        if self.queue.len() + self.arrived.len() >= QUEUE_LIMIT {
            return Err(Refusal::internal("the queue is full"));
        }
        if self.seen.len() >= SEEN_LIMIT {
            self.seen.pop_front();
        }
        self.seen.push_back(message_id.clone());
        self.last_id += 1;
        let id = PlayerId(self.last_id);
        // Fetched already while speech goes on before it, unless the queue has it, or it may be refused in its turn.
        let prepared = play.behaviour == Behaviour::ReplaceAll
            && play.expected_previous.is_none()
            && self.preloaded(&play.item).is_none();
        if prepared {
            turn.player(PlayerCommand::Prepare { id, source: play.item.source.clone() });
        }
        let Play { behaviour, expected_previous, item } = play;
        let mut stream = Stream::new(id, item);
        stream.prepared = prepared;
        self.arrived.push(Arrived {
            message_id: message_id.clone(),
            behaviour,
            expected_previous,
            stream,
            fate: Fate::Awaited,
        });
        Ok(())
    }

    /// A Play has its turn.
    pub(super) fn play(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        let Some(arrived) = self.take_arrived(directive) else {
            return Err(Refusal::internal("this Play never arrived"));
        };
        match arrived.fate {
            Fate::Awaited if self.is_awaited(&arrived) => {}
            Fate::Unattached => return Err(unattached()),
            // Counts as handled; nothing is told about it.
            Fate::Awaited | Fate::Stopped => {
                forget(&arrived.stream, turn);
                return Ok(());
            }
        }
        let Arrived { behaviour, mut stream, .. } = arrived;
        let preloaded = match behaviour {
            Behaviour::ReplaceAll => self.preloaded(&stream.item).and_then(|index| self.queue.remove(index)),
            _ => None,
        };
        if let Some(old) = preloaded {
            forget(&stream, turn);
            stream.take_over(old);
        }
        match behaviour {
            Behaviour::ReplaceAll => {
                self.drop_queue(turn);
                self.stop_current(turn);
            }
            Behaviour::ReplaceEnqueued => self.drop_queue(turn),
            Behaviour::Enqueue => {}
        }
        self.queue.push_back(stream);
        if self.current.is_none() {
            self.begin_next(turn);
        } else {
            self.preload(turn);
        }
        Ok(())
    }

    /// Takes out the Play that a directive brought.
    pub(super) fn take_arrived(&mut self, directive: &Directive) -> Option<Arrived> {
        let index = self.arrived.iter().position(|play| play.message_id == directive.header.message_id)?;
        Some(self.arrived.remove(index))
    }

    /// Whether a Play finds the stream before it that it expects.
    fn is_awaited(&self, play: &Arrived) -> bool {
        let Some(expected) = &play.expected_previous else { return true };
        let previous = match (self.queue.back(), &self.current) {
            (Some(tail), _) => &tail.item.token,
            (None, Some(current)) => &current.item.token,
            (None, None) => &self.latest.0,
        };
        // The answer to the NearlyFinished of a stream that was stopped meanwhile would start the music again by itself.
        let late = self.current.is_none() && self.stopped_on_purpose && play.behaviour == Behaviour::Enqueue;
        previous == expected && !late
    }

    /// Where in the queue the stream of a Play is being fetched already.
    fn preloaded(&self, wanted: &Item) -> Option<usize> {
        // Attachments of two responses may bear the same name.
        if let PlayerSource::Attachment { .. } = wanted.source {
            return None;
        }
        self.queue.iter().position(|queued| {
            queued.prepared
                && queued.failed.is_none()
                && queued.item.audio_item_id == wanted.audio_item_id
                && queued.item.end == wanted.end
                && queued.item.offset.abs_diff(wanted.offset) <= SAME_OFFSET
                && without_query(&queued.item.url) == without_query(&wanted.url)
        })
    }

    /// ClearQueue.
    pub(super) fn clear(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        let all = payload::clears_all(directive)?;
        self.drop_queue(turn);
        if all {
            self.drop_arrived();
            self.stop_current(turn);
            turn.give_up_focus(Channel::Content);
        }
        turn.send(Event::new(NAMESPACE, "PlaybackQueueCleared", json!({})));
        Ok(())
    }

    /// UpdateProgressReportInterval.
    pub(super) fn update_interval(
        &mut self,
        directive: &Directive,
        turn: &mut Turn<'_>,
    ) -> Result<(), Refusal> {
        let interval = payload::interval(directive)?;
        let now = turn.now();
        if let Some(current) = self.current.as_mut().filter(|current| current.started) {
            let position = current.position(now);
            if current.item.progress.set_interval(interval, position) {
                turn.send(current.event("ProgressReportIntervalUpdated", position));
            }
        }
        Ok(())
    }
}

fn without_query(url: &str) -> &str {
    url.split_once('?').map_or(url, |(path, _)| path)
}
