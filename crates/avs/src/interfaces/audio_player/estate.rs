//! What the leader of a group leaves to the next: its streams as they stand.
//!
//! After each change the AudioPlayer says what another device needs to go on ([`PlayerCommand::Bequeath`]). Whoever
//! leads from then on is given the latest of it by [`Signal::Inherit`](crate::signal::Signal::Inherit): the player goes on
//! undisturbed, and what is told of the streams from there on is told on the heir's connection.

use std::collections::{BTreeMap, VecDeque};

use antiphon_domain::media::{MediaError, MediaErrorKind};

use super::AudioPlayer;
use super::stream::{Phase, Stream};
use super::telling::nearly_finished;
use crate::effect::{PlayerCommand, PlayerId, PlayerSource};
use crate::interfaces::{Activity, Turn};

/// The streams of one AudioPlayer, to be taken over by another speaker's while they go on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estate {
    players: Vec<PlayerId>,
    current: Option<Stream>,
    queue: VecDeque<Stream>,
}

impl Estate {
    /// The streams in it, the current one first; also those the player does not know yet.
    pub fn players(&self) -> &[PlayerId] {
        &self.players
    }

    /// Gives the streams other names: those of the heir's device.
    pub fn rename(&mut self, mut name: impl FnMut(PlayerId) -> PlayerId) {
        let mut names = BTreeMap::new();
        for player in &mut self.players {
            let new = name(*player);
            names.insert(*player, new);
            *player = new;
        }
        for stream in self.current.iter_mut().chain(&mut self.queue) {
            if let Some(new) = names.get(&stream.id) {
                stream.id = *new;
            }
            // What it followed may be gone already.
            stream.chained = stream.chained.and_then(|player| names.get(&player).copied());
        }
    }

    /// Whether there is nothing to take over.
    pub fn is_empty(&self) -> bool {
        self.players.is_empty()
    }
}

impl AudioPlayer {
    /// Says what another device needs to go on, when that is no longer what was said before.
    pub(super) fn bequeath(&mut self, turn: &mut Turn<'_>) {
        if self.bequeathed.current == self.current && self.bequeathed.queue == self.queue {
            return;
        }
        let streams = self.current.iter().chain(&self.queue);
        self.bequeathed = Estate {
            players: streams.map(|stream| stream.id).collect(),
            current: self.current.clone(),
            queue: self.queue.clone(),
        };
        turn.player(PlayerCommand::Bequeath(Box::new(self.bequeathed.clone())));
    }

    /// Makes another device's streams this one's, without a word to the player that would be heard.
    pub(super) fn inherit(&mut self, estate: &Estate, turn: &mut Turn<'_>) {
        if estate.is_empty() {
            return;
        }
        self.drop_queue(turn);
        self.stop_current(turn);
        self.queue = estate.queue.clone();
        for stream in &mut self.queue {
            stream.item.raw = None;
            // It lies in a response on the other device's connection, and nobody has begun to fetch it.
            if !stream.prepared && matches!(stream.item.source, PlayerSource::Attachment { .. }) {
                stream.failed = Some(out_of_reach());
            }
        }
        let Some(mut current) = estate.current.clone() else { return self.begin_next(turn) };
        current.item.raw = None;
        if current.started {
            self.introduce(&mut current, turn);
        }
        // In front, a stream that plays is not told to; one that the other device held back, or had not begun, is.
        self.take_content(current, turn);
        self.preload(turn);
    }

    /// The first word of this device's connection about a stream that has begun already. No page of AVS knows of such
    /// a thing; our choice is PlaybackStarted at the offset of this moment, so that whoever follows the events of this
    /// device alone hears of a beginning before everything else, and then of the state it is in.
    fn introduce(&self, stream: &mut Stream, turn: &mut Turn<'_>) {
        let offset = stream.position(turn.now());
        turn.send(stream.event("PlaybackStarted", offset));
        match stream.phase {
            Phase::Paused { .. } => {
                turn.send(stream.event("PlaybackPaused", offset));
                turn.announce(stream.announcement(Activity::Paused));
            }
            Phase::Stalled { .. } => turn.send(stream.event("PlaybackStutterStarted", offset)),
            _ => turn.announce(stream.announcement(Activity::Playing)),
        }
        // With nothing to follow, the answer to the other device's PlaybackNearlyFinished has not come, and would go
        // there: we ask for it here. Otherwise it is not said again.
        if self.queue.is_empty() {
            stream.nearly = false;
            if stream.buffered {
                nearly_finished(stream, offset, turn);
            }
        }
    }
}

/// A part of a response to another device cannot be had from here.
pub(super) fn out_of_reach() -> MediaError {
    MediaError {
        kind: MediaErrorKind::InternalDeviceError,
        message: "the attachment lies on another device's connection".into(),
    }
}
