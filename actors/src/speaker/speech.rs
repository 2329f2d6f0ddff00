//! What is said to this speaker: from its own microphone or a surface, coded for AVS, handed to the link as it comes.
//!
//! One utterance at a time. The samples never pass this actor: the capture's thread puts them into the upload's channel,
//! a task feeds it what a surface sends, at the pace of speech.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix::prelude::*;
use antiphon_avs::device::DeviceInput;
use antiphon_avs::effect::CaptureCommand;
use antiphon_avs::message::CaptureId;
use antiphon_avs::signal::{Initiator, Profile, Signal, SpeechFormat, SpeechNews, Utterance};
use antiphon_domain::house::HouseError;
use antiphon_render::{
    ByteWriter, Capture, CaptureEvent, CaptureFormat, CaptureSink, CaptureSource, byte_pipe,
};
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, info, warn};

use super::Speaker;
use crate::messages::{CaptureNews, CaptureTold, Hear};
use crate::post;
use crate::requests::ListenRequest;

/// Pieces of coded speech (10 or 20 ms) that may wait for the link: it empties this at once.
const PIECES: usize = 1_024;
/// How far ahead of real time sound from a surface is taken: a file must not outrun the upload.
const AHEAD: Duration = Duration::from_secs(2);
/// So much is uploaded of one utterance at most, milliseconds: a cloud that neither answers nor says "stop" must not
/// keep a microphone open (ours; longer than a surface may send).
const LONGEST: u64 = 5 * 60 * 1_000;
/// Within this the first sound of a surface must come: until then nobody else is heard, and Alexa is not asked.
const FIRST: Duration = Duration::from_secs(5);
/// What a surface is told when its utterance is not taken.
const BUSY: &str = "Alexa is busy with something else; try again in a moment";
/// What is fed at once, bytes.
const BITE: usize = 8 * 1024;
/// What may wait to be decoded, bytes.
const UNDECODED: usize = 32 * 1024;

/// The utterance under way, where there is one.
#[derive(Default)]
pub(super) struct Ears {
    hearing: Option<Hearing>,
    last: u64,
}

struct Hearing {
    id: CaptureId,
    /// Dropped, it is closed.
    _capture: Capture,
    /// The end of the upload's channel where pieces go in; emptied to end the upload.
    pieces: Pieces,
    /// The other end, until the event is posted.
    upload: Option<mpsc::Receiver<Bytes>>,
    /// The device knows of it.
    begun: bool,
    /// Told only once sound comes: a microphone may refuse, and what a surface sends may be no sound.
    utterance: Option<Utterance>,
    /// Where a surface waits to learn whether it is heard.
    answer: Option<oneshot::Sender<Result<CaptureId, HouseError>>>,
    /// The task that feeds it.
    feeder: Option<tokio::task::AbortHandle>,
}

type Pieces = Arc<Mutex<Option<mpsc::Sender<Bytes>>>>;

impl Drop for Hearing {
    fn drop(&mut self) {
        if let Some(feeder) = &self.feeder {
            feeder.abort();
        }
        // The link finishes the upload properly when its channel ends.
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Speaker {
    pub(super) fn capture(&mut self, command: CaptureCommand, ctx: &Context<Self>) {
        match command {
            CaptureCommand::Open => self.open_microphone(ctx),
            CaptureCommand::Close(id) => {
                if self.ears.hearing.as_ref().is_some_and(|h| h.id == id) {
                    self.ears.hearing = None;
                }
            }
        }
    }

    fn open_microphone(&mut self, ctx: &Context<Self>) {
        let Some(device) = self.settings.microphone.clone() else {
            let why = "this speaker has no microphone".to_owned();
            return self.echoes.push_back(Signal::Speech(SpeechNews::NoMicrophone(why)));
        };
        if self.ears.hearing.is_some() {
            let why = "somebody is heard already".to_owned();
            return self.echoes.push_back(Signal::Speech(SpeechNews::NoMicrophone(why)));
        }
        let utterance = Utterance {
            id: self.next_capture(),
            initiator: Initiator::Expected,
            profile: Profile::NearField,
            format: SpeechFormat::Pcm,
            energies: None,
        };
        self.open_capture(utterance, CaptureSource::Device(device), Arc::default(), None, ctx);
    }

    fn next_capture(&mut self) -> CaptureId {
        self.ears.last += 1;
        CaptureId(self.ears.last)
    }

    fn open_capture(
        &mut self,
        utterance: Utterance,
        source: CaptureSource,
        coded: Arc<AtomicU64>,
        feeder: Option<tokio::task::AbortHandle>,
        ctx: &Context<Self>,
    ) {
        let (sender, upload) = mpsc::channel(PIECES);
        let pieces: Pieces = Arc::new(Mutex::new(Some(sender)));
        let id = utterance.id;
        let (format, millis) = match utterance.format {
            SpeechFormat::Pcm => (CaptureFormat::Pcm, 10),
            SpeechFormat::Opus => (CaptureFormat::Opus, 20),
        };
        let news = ctx.address().recipient();
        let metrics = self.parts.metrics.clone();
        let (into, begun) = (pieces.clone(), AtomicBool::new(false));
        let sink: CaptureSink = Arc::new(move |event| {
            // Counted when refused.
            let tell = |what| {
                let _ = post::tell(&news, CaptureNews { id, what }, &metrics);
            };
            match event {
                CaptureEvent::Chunk(chunk) => {
                    let before = coded.fetch_add(millis, Ordering::Relaxed);
                    if !begun.swap(true, Ordering::Relaxed) {
                        tell(CaptureTold::Begun);
                    }
                    let mut pieces = into.lock().unwrap_or_else(PoisonError::into_inner);
                    let sent = pieces.as_ref().map(|pieces| pieces.try_send(Bytes::from(chunk)));
                    if matches!(sent, Some(Err(_))) || (sent.is_some() && before >= LONGEST) {
                        // The upload is over, or hopelessly behind: a hole in speech is worse than its end.
                        *pieces = None;
                        tell(CaptureTold::Unwanted);
                    }
                }
                CaptureEvent::Ended => tell(CaptureTold::Ended),
                CaptureEvent::Failed(why) => tell(CaptureTold::Failed(why)),
                _ => {}
            }
        });
        let capture = self.parts.renderer.open_capture(source, format, sink);
        self.parts.metrics.captures.with_label_values(&[self.id.as_str()]).inc();
        self.ears.hearing = Some(Hearing {
            id,
            _capture: capture,
            pieces,
            upload: Some(upload),
            begun: false,
            utterance: Some(utterance),
            answer: None,
            feeder,
        });
    }

    /// Where the speech of an event comes from; `None` when it is over already.
    pub(super) fn upload_of(&mut self, id: CaptureId) -> Option<mpsc::Receiver<Bytes>> {
        let upload = self.ears.hearing.as_mut().filter(|h| h.id == id).and_then(|h| h.upload.take());
        if upload.is_some() {
            self.parts.metrics.uploads.with_label_values(&[self.id.as_str()]).inc();
        }
        upload
    }

    fn utterance_begins(&mut self, ctx: &mut Context<Self>) {
        let Some(hearing) = &mut self.ears.hearing else { return };
        hearing.begun = true;
        let (id, answer) = (hearing.id, hearing.answer.take());
        if let Some(utterance) = hearing.utterance.take() {
            self.drive(DeviceInput::Signal(Signal::Speech(SpeechNews::Begun(utterance))), ctx);
        }
        if let Some(answer) = answer {
            let heard = self.ears.hearing.as_ref().is_some_and(|h| h.id == id);
            // Who asked may have gone; then its sound ends, too.
            let _ = answer.send(if heard { Ok(id) } else { Err(HouseError::NotNow(BUSY.into())) });
        }
    }

    /// Nothing came of it, so the machine has nothing to close.
    fn nothing_heard(&mut self, why: String, ctx: &mut Context<Self>) {
        let Some(mut hearing) = self.ears.hearing.take() else { return };
        if let Some(answer) = hearing.answer.take() {
            debug!(speaker = %self.id, why, "what was sent is no speech");
            let _ = answer
                .send(Err(HouseError::NotNow(format!("there is nothing to hear in what was sent: {why}"))));
            return;
        }
        warn!(speaker = %self.id, why, "the microphone cannot be opened");
        self.drive(DeviceInput::Signal(Signal::Speech(SpeechNews::NoMicrophone(why))), ctx);
    }
}

impl Handler<Hear> for Speaker {
    type Result = ResponseFuture<Result<CaptureId, HouseError>>;

    fn handle(&mut self, message: Hear, ctx: &mut Self::Context) -> Self::Result {
        let refused = |why: &str| -> Self::Result {
            let why = HouseError::NotNow(why.into());
            Box::pin(async move { Err(why) })
        };
        if self.view.link.state != "connected" {
            return refused("it is not connected to Alexa");
        }
        if self.ears.hearing.is_some() {
            return refused("it is listening already");
        }
        let ListenRequest { initiator, profile, format, energies, container, audio } = message.request;
        let id = self.next_capture();
        info!(speaker = %self.id, ?initiator, "somebody speaks");
        let (writer, reader) = byte_pipe();
        let coded = Arc::new(AtomicU64::new(0));
        let feeder = self.parts.runtime.spawn(feed(audio, writer, coded.clone())).abort_handle();
        let utterance = Utterance { id, initiator, profile, format, energies };
        let source = CaptureSource::Bytes { reader, container };
        self.open_capture(utterance, source, coded, Some(feeder), ctx);
        let (answer, answered) = oneshot::channel();
        if let Some(hearing) = &mut self.ears.hearing {
            hearing.answer = Some(answer);
        }
        ctx.run_later(FIRST, move |speaker, ctx| {
            if speaker.ears.hearing.as_ref().is_some_and(|h| h.id == id && !h.begun) {
                speaker.nothing_heard(format!("no sound came within {} s", FIRST.as_secs()), ctx);
            }
        });
        Box::pin(async move { answered.await.unwrap_or_else(|_| Err(HouseError::NotNow(BUSY.into()))) })
    }
}

impl Handler<CaptureNews> for Speaker {
    type Result = ();

    fn handle(&mut self, message: CaptureNews, ctx: &mut Self::Context) {
        let Some(hearing) = self.ears.hearing.as_mut().filter(|h| h.id == message.id) else { return };
        let id = hearing.id;
        match message.what {
            CaptureTold::Begun if !hearing.begun => self.utterance_begins(ctx),
            CaptureTold::Begun => {}
            told if !hearing.begun => {
                let why = match told {
                    CaptureTold::Failed(why) => why,
                    _ => "it gave no sound".to_owned(),
                };
                self.nothing_heard(why, ctx);
            }
            told => {
                if let CaptureTold::Failed(why) = &told {
                    warn!(speaker = %self.id, why, "the microphone went away");
                }
                debug!(speaker = %self.id, ?told, "an utterance is over");
                // The upload ends before the machine hears of it; it closes the capture itself.
                hearing.pieces.lock().unwrap_or_else(PoisonError::into_inner).take();
                self.drive(DeviceInput::Signal(Signal::Speech(SpeechNews::Ended { id })), ctx);
            }
        }
    }
}

/// Hands a surface's sound to the capture, no faster than it could have been spoken.
async fn feed(mut audio: mpsc::Receiver<Bytes>, writer: ByteWriter, coded: Arc<AtomicU64>) {
    let begun = Instant::now();
    while let Some(chunk) = audio.recv().await {
        let mut rest = chunk;
        while !rest.is_empty() {
            let early = || Duration::from_millis(coded.load(Ordering::Relaxed)) > begun.elapsed() + AHEAD;
            while writer.pending() > UNDECODED || early() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let bite = rest.split_to(rest.len().min(BITE));
            if !writer.push(Box::new(bite)) {
                return;
            }
        }
    }
    writer.finish(true);
}
