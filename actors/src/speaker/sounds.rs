//! The sounds of this speaker alone: speech, alerts, notifications, opened here and played at its own output.
//!
//! A sound is prepared without an endpoint; asked to play, it waits until the endpoint takes sound, for speech and
//! tones at most [`HOLD`]. Alerts wait on: `ring` finds somebody else to ring meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::prelude::*;
use antiphon_avs::device::DeviceInput;
use antiphon_avs::effect::{SoundCommand, SoundSource, SoundStart};
use antiphon_avs::signal::{Signal, SoundNews};
use antiphon_domain::equalizer::Equalizer;
use antiphon_domain::focus::FocusView;
use antiphon_domain::media::{Media, MediaError, MediaErrorKind};
use antiphon_domain::sound::{BuiltIn, SoundId, Voice};
use antiphon_domain::{HubTime, Volume};
use antiphon_render::{Sound, SoundEvent, SoundKey, Start, StreamSource};
use tracing::{debug, warn};

use super::Speaker;
use super::attachments::Key;
use super::levels::Cause;
use crate::messages::SoundEvents;
use crate::post;

/// How long speech and tones wait for the endpoint.
const HOLD: Duration = Duration::from_secs(4);
/// Sounds of one device at a time beside its alerts'; one voice needs a few.
const MOST: usize = 64;
/// Sounds rung for somebody else are numbered from here; no device counts so far.
pub(super) const FOREIGN: u64 = 1 << 60;

/// All that is heard here besides the content, and who is in front.
pub(super) struct Voices {
    sounds: BTreeMap<SoundId, Voiced>,
    /// The sound each voice played last, for what follows it.
    last: [Option<(SoundId, SoundKey)>; 3],
    orders: u64,
    pub(super) alerts: Volume,
    pub(super) focus: FocusView,
    pub(super) equalizer: Equalizer,
    /// To be armed at the next output: a swell asked for while there was none.
    swells: [Option<Duration>; 3],
}

struct Voiced {
    sound: Sound,
    /// Which attachment it plays.
    attachment: Option<Key>,
    /// What the built-in form of it is, where it is one: somebody else may ring it.
    built_in: Option<BuiltIn>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Prepared,
    /// Asked to be heard; `order` counts the requests.
    Asked {
        start: SoundStart,
        at: HubTime,
        order: u64,
    },
    /// An output has it.
    Given {
        start: SoundStart,
        at: HubTime,
        due: Option<HubTime>,
    },
    Sounding,
}

impl Default for Voices {
    fn default() -> Self {
        Self {
            sounds: BTreeMap::new(),
            last: [None; 3],
            orders: 0,
            alerts: Volume::SAFE,
            focus: FocusView::default(),
            equalizer: Equalizer::default(),
            swells: [None; 3],
        }
    }
}

impl Voices {
    /// Whether an endpoint is needed.
    pub(super) fn is_empty(&self) -> bool {
        self.sounds.is_empty()
    }

    /// Whether any voice is heard now.
    pub(super) fn is_heard(&self) -> bool {
        self.sounds.values().any(|s| s.state == State::Sounding)
    }

    /// From when on an alert or a tone sounds, as far as is settled.
    pub(super) fn tone_from(&self) -> Option<HubTime> {
        let from = |s: &Voiced| match s.state {
            State::Given { due, .. } => due,
            State::Sounding => Some(HubTime::EPOCH),
            _ => None,
        };
        self.sounds.iter().filter(|(id, _)| id.voice != Voice::Dialog).filter_map(|(_, s)| from(s)).min()
    }

    /// The device's alerts that are asked for and not over: name, when due (or asked), and whether heard here.
    pub(super) fn alerts(&self) -> Vec<(SoundId, HubTime, bool)> {
        let mut found = Vec::new();
        for (id, voiced) in &self.sounds {
            if id.voice != Voice::Alert || id.number >= FOREIGN {
                continue;
            }
            let due_of = |start: SoundStart, at: HubTime| match start {
                SoundStart::At(due) => due,
                _ => at,
            };
            match voiced.state {
                State::Prepared => {}
                State::Asked { start, at, .. } => found.push((*id, due_of(start, at), false)),
                State::Given { start: SoundStart::After { .. }, due: None, .. } => {}
                State::Given { start, at, due } => {
                    found.push((*id, due.unwrap_or(due_of(start, at)), false));
                }
                State::Sounding => found.push((*id, HubTime::EPOCH, true)),
            }
        }
        found
    }

    /// The tone that stands for the device's alert at another speaker.
    pub(super) fn alert_tone(&self) -> BuiltIn {
        let alerts = self.sounds.iter().filter(|(id, _)| id.voice == Voice::Alert);
        alerts.filter_map(|(_, s)| s.built_in).next().unwrap_or(BuiltIn::Alarm)
    }

    /// Who claims an attachment.
    pub(super) fn claimant(&self, key: &Key) -> Option<SoundId> {
        self.sounds.iter().find(|(_, s)| s.attachment.as_ref() == Some(key)).map(|(id, _)| *id)
    }

    /// Forgets a sound, and ends it.
    pub(super) fn forget(&mut self, id: SoundId) -> bool {
        self.sounds.remove(&id).is_some()
    }

    /// Whether something rings here for another speaker.
    pub(super) fn knows_foreign(&self) -> bool {
        self.sounds.keys().any(|id| id.number >= FOREIGN)
    }

    /// Ends all that rings here for another speaker.
    pub(super) fn forget_foreign(&mut self) {
        self.sounds.retain(|id, _| id.number < FOREIGN);
    }

    /// Sounds that an output has or had.
    fn given(&self) -> Vec<SoundId> {
        let given = |s: &Voiced| matches!(s.state, State::Given { .. } | State::Sounding);
        self.sounds.iter().filter(|(_, s)| given(s)).map(|(id, _)| *id).collect()
    }
}

impl Speaker {
    pub(super) fn sound(&mut self, command: SoundCommand, ctx: &mut Context<Self>) {
        match command {
            SoundCommand::Prepare { id, source } => self.prepare_sound(id, source, ctx),
            SoundCommand::Play { id, start } => self.play_sound(id, start, ctx),
            SoundCommand::Stop { id } => {
                if self.voices.forget(id) {
                    self.set_gain(Cause::Tone, ctx);
                }
            }
            SoundCommand::AlertVolume(volume) => {
                self.voices.alerts = volume;
                self.set_gain(Cause::Volume, ctx);
            }
            SoundCommand::Swell { voice, over } => match &self.playback.session {
                Some(session) if session.ready => session.output.swell(voice, over),
                _ => self.voices.swells[voice.index()] = Some(over),
            },
        }
        self.watch_alerts(ctx);
    }

    pub(super) fn prepare_sound(&mut self, id: SoundId, source: SoundSource, ctx: &mut Context<Self>) {
        let fail = |message: &str| {
            SoundNews::Failed(MediaError {
                kind: MediaErrorKind::InternalDeviceError,
                message: message.into(),
            })
        };
        // An alert's own are few, and never to be kept out by what else waits.
        if id.voice != Voice::Alert && self.voices.sounds.len() >= MOST {
            return self.echoes.push_back(Signal::Sound(id, fail("too many sounds are open")));
        }
        let (mut attachment, mut built_in) = (None, None);
        let source: StreamSource = match source {
            SoundSource::Attachment { stream, content_id } => {
                let key = (stream, content_id);
                let Some(reader) = self.attachments.claim(&key, self.parts.now()) else {
                    return self.echoes.push_back(Signal::Sound(id, SoundNews::Unattached));
                };
                self.tidy_attachments(ctx);
                attachment = Some(key);
                StreamSource::from(reader)
            }
            SoundSource::Media(media) => StreamSource::from(media),
            SoundSource::Asset(asset) => {
                let Some(url) = self.assets.url(&asset) else {
                    return self.echoes.push_back(Signal::Sound(id, fail("it has not been fetched")));
                };
                let media = Media { url, offset: Duration::ZERO, end: None, headers: Vec::new() };
                StreamSource::from(media)
            }
            SoundSource::BuiltIn(tone) => {
                built_in = Some(tone);
                StreamSource::from(tone)
            }
        };
        let news = ctx.address().recipient();
        let metrics = self.parts.metrics.clone();
        let sink = std::sync::Arc::new(move |event| {
            // Counted when refused.
            let _ = post::tell(&news, SoundEvents { id, event }, &metrics);
        });
        let sound = self.parts.renderer.open_sound(source, sink);
        self.voices.sounds.insert(id, Voiced { sound, attachment, built_in, state: State::Prepared });
        // An endpoint that sleeps needs its time to wake.
        self.settle_session(ctx);
    }

    pub(super) fn play_sound(&mut self, id: SoundId, start: SoundStart, ctx: &mut Context<Self>) {
        let at = self.parts.now();
        self.voices.orders += 1;
        let order = self.voices.orders;
        let Some(voiced) = self.voices.sounds.get_mut(&id) else {
            debug!(speaker = %self.id, ?id, "asked to sound what is not open");
            return;
        };
        voiced.state = State::Asked { start, at, order };
        self.hand_over_sounds(ctx);
        if id.voice == Voice::Alert {
            return;
        }
        ctx.run_later(HOLD, move |speaker, ctx| {
            let waits =
                speaker.voices.sounds.get(&id).is_some_and(|s| matches!(s.state, State::Asked { .. }));
            if waits && speaker.voices.forget(id) {
                warn!(speaker = %speaker.id, "its endpoint did not take a sound in time");
                let message = "the speaker cannot be reached".into();
                let error = MediaError { kind: MediaErrorKind::InternalDeviceError, message };
                speaker.drive(DeviceInput::Signal(Signal::Sound(id, SoundNews::Failed(error))), ctx);
                speaker.settle_session(ctx);
            }
        });
    }

    /// Gives the output what was asked for, in that order, once the endpoint takes sound.
    pub(super) fn hand_over_sounds(&mut self, ctx: &mut Context<Self>) {
        let Some(session) = self.playback.session.as_ref().filter(|s| s.ready) else { return };
        for voice in Voice::ALL {
            if let Some(over) = self.voices.swells[voice.index()].take() {
                session.output.swell(voice, over);
            }
        }
        let mut asked: Vec<(u64, SoundId, SoundStart, HubTime)> = Vec::new();
        for (id, voiced) in &self.voices.sounds {
            if let State::Asked { start, order, at } = voiced.state {
                asked.push((order, *id, start, at));
            }
        }
        asked.sort_unstable_by_key(|(order, ..)| *order);
        for (_, id, start, asked_at) in asked {
            let when = match start {
                SoundStart::Now => Start::Now,
                SoundStart::At(at) => Start::At(at),
                SoundStart::After { id: before, pause } => {
                    let open = self.voices.sounds.get(&before).map(|s| s.sound.id());
                    let last = self.voices.last[id.voice.index()].filter(|(last, _)| *last == before);
                    match open.or(last.map(|(_, key)| key)) {
                        Some(sound) => Start::After { sound, pause },
                        None => Start::Now,
                    }
                }
            };
            let Some(voiced) = self.voices.sounds.get_mut(&id) else { continue };
            session.output.play_sound(&voiced.sound, id.voice, when);
            voiced.state = State::Given { start, at: asked_at, due: None };
            self.voices.last[id.voice.index()] = Some((id, voiced.sound.id()));
            self.parts.metrics.voices.with_label_values(&[self.id.as_str(), voice_name(id.voice)]).inc();
        }
        self.watch_alerts(ctx);
    }

    /// The output is gone: what it had is not heard any more. The device's machine may try another way.
    pub(super) fn output_lost(&mut self, ctx: &mut Context<Self>) {
        self.voices.last = [None; 3];
        for id in self.voices.given() {
            self.voices.forget(id);
            self.sound_over(id, SoundNews::Lost, ctx);
        }
    }

    /// Tells whoever the sound is of that it is over.
    fn sound_over(&mut self, id: SoundId, news: SoundNews, ctx: &mut Context<Self>) {
        if id.number >= FOREIGN {
            self.foreign_over(id, &news, ctx);
        } else {
            self.drive(DeviceInput::Signal(Signal::Sound(id, news)), ctx);
        }
    }
}

impl Handler<SoundEvents> for Speaker {
    type Result = ();

    fn handle(&mut self, message: SoundEvents, ctx: &mut Self::Context) {
        let SoundEvents { id, event } = message;
        // News of a sound that was stopped meanwhile is stale.
        let Some(voiced) = self.voices.sounds.get_mut(&id) else { return };
        match event {
            SoundEvent::Scheduled { at } => {
                if let State::Given { start, at: asked, .. } = voiced.state {
                    voiced.state = State::Given { start, at: asked, due: Some(at) };
                }
                self.set_gain(Cause::Tone, ctx);
                if id.number < FOREIGN {
                    self.drive(DeviceInput::Signal(Signal::Sound(id, SoundNews::Scheduled { at })), ctx);
                }
            }
            SoundEvent::Started { at } => {
                if let State::Given { start: SoundStart::At(wanted), .. } = voiced.state
                    && id.voice == Voice::Alert
                {
                    let late = at.since(wanted).max(wanted.since(at));
                    self.parts.metrics.alert_start_error.observe(late.as_secs_f64());
                }
                voiced.state = State::Sounding;
                self.sound_started(id, at, ctx);
            }
            SoundEvent::Finished => {
                self.voices.forget(id);
                self.sound_over(id, SoundNews::Finished, ctx);
                self.set_gain(Cause::Tone, ctx);
                self.settle_session(ctx);
            }
            SoundEvent::Failed(error) => {
                debug!(speaker = %self.id, ?id, why = error.message, "a sound failed");
                self.voices.forget(id);
                self.sound_over(id, SoundNews::Failed(error), ctx);
                self.set_gain(Cause::Tone, ctx);
                self.settle_session(ctx);
            }
            _ => {}
        }
        self.watch_alerts(ctx);
    }
}

fn voice_name(voice: Voice) -> &'static str {
    match voice {
        Voice::Dialog => "dialog",
        Voice::Alert => "alert",
        Voice::Notification => "notification",
    }
}
