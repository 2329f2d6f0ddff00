//! The sounds on an output: who waits, who is heard, and what each voice has for a block.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use antiphon_audio::{BLOCK_FRAMES, CHANNELS};
use antiphon_domain::media::{MediaError, MediaErrorKind};
use antiphon_domain::sound::Voice;
use antiphon_domain::{Frames, HubTime, SampleRate};

use super::gains::Gains;
use crate::grid;
use crate::metrics::Metrics;
use crate::sound::{Has, Playing, SoundKey, Start};
use crate::timeline::{BLOCK, Rules};

/// Ends of sounds that a successor may still refer to.
const REMEMBERED: usize = 32;

/// All sounds of one output.
#[derive(Default)]
pub(super) struct Voices {
    playing: Vec<Playing>,
    /// Where sounds ended, by frames of the hub's clock.
    ended: VecDeque<(SoundKey, u64)>,
}

/// Whether all that belongs into a block is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ready {
    Yes,
    /// A sound lacks its part and there is time to wait for it.
    Wait,
}

impl Voices {
    pub(super) fn is_empty(&self) -> bool {
        self.playing.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.playing.len()
    }

    pub(super) fn add(&mut self, playing: Playing) {
        self.playing.push(playing);
    }

    /// Takes from the sources and settles places: none before block `earliest`.
    pub(super) fn settle(
        &mut self,
        now: HubTime,
        ahead: Duration,
        earliest: u64,
        rules: &Rules,
        gains: &mut Gains,
        metrics: &Metrics,
    ) {
        for playing in &mut self.playing {
            playing.sound.fill(playing.sound.wanted(now, ahead));
        }
        for index in 0..self.playing.len() {
            let Playing { sound, start, leaving, voice } = &self.playing[index];
            if sound.is_placed() || leaving.is_some() || sound.is_stillborn() || !sound.is_ready(rules) {
                continue;
            }
            let (voice, resumed) = (*voice, sound.is_stalled());
            let first = earliest * BLOCK;
            let wanted = match *start {
                _ if resumed => None,
                Start::Now => None,
                Start::At(at) => Some(grid::frame(at)),
                Start::After { sound, pause } => match self.end_of(sound) {
                    End::At(end) => Some(end + Frames::within(pause, SampleRate::HUB).0),
                    End::Unknown => None,
                    End::ToCome => continue,
                },
            };
            if wanted.is_some_and(|wanted| wanted < first) {
                metrics.late_starts.inc();
            }
            let frame = wanted.map_or(first, |wanted| wanted.max(first));
            if !resumed {
                metrics.sounds_started.with_label_values(&[label(voice)]).inc();
                gains.sound_begins(voice, frame);
            }
            self.playing[index].sound.place(frame);
        }
    }

    fn end_of(&self, key: SoundKey) -> End {
        if let Some(playing) = self.playing.iter().find(|playing| playing.sound.key == key) {
            return playing.sound.end().map_or(End::ToCome, End::At);
        }
        match self.ended.iter().find(|(ended, _)| *ended == key) {
            Some((_, end)) => End::At(*end),
            None => End::Unknown,
        }
    }

    /// The first block from `floor` on that a sound has something in.
    pub(super) fn next_block(&self, floor: u64) -> Option<u64> {
        let next = |playing: &Playing| {
            let block = playing.sound.next_block(floor)?;
            (playing.leaving.is_none_or(|last| block <= last)).then_some(block)
        };
        self.playing.iter().filter_map(next).min()
    }

    /// Looks whether all sounds have their part of a block. Where there is no more time to wait, a sound that lacks its
    /// part falls silent until more of it has come.
    pub(super) fn check(&mut self, block: u64, hurry: bool) -> Ready {
        for playing in &mut self.playing {
            if playing.sound.has(block) == Has::Gap {
                if !hurry {
                    return Ready::Wait;
                }
                playing.sound.stall(block);
            }
        }
        Ready::Yes
    }

    /// What a voice has for a block.
    pub(super) fn samples(&self, voice: Voice, block: u64) -> Option<Arc<[i16]>> {
        let has = |playing: &&Playing| playing.voice == voice && playing.sound.has(block) == Has::Sound;
        let mut with = self.playing.iter().filter(has);
        let first = with.next()?;
        let second = with.next();
        if second.is_none()
            && first.leaving.is_none()
            && let Some(whole) = first.sound.whole(block)
        {
            return Some(Arc::clone(whole));
        }
        let mut samples = vec![0; BLOCK_FRAMES * CHANNELS];
        for playing in std::iter::once(first).chain(second).chain(with) {
            playing.add_to(block, &mut samples);
        }
        Some(samples.into())
    }

    /// Whether this sound has something in blocks from `from` to before `to`.
    pub(super) fn is_heard(&self, key: SoundKey, from: u64, to: u64) -> bool {
        let playing = self.playing.iter().find(|playing| playing.sound.key == key);
        playing.and_then(|playing| playing.sound.next_block(from)).is_some_and(|block| block < to)
    }

    /// Ends a sound: it fades in `block`, when it is heard there, and is gone then. Whether it was here.
    pub(super) fn stop(&mut self, key: SoundKey, block: u64) -> bool {
        let Some(index) = self.playing.iter().position(|playing| playing.sound.key == key) else {
            return false;
        };
        let playing = &mut self.playing[index];
        if playing.leaving.is_some() {
            return true;
        }
        let at = playing.sound.end().unwrap_or(u64::MAX).min(block * BLOCK);
        // A sound that has not begun, or begins after that block, is never heard.
        if playing.sound.has(block) == Has::Sound && playing.sound.next_block(0) <= Some(block) {
            playing.leaving = Some(block);
        } else {
            self.playing.swap_remove(index);
        }
        self.remember(key, at);
        true
    }

    /// Says what has fallen due, and forgets what is over.
    pub(super) fn report(&mut self, now: HubTime) {
        let mut index = 0;
        while let Some(playing) = self.playing.get_mut(index) {
            if let Some(last) = playing.leaving {
                if grid::due(last + 1) <= now {
                    self.playing.swap_remove(index);
                    continue;
                }
                index += 1;
                continue;
            }
            let end = playing.sound.end();
            if playing.sound.report(now) {
                let key = playing.sound.key;
                self.playing.swap_remove(index);
                self.remember(key, end.unwrap_or(grid::frame(now)));
                continue;
            }
            index += 1;
        }
    }

    /// Fails all: the output is gone.
    pub(super) fn fail(&mut self) {
        for playing in self.playing.drain(..).filter(|playing| playing.leaving.is_none()) {
            playing.sound.fail(MediaError {
                kind: MediaErrorKind::InternalDeviceError,
                message: "the speaker's session ended".into(),
            });
        }
    }

    fn remember(&mut self, key: SoundKey, end: u64) {
        if self.ended.len() == REMEMBERED {
            self.ended.pop_front();
        }
        self.ended.push_back((key, end));
    }
}

enum End {
    At(u64),
    ToCome,
    Unknown,
}

fn label(voice: Voice) -> &'static str {
    match voice {
        Voice::Dialog => "dialog",
        Voice::Alert => "alert",
        Voice::Notification => "notification",
    }
}
