//! AudioPlayer 1.5: the queue of streams and what is told about them ("AudioPlayer 1.5"; where Amazon's page is silent,
//! the AVS Device SDK).
//!
//! Owns which stream is current, which wait, and where each stands: positions are arithmetic on the hub's time, so the
//! player is never asked for one. Only the leader of a group has a player; who loses its content is told by a signal.
//! Promises: one PlaybackStarted, one PlaybackNearlyFinished and one end a stream, in that order.

mod directives;
mod estate;
mod news;
mod payload;
mod progress;
mod stream;
mod telling;

use std::collections::VecDeque;
use std::time::Duration;

use antiphon_domain::HubTime;
use antiphon_domain::focus::{Channel, FocusChange};
use antiphon_domain::media::MediaError;
use serde_json::{Value, json};

use super::{Activity, Announcement, Handling, Interface, Known, Turn, View, unlisted};
use crate::context::entry;
use crate::device::DeviceConfig;
use crate::effect::PlayerCommand;
use crate::exception::Refusal;
use crate::message::{ContextEntry, Directive, Event};
use crate::picture::Picture;
use crate::sequencer::Policy;
use crate::signal::{Button, Signal, Wish};
pub use estate::Estate;
use payload::Behaviour;
use progress::millis;
use stream::{Phase, Stream};
use telling::{error_type, forget, nearly_finished, prepare, start};

const NAMESPACE: &str = "AudioPlayer";

/// What is reported while no stream is current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Idle,
    Stopped,
    Finished,
}

/// A Play between its arrival and its turn.
#[derive(Debug)]
struct Arrived {
    message_id: String,
    behaviour: Behaviour,
    expected_previous: Option<String>,
    stream: Stream,
    fate: Fate,
}

/// What became of a Play before its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Nothing.
    Awaited,
    /// A Stop came after it, and was meant for it, too; or a later Play of another device.
    Stopped,
    /// Its attachment is not there.
    Unattached,
}

/// The interface.
#[derive(Debug)]
pub(super) struct AudioPlayer {
    fingerprint: Value,
    current: Option<Stream>,
    queue: VecDeque<Stream>,
    /// Plays that wait for their turn.
    arrived: Vec<Arrived>,
    seen: VecDeque<String>,
    last_id: u64,
    rest: Rest,
    /// Token and position of the latest stream, when none is current.
    latest: (String, Duration),
    /// The latest stream was stopped; it did not fail or finish.
    stopped_on_purpose: bool,
    /// What was bequeathed last.
    bequeathed: Estate,
}

impl AudioPlayer {
    pub(super) fn new(config: &DeviceConfig) -> Self {
        Self {
            fingerprint: json!({
                "package": config.package,
                "buildType": "RELEASE",
                "versionNumber": config.firmware_version.to_string(),
            }),
            current: None,
            queue: VecDeque::new(),
            arrived: Vec::new(),
            seen: VecDeque::new(),
            last_id: 0,
            rest: Rest::Idle,
            latest: (String::new(), Duration::ZERO),
            stopped_on_purpose: false,
            bequeathed: Estate::default(),
        }
    }

    /// Makes the next stream current, over those that cannot be played; gives the channel up when there is none.
    fn begin_next(&mut self, turn: &mut Turn<'_>) {
        let finished = self.current.as_ref().map(|current| current.id);
        self.current = None;
        while let Some(mut next) = self.queue.pop_front() {
            if let Some(error) = next.failed.take() {
                self.tell_failure(&next, &error, turn);
                self.rests(next.item.token, Rest::Stopped, next.item.offset);
                continue;
            }
            prepare(&mut next, turn);
            // The player begins a chained stream itself, but only behind one that ended by itself.
            let begins_itself = next.chained.is_some() && next.chained == finished;
            next.phase = if begins_itself { Phase::Starting } else { Phase::Waiting };
            self.take_content(next, turn);
            self.preload(turn);
            return;
        }
        turn.give_up_focus(Channel::Content);
    }

    /// Makes a stream the current one, and this the content source.
    fn take_content(&mut self, stream: Stream, turn: &mut Turn<'_>) {
        turn.take_focus(Channel::Content, stream.item.mixability);
        turn.announce(Announcement::ContentSource(NAMESPACE));
        self.current = Some(stream);
    }

    /// Has the head of the queue fetched and chained to the current stream.
    fn preload(&mut self, turn: &mut Turn<'_>) {
        let (Some(current), Some(head)) = (&self.current, self.queue.front_mut()) else { return };
        if head.failed.is_some() || head.chained == Some(current.id) {
            return;
        }
        prepare(head, turn);
        head.chained = Some(current.id);
        turn.player(PlayerCommand::Play { id: head.id, after: Some(current.id) });
    }

    fn drop_queue(&mut self, turn: &mut Turn<'_>) {
        for stream in self.queue.drain(..) {
            forget(&stream, turn);
        }
    }

    /// Plays that wait for their turn are not to begin any more.
    fn drop_arrived(&mut self) {
        for arrived in &mut self.arrived {
            arrived.fate = Fate::Stopped;
        }
    }

    /// Ends everything on purpose.
    fn stop(&mut self, turn: &mut Turn<'_>) {
        self.drop_queue(turn);
        self.stop_current(turn);
        turn.give_up_focus(Channel::Content);
    }

    fn stop_current(&mut self, turn: &mut Turn<'_>) {
        let Some(current) = &self.current else { return };
        let offset = current.position(turn.now());
        turn.player(PlayerCommand::Stop { id: current.id });
        self.stopped_at(offset, turn);
    }

    fn stopped_at(&mut self, offset: Duration, turn: &mut Turn<'_>) {
        let Some(current) = self.current.take() else { return };
        // Who never sounded never stopped.
        if current.started {
            turn.send(current.event_with_reports("PlaybackStopped", offset));
        }
        turn.announce(current.announcement(Activity::Stopped));
        self.rests(current.item.token, Rest::Stopped, offset);
        self.stopped_on_purpose = true;
    }

    fn rests(&mut self, token: String, rest: Rest, offset: Duration) {
        self.rest = rest;
        self.latest = (token, offset);
        self.stopped_on_purpose = false;
    }

    fn finish(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now();
        self.report_progress(turn);
        let Some(current) = self.current.as_mut().filter(|current| current.phase != Phase::Waiting) else {
            return;
        };
        let offset = current.position(now);
        // A stream shorter than a block may end before it was said to begin.
        start(current, turn);
        nearly_finished(current, offset, turn);
        turn.send(current.event_with_reports("PlaybackFinished", offset));
        turn.announce(current.announcement(Activity::Finished));
        let token = current.item.token.clone();
        self.rests(token, Rest::Finished, offset);
        self.begin_next(turn);
    }

    fn fail(&mut self, error: &MediaError, turn: &mut Turn<'_>) {
        if let Some(current) = &self.current {
            self.tell_failure(current, error, turn);
        }
        if let Some(current) = self.current.take() {
            let offset = current.position(turn.now());
            self.rests(current.item.token, Rest::Stopped, offset);
        }
        self.begin_next(turn);
    }

    fn tell_failure(&self, stream: &Stream, error: &MediaError, turn: &mut Turn<'_>) {
        let mut payload = json!({
            "token": stream.item.token,
            "currentPlaybackState": self.state(turn.now()),
            "error": { "type": error_type(error.kind), "message": error.message },
        });
        stream.add_reports(&mut payload, stream.position(turn.now()));
        turn.send(Event::new(NAMESPACE, "PlaybackFailed", payload));
        turn.announce(stream.announcement(Activity::Stopped));
    }

    fn activity(&self) -> &'static str {
        match self.current.as_ref().map(|current| (current.phase, current.started)) {
            Some((Phase::Playing { .. }, _)) => "PLAYING",
            Some((Phase::Paused { .. }, _)) => "PAUSED",
            // Filling the buffer for the first time is reported as an underrun, too.
            Some((Phase::Starting | Phase::Stalled { .. }, _)) => "BUFFER_UNDERRUN",
            Some((Phase::Waiting, _)) | None => match self.rest {
                Rest::Idle => "IDLE",
                Rest::Stopped => "STOPPED",
                Rest::Finished => "FINISHED",
            },
        }
    }

    fn state(&self, now: HubTime) -> Value {
        let (token, offset) = match &self.current {
            Some(current) => (&current.item.token, current.position(now)),
            None => (&self.latest.0, self.latest.1),
        };
        json!({
            "token": token,
            "offsetInMilliseconds": millis(offset),
            "playerActivity": self.activity(),
        })
    }
}

impl Interface for AudioPlayer {
    fn namespace(&self) -> &'static str {
        NAMESPACE
    }

    fn version(&self) -> &'static str {
        "1.5"
    }

    fn configurations(&self) -> Option<Value> {
        Some(json!({ "fingerprint": self.fingerprint }))
    }

    fn directives(&self) -> &'static [Known] {
        const {
            &[
                Known::in_turn("Play", Policy::AUDIO),
                Known::on_arrival("Stop"),
                Known::on_arrival("ClearQueue"),
                Known::in_turn("UpdateProgressReportInterval", Policy::AUDIO),
            ]
        }
    }

    fn on_arrival(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        match directive.header.name.as_str() {
            "Play" => self.arrive(directive, turn),
            _ => Ok(()),
        }
    }

    fn on_directive(&mut self, directive: &Directive, turn: &mut Turn<'_>) -> Result<Handling, Refusal> {
        match directive.header.name.as_str() {
            "Play" => self.play(directive, turn)?,
            "Stop" => {
                self.drop_arrived();
                if self.current.is_none() {
                    turn.player(PlayerCommand::Silence);
                }
                self.stop(turn);
            }
            "ClearQueue" => self.clear(directive, turn)?,
            "UpdateProgressReportInterval" => self.update_interval(directive, turn)?,
            _ => return Err(unlisted(directive)),
        }
        self.bequeath(turn);
        Ok(Handling::Done)
    }

    fn on_cancel(&mut self, directive: &Directive, turn: &mut Turn<'_>) {
        if let Some(arrived) = self.take_arrived(directive) {
            forget(&arrived.stream, turn);
        }
    }

    fn on_signal(&mut self, signal: &Signal, turn: &mut Turn<'_>) {
        match signal {
            Signal::Player(id, news) => self.on_news(*id, news, turn),
            Signal::ContentTaken => self.stop(turn),
            Signal::ContentStopped => {
                self.drop_arrived();
                self.stop(turn);
            }
            // A press is the cloud's to answer; while it cannot be asked, to be silent needs nobody.
            Signal::Wish(Wish::Button(Button::Pause)) if !turn.view.connected => self.stop(turn),
            Signal::Inherit(estate) => self.inherit(estate, turn),
            _ => {}
        }
        self.bequeath(turn);
    }

    fn on_logout(&mut self, turn: &mut Turn<'_>) {
        self.drop_queue(turn);
        if let Some(current) = self.current.take() {
            forget(&current, turn);
            turn.announce(current.announcement(Activity::Stopped));
            turn.give_up_focus(Channel::Content);
        }
        for arrived in std::mem::take(&mut self.arrived) {
            forget(&arrived.stream, turn);
        }
        self.seen.clear();
        self.rests(String::new(), Rest::Idle, Duration::ZERO);
        self.bequeath(turn);
    }

    fn on_focus(&mut self, change: FocusChange, turn: &mut Turn<'_>) {
        self.on_focus_of_content(change.focus, turn);
        self.bequeath(turn);
    }

    fn deadline(&self) -> Option<HubTime> {
        let current = self.current.as_ref()?;
        let report = current.item.progress.next().and_then(|position| current.moment_of(position));
        let title = current.title.due().filter(|_| current.started);
        match (report, title) {
            (Some(report), Some(title)) => Some(report.min(title)),
            (report, title) => report.or(title),
        }
    }

    fn on_deadline(&mut self, turn: &mut Turn<'_>) {
        self.report_progress(turn);
        self.tell_title(turn);
        self.bequeath(turn);
    }

    fn context(&self, view: &View<'_>) -> Option<ContextEntry> {
        Some(entry(NAMESPACE, "PlaybackState", self.state(view.now)))
    }

    fn show(&self, _view: &View<'_>, picture: &mut Picture) {
        // Whoever speaks over it has the word.
        if let (None, Some(current)) = (&picture.caption, &self.current) {
            picture.caption = current.item.caption.clone().filter(|_| current.started);
        }
    }
}
