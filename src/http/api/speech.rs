//! `POST /api/speakers/{id}/listen`: somebody speaks; the body is the sound, handed on as it arrives.
//!
//! Nothing is gathered: the hub takes sound at the pace of speech, and what it does not take yet the client keeps. The
//! request is over when its body is, or when Alexa has heard enough.

use std::pin::pin;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, post, web};
use antiphon_actors::requests::{Container, ListenRequest};
use antiphon_avs::signal::{Initiator, Profile, SpeechFormat};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::super::Hub;
use super::{Answer, Problem, done, speaker, wrong};

/// Pieces of the body (a few KiB each) that wait inside.
const WAITING: usize = 8;
/// The most that one request may send: over four minutes of PCM, many times what AVS listens to.
const MOST: usize = 8 << 20;
/// A client that sends nothing for so long has gone.
const SILENCE: Duration = Duration::from_secs(15);

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.service(listen);
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListenQuery {
    /// `tap` (default), `hold` or `wakeword`.
    initiator: Option<String>,
    /// `close-talk`, `near-field` or `far-field`; absent: what fits the initiator.
    profile: Option<String>,
    /// How it is sent to Alexa: `pcm` (default) or `opus`.
    format: Option<String>,
    /// With `wakeword`: the word, default ALEXA.
    wake_word: Option<String>,
    /// With `wakeword`: where it begins and ends, in samples.
    start: Option<u64>,
    end: Option<u64>,
    /// Loudness of voice and room, where a wake word engine measured them.
    voice_energy: Option<f64>,
    ambient_energy: Option<f64>,
}

impl ListenQuery {
    fn initiator(&self) -> Result<Initiator, Problem> {
        let indices = match (self.start, self.end) {
            (None, None) => None,
            (Some(start), Some(end)) if start < end => Some((start, end)),
            _ => return Err(wrong("start, end: expected both, in samples, the end behind the start")),
        };
        match self.initiator.as_deref() {
            None | Some("tap") => Ok(Initiator::Tap),
            Some("hold") => Ok(Initiator::PressAndHold),
            Some("wakeword") => {
                let word = self.wake_word.as_deref().unwrap_or("ALEXA").to_ascii_uppercase();
                let plain = word.len() <= 32 && word.chars().all(|c| c.is_ascii_uppercase() || c == ' ');
                if word.is_empty() || !plain {
                    return Err(wrong("wake_word: expected 1 to 32 letters"));
                }
                Ok(Initiator::WakeWord { word, indices })
            }
            Some(other) => Err(wrong(format!("initiator: expected tap, hold or wakeword, found {other:?}"))),
        }
    }

    fn profile(&self, initiator: &Initiator) -> Result<Profile, Problem> {
        match self.profile.as_deref() {
            Some("close-talk") => Ok(Profile::CloseTalk),
            Some("near-field") => Ok(Profile::NearField),
            Some("far-field") => Ok(Profile::FarField),
            // Who holds a button says when speech ends (SpeechRecognizer 2.3).
            None if *initiator == Initiator::PressAndHold => Ok(Profile::CloseTalk),
            None => Ok(Profile::NearField),
            Some(other) => {
                Err(wrong(format!("profile: expected close-talk, near-field or far-field, found {other:?}")))
            }
        }
    }

    fn format(&self, container: Container) -> Result<SpeechFormat, Problem> {
        match self.format.as_deref() {
            Some("pcm") => Ok(SpeechFormat::Pcm),
            Some("opus") => Ok(SpeechFormat::Opus),
            // What is coded already is not coded twice.
            None if container == Container::Opus => Ok(SpeechFormat::Opus),
            None => Ok(SpeechFormat::Pcm),
            Some(other) => Err(wrong(format!("format: expected pcm or opus, found {other:?}"))),
        }
    }

    fn energies(&self) -> Result<Option<(f64, f64)>, Problem> {
        match (self.voice_energy, self.ambient_energy) {
            (None, None) => Ok(None),
            (Some(voice), Some(ambient)) if voice.is_finite() && ambient.is_finite() => {
                Ok(Some((voice, ambient)))
            }
            _ => Err(wrong("voice_energy, ambient_energy: expected both, as numbers")),
        }
    }
}

/// What the body is, by its Content-Type.
fn container(request: &HttpRequest) -> Result<Container, Problem> {
    let text = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let text = text.to_ascii_lowercase();
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next().unwrap_or("");
    let mut other = parts.filter_map(|p| p.split_once('='));
    let fits = other.all(|(key, value)| match key {
        "rate" => value == "16000",
        "channels" => value == "1",
        _ => true,
    });
    match essence {
        "audio/wav" | "audio/x-wav" | "audio/vnd.wave" => Ok(Container::Wav),
        "audio/l16" | "application/octet-stream" if fits => Ok(Container::Pcm16k),
        "audio/opus" if fits => Ok(Container::Opus),
        _ => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!(
                "Content-Type: expected audio/wav; audio/l16 or application/octet-stream (16 kHz, 16 bit, mono, \
                 little-endian); or audio/opus (frames of 80 bytes, 16 kHz mono); found {text:?}"
            ),
        )),
    }
}

#[post("/speakers/{name}/listen")]
async fn listen(
    hub: web::Data<Hub>,
    name: web::Path<String>,
    query: web::Query<ListenQuery>,
    request: HttpRequest,
    body: web::Payload,
) -> Answer {
    let container = container(&request)?;
    let initiator = query.initiator()?;
    let profile = query.profile(&initiator)?;
    let (format, energies) = (query.format(container)?, query.energies()?);
    let speaker = speaker(&hub, &name).await?;
    let (sender, audio) = mpsc::channel(WAITING);
    let request = ListenRequest { initiator, profile, format, energies, container, audio };
    // Both at once: the speaker may want to hear something before it says that it hears.
    let hears = pin!(hub.handle.listen(speaker, request));
    let pump = pin!(pump(body, sender));
    match select(hears, pump).await {
        Either::Left((heard, pump)) => {
            heard?;
            pump.await
        }
        Either::Right((answer, hears)) => {
            hears.await?;
            answer
        }
    }
}

/// Hands the body on until it or the listening is over.
async fn pump(mut body: web::Payload, sender: mpsc::Sender<bytes::Bytes>) -> Answer {
    let mut sent = 0;
    loop {
        let next = tokio::select! {
            next = tokio::time::timeout(SILENCE, body.next()) => next,
            // Alexa has heard enough.
            () = sender.closed() => return enough(),
        };
        let piece = match next {
            Ok(Some(piece)) => piece,
            Ok(None) => return done(),
            Err(_) => {
                let detail = format!("nothing came for {} s: taken for the end of speech", SILENCE.as_secs());
                return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail));
            }
        };
        // A client that breaks off in the midst has said what it has said.
        let Ok(piece) = piece else { return done() };
        sent += piece.len();
        if sent > MOST {
            return Err(Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("more than {MOST} bytes of speech"),
            ));
        }
        if sender.send(piece).await.is_err() {
            return enough();
        }
    }
}

/// The rest of the body is not wanted: the connection goes with it.
fn enough() -> Answer {
    let mut answer = HttpResponse::NoContent().finish();
    answer.head_mut().set_connection_type(actix_web::http::ConnectionType::Close);
    Ok(answer)
}
