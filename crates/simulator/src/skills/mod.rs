//! Owns what follows from an utterance: the directives the cloud would send. Uses what is known of the device and the
//! simulator's own media; `Simulator::say`, a Recognize and the admin API drive it.

mod alerts;
mod cards;
pub(crate) mod device;

use std::time::Duration;

use serde_json::{Value, json};

use crate::Error;
use crate::answers::Outgoing;
use crate::media;
use crate::provider::Press;
use crate::say::{self, Utterance};
use crate::state::Shared;

/// How long a question waits for its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(8);

/// The directives for a sentence said to a device.
pub(crate) async fn directives(shared: &Shared, dsn: &str, sentence: &str) -> Result<Vec<Outgoing>, Error> {
    let not_understood = || Error::NotUnderstood(sentence.to_owned());
    let utterance = say::understand(sentence).ok_or_else(not_understood)?;
    let base = shared.media();
    let found = match utterance {
        Utterance::Volume(volume) => one("Speaker", "SetVolume", json!({ "volume": volume })),
        Utterance::Step(step) => one("Speaker", "AdjustVolume", json!({ "volume": step })),
        Utterance::Mute(mute) => one("Speaker", "SetMute", json!({ "mute": mute })),
        Utterance::Stop => alerts::stop(shared, dsn),
        Utterance::Play(what) => {
            let album = media::album(&what, &base).ok_or_else(not_understood)?;
            let mut state = shared.lock();
            let device = state.device(dsn);
            let cards = device.declares("TemplateRuntime");
            device.player.begin(album, cards, &base)
        }
        Utterance::Resume => {
            let offset = shared.lock().device(dsn).player.offset();
            press(shared, dsn, Press::Play, offset)
        }
        Utterance::Press(key) => press(shared, dsn, key, 0),
        Utterance::Tell(text) => vec![spoken(shared, &text).await?],
        Utterance::Ask(text) => {
            let initiator =
                json!({ "type": "ANSWER", "payload": { "token": uuid::Uuid::new_v4().to_string() } });
            vec![spoken(shared, &text).await?, expect(ANSWER_WITHIN, Some(initiator))]
        }
        Utterance::Card(kind) => vec![cards::template(&kind, &base)],
        Utterance::Playing => shared.lock().device(dsn).player.card(&base).into_iter().collect(),
        Utterance::Band(..)
        | Utterance::BandStep(..)
        | Utterance::ResetBands(_)
        | Utterance::EqualizerMode(_) => device::equalizer(utterance),
        Utterance::Input(input) => one("Alexa.InputController", "SelectInput", json!({ "input": input })),
        Utterance::Bluetooth(wish) => device::bluetooth(shared, dsn, wish),
        Utterance::Setting(setting) => device::setting(setting),
        other => alerts::directives(shared, dsn, other).await?,
    };
    // Nothing to skip, to cancel, to show: there is nothing to be done.
    if found.is_empty() { Err(not_understood()) } else { Ok(found) }
}

/// The answer to what a user said in a Recognize: a confirmation where there is one to give, then the directives.
pub(crate) async fn answer(shared: &Shared, dsn: &str, sentence: &str) -> Vec<Outgoing> {
    let directives = match directives(shared, dsn, sentence).await {
        Ok(directives) => directives,
        Err(error) => {
            tracing::info!(dsn, %error, "sentence not understood");
            return speak(shared, "Sorry, I did not understand that").await.into_iter().collect();
        }
    };
    let text = match say::understand(sentence) {
        Some(Utterance::Play(name)) if !name.contains('/') => format!("Here is {name}"),
        Some(Utterance::Play(_)) => "Here it is".to_owned(),
        Some(Utterance::Timer(..)) => "Your timer starts now".to_owned(),
        Some(Utterance::AlarmIn(_) | Utterance::AlarmAt(_) | Utterance::Wake(..)) => "Alarm set".to_owned(),
        Some(Utterance::Reminder(..)) => "I will remind you".to_owned(),
        _ => return directives,
    };
    speak(shared, &text).await.into_iter().chain(directives).collect()
}

fn one(namespace: &str, name: &str, payload: Value) -> Vec<Outgoing> {
    vec![Outgoing::new(namespace, name, payload)]
}

fn press(shared: &Shared, dsn: &str, key: Press, offset: u64) -> Vec<Outgoing> {
    let base = shared.media();
    let mut state = shared.lock();
    let device = state.device(dsn);
    let cards = device.declares("TemplateRuntime");
    device.player.press(key, offset, cards, &base)
}

/// Speech, if this machine can make it; that it cannot is logged.
pub(crate) async fn speak(shared: &Shared, text: &str) -> Option<Outgoing> {
    match spoken(shared, text).await {
        Ok(speak) => Some(speak),
        Err(error) => {
            tracing::warn!(%error, "nothing is spoken");
            None
        }
    }
}

async fn spoken(shared: &Shared, text: &str) -> Result<Outgoing, Error> {
    let speech = shared.tracks.speech(text).await?;
    let id = format!("speech:{}", uuid::Uuid::new_v4());
    let payload = json!({ "url": format!("cid:{id}"), "format": "AUDIO_MPEG", "token": id });
    Ok(Outgoing::new("SpeechSynthesizer", "Speak", payload).with_attachment(&id, speech))
}

/// An ExpectSpeech.
pub(crate) fn expect(timeout: Duration, initiator: Option<Value>) -> Outgoing {
    let timeout = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    let mut payload = json!({ "timeoutInMilliseconds": timeout });
    if let Some(initiator) = initiator {
        payload["initiator"] = initiator;
    }
    Outgoing::new("SpeechRecognizer", "ExpectSpeech", payload)
}
