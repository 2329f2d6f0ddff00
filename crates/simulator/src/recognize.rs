//! Owns one Recognize: listening while the sound arrives, StopCapture when the script says so, and the answer on the
//! Recognize's own stream. `events` has read and accepted its metadata before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::SendResponse;
use serde_json::{Value, json};

use crate::answers::{Answer, Outgoing};
use crate::connection::Link;
use crate::downchannel::Down;
use crate::emit::Gone;
use crate::hearing::Hearing;
use crate::reception::Reception;
use crate::respond::{self, Response};
use crate::script::{Reply, Road, Script, Stop};
use crate::{skills, strict};

/// Hearings kept of one device.
const MAX_HEARINGS: usize = 16;
/// How long a script without a better rule listens.
const USUAL: Duration = Duration::from_secs(1);
/// How long a device may go on sending sound after StopCapture.
const PATIENCE: Duration = Duration::from_secs(2);
const TITLE: &str = "SpeechRecognizer.Recognize";

/// What one Recognize is about.
struct Dialogue<'a> {
    link: &'a Arc<Link>,
    dsn: &'a str,
    stream: u64,
    index: usize,
    /// The dialogRequestId that counts.
    id: String,
    close_talk: bool,
    script: Script,
    respond: Option<SendResponse<Bytes>>,
    response: Option<Response<'a>>,
}

/// Serves a Recognize whose metadata were accepted, to the end of its answer.
pub(crate) async fn serve(
    link: &Arc<Link>,
    dsn: &str,
    stream: u64,
    message: &Value,
    script: Script,
    mut reception: Reception,
    respond: SendResponse<Bytes>,
) {
    let hearing = {
        let mut state = link.shared.lock();
        let device = state.device(dsn);
        let index = device.hearings.back().map_or(0, |last| last.index + 1);
        let hearing = Hearing::new(index, message);
        device.hearings.push_back(hearing.clone());
        while device.hearings.len() > MAX_HEARINGS {
            device.hearings.pop_front();
        }
        hearing
    };
    let mut dialogue = Dialogue {
        link,
        dsn,
        stream,
        index: hearing.index,
        id: hearing.dialog_request_id.clone(),
        close_talk: hearing.profile == "CLOSE_TALK",
        script,
        respond: Some(respond),
        response: None,
    };
    if dialogue.listen(&hearing, &mut reception).await.is_ok() {
        dialogue.judge(&reception, message);
        dialogue.answer().await;
    }
    respond::end(link, stream);
}

impl<'a> Dialogue<'a> {
    /// Takes the sound in to its end; `Gone` when nothing more is to be said.
    async fn listen(&mut self, hearing: &Hearing, reception: &mut Reception) -> Result<(), Gone> {
        if self.script.processing {
            let started = Outgoing::new("InteractionModel", "RequestProcessingStarted", json!({}));
            self.write(started).await?;
        }
        let mut stopped = self.close_talk || self.script.stop == Stop::Never;
        let alarm = match self.script.stop {
            Stop::After(after) => Some(after),
            Stop::Silence(_) if hearing.format == "OPUS" => Some(2 * USUAL),
            _ => None,
        };
        let due = tokio::time::Instant::from_std(hearing.started + alarm.unwrap_or_default());
        loop {
            let mut timed = false;
            tokio::select! {
                data = reception.next() => match data {
                    Some(data) if reception.part() == "audio" => self.hear(&data),
                    Some(_) => {}
                    None => break,
                },
                () = tokio::time::sleep_until(due), if alarm.is_some() && !stopped => timed = true,
            }
            if !stopped && (timed || self.enough()) {
                stopped = true;
                self.stop().await?;
            }
        }
        self.change(|hearing| {
            hearing.ended = Some(Instant::now());
            hearing.whole = !reception.broken_off;
        });
        if reception.broken_off { Err(Gone) } else { Ok(()) }
    }

    fn hear(&self, data: &[u8]) {
        if !data.is_empty() {
            self.change(|hearing| hearing.push(data));
        }
    }

    fn change(&self, change: impl FnOnce(&mut Hearing)) {
        let mut state = self.link.shared.lock();
        let device = state.device(self.dsn);
        if let Some(hearing) = device.hearings.iter_mut().find(|one| one.index == self.index) {
            change(hearing);
        }
        device.changed.send_modify(|version| *version += 1);
    }

    fn with<T: Default>(&self, look: impl FnOnce(&Hearing) -> T) -> T {
        let mut state = self.link.shared.lock();
        let device = state.device(self.dsn);
        device.hearings.iter().find(|one| one.index == self.index).map(look).unwrap_or_default()
    }

    /// Whether what was heard so far is enough by the script.
    fn enough(&self) -> bool {
        match self.script.stop {
            Stop::Usual => self.with(|hearing| hearing.sound() >= USUAL),
            Stop::Bytes(bytes) => self.with(|hearing| hearing.bytes >= bytes),
            Stop::Silence(least) => self.with(|hearing| hearing.format != "OPUS" && hearing.quiet() >= least),
            Stop::Never | Stop::After(_) => false,
        }
    }

    /// Says that enough was heard.
    async fn stop(&mut self) -> Result<(), Gone> {
        if let Reply::Status(status) = self.script.reply {
            self.change(|hearing| hearing.ended = Some(Instant::now()));
            self.refuse(status).await;
            return Err(Gone);
        }
        let mut capture = Outgoing::new("SpeechRecognizer", "StopCapture", json!({}));
        if self.script.tagged {
            capture = capture.with_header("dialogRequestId", &self.id);
        }
        self.change(|hearing| {
            hearing.stop_sent = Some(Instant::now());
            hearing.bytes_at_stop = Some(hearing.bytes);
        });
        // A 204 leaves no body for a directive to travel in.
        let bare = matches!(self.script.reply, Reply::Nothing | Reply::FalseWake);
        if bare || self.script.road == Road::Downchannel {
            let mut state = self.link.shared.lock();
            if let Some(down) = state.device(self.dsn).newest() {
                // A downchannel that closes now loses it, as the real one would.
                let _ = down.sender.send(Down::Directive(Box::new(capture), None));
            }
            return Ok(());
        }
        self.write(capture).await
    }

    /// Writes a directive on the Recognize's stream; the first begins the answer.
    async fn write(&mut self, outgoing: Outgoing) -> Result<(), Gone> {
        self.begin().await?;
        let outgoing = self.tagged(outgoing);
        match &mut self.response {
            Some(response) => response.directive(outgoing).await,
            None => Err(Gone),
        }
    }

    async fn begin(&mut self) -> Result<(), Gone> {
        if let Some(respond) = self.respond.take() {
            self.response = Some(Response::begin(self.link, self.dsn, self.stream, respond).await?);
        }
        Ok(())
    }

    fn tagged(&self, outgoing: Outgoing) -> Outgoing {
        let header = &outgoing.message["directive"]["header"];
        // StopCapture was tagged, or not, as the script has it; a test's own id is left alone.
        let free = header["name"] == "StopCapture" || header.get("dialogRequestId").is_some();
        if free { outgoing } else { outgoing.with_header("dialogRequestId", &self.id) }
    }

    async fn refuse(&mut self, status: u16) {
        if let Some(respond) = self.respond.take() {
            respond::give(self.link, self.dsn, self.stream, Answer::status(status), respond).await;
        }
    }

    /// Judges the sound and the way it ended.
    fn judge(&self, reception: &Reception, message: &Value) {
        let mut faults = reception.faults.clone();
        strict::check_parts(&reception.parts, &mut faults);
        let initiator = &message["event"]["payload"]["initiator"];
        let names: Vec<String> = reception.parts.iter().map(strict::PartSeen::name).collect();
        if names.last().is_none_or(|name| name != "audio") {
            faults.push("no audio part".to_owned());
        }
        if names.iter().any(|name| name == "wakewordEngineMetadata") && initiator["type"] != "WAKEWORD" {
            faults.push("wakewordEngineMetadata without a wake word".to_owned());
        }
        self.with(|hearing| {
            hearing.judge(&mut faults);
            let last = &initiator["payload"]["wakeWordIndices"]["endIndexInSamples"];
            if hearing.format != "OPUS" && last.as_u64().is_some_and(|last| last > hearing.bytes / 2) {
                faults.push(format!("the wake word ends behind the {} bytes of sound", hearing.bytes));
            }
            if let (Some(stop), Some(ended)) = (hearing.stop_sent, hearing.ended)
                && ended.saturating_duration_since(stop) > PATIENCE
            {
                faults.push("the audio went on more than 2 s after StopCapture".to_owned());
            }
        });
        for fault in faults {
            self.link.shared.violation(Some(self.dsn), self.link.id, TITLE, fault);
        }
    }

    /// Says what the script has prepared.
    async fn answer(mut self) {
        let directives = match std::mem::take(&mut self.script.reply) {
            Reply::Status(status) => return self.refuse(status).await,
            Reply::Nothing | Reply::FalseWake => {
                if self.response.is_none() {
                    return self.refuse(204).await;
                }
                Vec::new()
            }
            Reply::Directives(directives) => directives,
            Reply::Text(text) => skills::answer(&self.link.shared, self.dsn, &text).await,
            Reply::Usual => {
                let seconds = self.with(Hearing::sound).as_secs_f64().round();
                let unit = if seconds == 1.0 { "second" } else { "seconds" };
                let text = format!("I heard {seconds} {unit}");
                skills::speak(&self.link.shared, &text).await.into_iter().collect()
            }
        };
        let mut whole = Vec::new();
        if self.script.new_dialog {
            let id = uuid::Uuid::new_v4().to_string();
            let begin =
                Outgoing::new("InteractionModel", "NewDialogRequest", json!({ "dialogRequestId": id }));
            whole.push(self.tagged(begin));
            self.id = id;
        }
        whole.extend(directives.into_iter().map(|one| self.tagged(one)));
        if let Some(expect) = self.script.expect.take() {
            let one = skills::expect(expect.timeout, expect.initiator);
            whole.push(self.tagged(one));
        }
        if self.script.processing {
            let done = Outgoing::new("InteractionModel", "RequestProcessingCompleted", json!({}));
            whole.push(self.tagged(done));
        }
        if whole.is_empty() && self.response.is_none() {
            return self.refuse(204).await;
        }
        if self.begin().await.is_ok()
            && let Some(response) = self.response.take()
        {
            response.finish(whole).await;
        }
    }
}
