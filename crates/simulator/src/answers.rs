//! Owns what the cloud says of its own accord: scripted answers to coming events, and the little it knows of playing
//! music. Pure; `events` asks here once an event has been judged.

use serde_json::{Value, json};

use crate::transcript::{Direction, Entry};

/// Binary data that goes with a directive.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// The id: `cid:ID` in the payload, `Content-ID: <ID>` on the part.
    pub id: String,
    /// The bytes.
    pub data: bytes::Bytes,
}

/// A directive on its way: the whole `{"directive":…}` and what is attached.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// `{"directive":{"header":…,"payload":…}}`.
    pub message: Value,
    /// Attachments, in the order they are sent.
    pub attachments: Vec<Attachment>,
    /// Whether attachments go before the directive instead of behind it.
    pub attachments_first: bool,
}

impl Outgoing {
    /// A directive with a fresh messageId and no attachment.
    pub fn new(namespace: &str, name: &str, payload: Value) -> Self {
        let id = uuid::Uuid::new_v4().to_string();
        let header = json!({ "namespace": namespace, "name": name, "messageId": id });
        Self {
            message: json!({ "directive": { "header": header, "payload": payload } }),
            attachments: Vec::new(),
            attachments_first: false,
        }
    }

    /// Sets one more header field.
    #[must_use]
    pub fn with_header(mut self, key: &str, value: &str) -> Self {
        self.message["directive"]["header"][key] = json!(value);
        self
    }

    /// Attaches data.
    #[must_use]
    pub fn with_attachment(mut self, id: &str, data: impl Into<bytes::Bytes>) -> Self {
        self.attachments.push(Attachment { id: id.to_owned(), data: data.into() });
        self
    }

    /// `Namespace.Name`.
    pub fn title(&self) -> String {
        let header = &self.message["directive"]["header"];
        format!(
            "{}.{}",
            header["namespace"].as_str().unwrap_or_default(),
            header["name"].as_str().unwrap_or_default()
        )
    }
}

/// How an event is answered.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// HTTP status; 200 is made a multipart body even without directives.
    pub status: u16,
    /// Directives in the body of a 200.
    pub directives: Vec<Outgoing>,
}

impl Answer {
    /// 204.
    pub fn nothing() -> Self {
        Self { status: 204, directives: Vec::new() }
    }

    /// 200 with these directives.
    pub fn directives(directives: Vec<Outgoing>) -> Self {
        Self { status: 200, directives }
    }

    /// Some other status; 4xx and 5xx carry their exception body.
    pub fn status(status: u16) -> Self {
        Self { status, directives: Vec::new() }
    }
}

/// A prepared answer to the next event of a kind.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) answer: Answer,
}

/// What the cloud knows of a device's music.
#[derive(Debug, Default)]
pub(crate) struct Player {
    /// The album playing, and the number of its newest track sent.
    album: Vec<String>,
    position: usize,
    token: Option<String>,
    activity: Option<String>,
    sent: u64,
}

impl Player {
    /// Follows what the device reports.
    pub(crate) fn notice(&mut self, entry: &Entry) {
        if entry.direction != Direction::Event || entry.namespace != "AudioPlayer" {
            if let Some(state) = entry.context("AudioPlayer", "PlaybackState") {
                self.activity = state["playerActivity"].as_str().map(str::to_owned);
            }
            return;
        }
        let activity = match entry.name.as_str() {
            "PlaybackStarted" | "PlaybackResumed" | "PlaybackStutterFinished" => "PLAYING",
            "PlaybackStutterStarted" => "BUFFER_UNDERRUN",
            "PlaybackPaused" => "PAUSED",
            "PlaybackStopped" | "PlaybackFailed" => "STOPPED",
            "PlaybackFinished" => "FINISHED",
            _ => return,
        };
        self.activity = Some(activity.to_owned());
    }

    pub(crate) fn activity(&self) -> Option<&str> {
        self.activity.as_deref()
    }

    /// Begins an album of these URLs and returns the Play of its first track.
    pub(crate) fn begin(&mut self, album: Vec<String>) -> Option<Outgoing> {
        self.album = album;
        self.position = 0;
        self.play("REPLACE_ALL", None)
    }

    /// The Play of the next track now, as "next" asks for.
    pub(crate) fn skip(&mut self) -> Option<Outgoing> {
        // Behind the last track the album begins again.
        self.position = (self.position + 1).checked_rem(self.album.len())?;
        self.play("REPLACE_ALL", None)
    }

    /// The Play of the track before.
    pub(crate) fn back(&mut self) -> Option<Outgoing> {
        self.position = self.position.saturating_sub(1);
        self.play("REPLACE_ALL", None)
    }

    /// The Play of the same track again.
    pub(crate) fn again(&mut self) -> Option<Outgoing> {
        self.play("REPLACE_ALL", None)
    }

    /// The Play that follows the track with this token, when it is the newest and not the album's last.
    pub(crate) fn follow(&mut self, token: &str) -> Option<Outgoing> {
        if self.token.as_deref() != Some(token) || self.position + 1 >= self.album.len() {
            return None;
        }
        self.position += 1;
        self.play("ENQUEUE", Some(token))
    }

    fn play(&mut self, behavior: &str, previous: Option<&str>) -> Option<Outgoing> {
        let url = self.album.get(self.position)?;
        self.sent += 1;
        let title = url.rsplit('/').next().unwrap_or_default();
        let token = format!("track:{}:{title}", self.sent);
        let mut stream = json!({
            "url": url,
            "token": token,
            "offsetInMilliseconds": 0,
            "expiryTime": "2099-12-31T23:59:59+0000",
            "progressReport": { "progressReportDelayInMilliseconds": 1000 },
        });
        if let Some(previous) = previous {
            stream["expectedPreviousToken"] = json!(previous);
        }
        self.token = Some(token);
        let item = json!({ "audioItemId": title, "stream": stream });
        Some(Outgoing::new("AudioPlayer", "Play", json!({ "playBehavior": behavior, "audioItem": item })))
    }
}
