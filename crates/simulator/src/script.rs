//! Owns what can be prepared for a device's next Recognize: when the cloud says that it has heard enough, on which
//! road, and what it answers. Plain data and its JSON form; `recognize` carries it out.

use std::time::Duration;

use base64::Engine;
use serde_json::Value;

use crate::Error;
use crate::answers::{Attachment, Outgoing};

/// When StopCapture is sent; never for the profile CLOSE_TALK, where the client decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stop {
    /// After one second of sound.
    #[default]
    Usual,
    /// Not at all: the device ends by itself.
    Never,
    /// After this many bytes of sound.
    Bytes(u64),
    /// This long after the Recognize's metadata came.
    After(Duration),
    /// When a PCM stream was quiet (below -45 dBFS) for this long after speech; for Opus as `After` of 2 s.
    Silence(Duration),
}

/// Where StopCapture travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Road {
    /// On the Recognize's own response.
    #[default]
    Response,
    /// On the downchannel.
    Downchannel,
}

/// What the cloud makes of the sound.
#[derive(Clone, Debug, Default)]
pub enum Reply {
    /// Speaks "I heard N seconds".
    #[default]
    Usual,
    /// The user said this: see `Simulator::say`; spoken confirmation first where there is one to give.
    Text(String),
    /// These directives; the dialogRequestId is put on each that has none.
    Directives(Vec<Outgoing>),
    /// 204: nothing comes of it.
    Nothing,
    /// It was no wake word: StopCapture on the downchannel, then 204.
    FalseWake,
    /// This status, at the moment when StopCapture would be due.
    Status(u16),
}

/// An ExpectSpeech that ends the answer.
#[derive(Clone, Debug)]
pub struct Expect {
    /// How long the device may wait for speech.
    pub timeout: Duration,
    /// What the next Recognize must carry unchanged; `None`: it must carry none.
    pub initiator: Option<Value>,
}

/// The answer to one Recognize.
#[derive(Clone, Debug)]
pub struct Script {
    /// When StopCapture is sent.
    pub stop: Stop,
    /// On which road.
    pub road: Road,
    /// Whether StopCapture carries the dialogRequestId.
    pub tagged: bool,
    /// Whether RequestProcessingStarted comes at once and RequestProcessingCompleted at the end.
    pub processing: bool,
    /// Whether the answer belongs to a dialogue that the cloud began (NewDialogRequest first).
    pub new_dialog: bool,
    /// The answer.
    pub reply: Reply,
    /// What follows the answer.
    pub expect: Option<Expect>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            stop: Stop::Usual,
            road: Road::Response,
            tagged: true,
            processing: false,
            new_dialog: false,
            reply: Reply::Usual,
            expect: None,
        }
    }
}

impl Script {
    /// With this answer.
    pub fn reply(reply: Reply) -> Self {
        Self { reply, ..Self::default() }
    }

    /// The user will have said this.
    pub fn text(text: &str) -> Self {
        Self::reply(Reply::Text(text.to_owned()))
    }

    /// These directives.
    pub fn directives(directives: Vec<Outgoing>) -> Self {
        Self::reply(Reply::Directives(directives))
    }

    /// It will have been no wake word.
    pub fn false_wake() -> Self {
        Self { road: Road::Downchannel, ..Self::reply(Reply::FalseWake) }
    }

    /// 204.
    pub fn nothing() -> Self {
        Self { road: Road::Downchannel, ..Self::reply(Reply::Nothing) }
    }

    /// Sends StopCapture then.
    #[must_use]
    pub fn stop(self, stop: Stop) -> Self {
        Self { stop, ..self }
    }

    /// Sends StopCapture there.
    #[must_use]
    pub fn road(self, road: Road) -> Self {
        Self { road, ..self }
    }

    /// Sends StopCapture without dialogRequestId.
    #[must_use]
    pub fn untagged(self) -> Self {
        Self { tagged: false, ..self }
    }

    /// Frames the answer by RequestProcessingStarted and RequestProcessingCompleted.
    #[must_use]
    pub fn processing(self) -> Self {
        Self { processing: true, ..self }
    }

    /// Begins the answer with NewDialogRequest.
    #[must_use]
    pub fn new_dialog(self) -> Self {
        Self { new_dialog: true, ..self }
    }

    /// Ends the answer with ExpectSpeech.
    #[must_use]
    pub fn expect(self, timeout: Duration, initiator: Option<Value>) -> Self {
        Self { expect: Some(Expect { timeout, initiator }), ..self }
    }

    /// Reads the form which the admin API takes; see `admin`.
    pub(crate) fn read(tree: &Value) -> Result<Self, Error> {
        let wrong = |why: &str| Error::BadScript(why.to_owned());
        let object = tree.as_object().ok_or_else(|| wrong("an object was expected"))?;
        let mut script = Self::default();
        for (key, value) in object {
            match key.as_str() {
                "text" => script.reply = Reply::Text(value.as_str().unwrap_or_default().to_owned()),
                "directives" => {
                    script.reply = Reply::Directives(outgoing(value, &tree["attachments"])?);
                }
                "attachments" => {}
                "status" => {
                    let status = value.as_u64().and_then(|status| u16::try_from(status).ok());
                    let status = status.filter(|status| (204..600).contains(status));
                    script.reply = match status.ok_or_else(|| wrong("no such status"))? {
                        204 => Reply::Nothing,
                        status => Reply::Status(status),
                    };
                }
                "falseWake" if *value == true => script.reply = Reply::FalseWake,
                "stop" => script.stop = stop(value.as_str().unwrap_or_default())?,
                "road" => {
                    script.road = match value.as_str() {
                        Some("response") => Road::Response,
                        Some("downchannel") => Road::Downchannel,
                        _ => return Err(wrong("road is response or downchannel")),
                    };
                }
                "tagged" => script.tagged = *value == true,
                "processing" => script.processing = *value == true,
                "newDialog" => script.new_dialog = *value == true,
                "falseWake" => {}
                "expect" => {
                    let timeout = Duration::from_millis(value["timeout"].as_u64().unwrap_or(8000));
                    script.expect = Some(Expect { timeout, initiator: value.get("initiator").cloned() });
                }
                _ => return Err(Error::BadScript(format!("unknown key {key}"))),
            }
        }
        Ok(script)
    }
}

/// `usual`, `never`, `bytes:N`, `ms:N`, `silence:MS`.
fn stop(text: &str) -> Result<Stop, Error> {
    let (kind, number) = text.split_once(':').unwrap_or((text, ""));
    let count = number.parse::<u64>();
    Ok(match (kind, count) {
        ("usual", _) => Stop::Usual,
        ("never", _) => Stop::Never,
        ("bytes", Ok(count)) => Stop::Bytes(count),
        ("ms", Ok(count)) => Stop::After(Duration::from_millis(count)),
        ("silence", Ok(count)) => Stop::Silence(Duration::from_millis(count)),
        _ => return Err(Error::BadScript("stop is usual, never, bytes:N, ms:N or silence:MS".to_owned())),
    })
}

/// Directives as JSON, each with the attachments its text names.
fn outgoing(list: &Value, attached: &Value) -> Result<Vec<Outgoing>, Error> {
    let attachments = attachments(attached)?;
    let mut directives = Vec::new();
    for message in list.as_array().map_or(&[][..], Vec::as_slice) {
        let mut message = message.clone();
        complete(&mut message);
        let text = message.to_string();
        let own = attachments.iter().filter(|one| text.contains(&format!("cid:{}\"", one.id)));
        directives.push(Outgoing { attachments: own.cloned().collect(), message, attachments_first: false });
    }
    Ok(directives)
}

/// `[{"id","base64"}]`.
pub(crate) fn attachments(list: &Value) -> Result<Vec<Attachment>, Error> {
    let mut attachments = Vec::new();
    for attachment in list.as_array().map_or(&[][..], Vec::as_slice) {
        let coded = attachment["base64"].as_str().unwrap_or_default();
        let data = base64::engine::general_purpose::STANDARD
            .decode(coded)
            .map_err(|error| Error::BadScript(error.to_string()))?;
        let id = attachment["id"].as_str().unwrap_or_default().to_owned();
        attachments.push(Attachment { id, data: data.into() });
    }
    Ok(attachments)
}

/// Gives a directive written by hand its messageId; the wrong kind of header is let through as it is.
pub(crate) fn complete(message: &mut Value) {
    let header = &mut message["directive"]["header"];
    if header.is_object() && header.get("messageId").is_none() {
        header["messageId"] = uuid::Uuid::new_v4().to_string().into();
    }
}
