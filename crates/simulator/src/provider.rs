//! Owns the little the cloud knows of playing music: the album, its order, what a person liked, and the answers to a
//! remote control's keys. Pure; `follow` and `skills` ask here.

use serde_json::{Value, json};

use crate::answers::Outgoing;
use crate::transcript::{Direction, Entry};

/// What SKIPFORWARD and SKIPBACKWARD move by, milliseconds.
const SKIP: u64 = 30_000;

/// A key or switch of a remote control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Press {
    Play,
    Pause,
    Next,
    Previous,
    Forward,
    Backward,
    Toggle(String, bool),
}

impl Press {
    /// The press a PlaybackController event tells of.
    pub(crate) fn of(title: &str, payload: &Value) -> Option<Self> {
        Some(match title.strip_prefix("PlaybackController.")? {
            "PlayCommandIssued" => Self::Play,
            "PauseCommandIssued" => Self::Pause,
            "NextCommandIssued" => Self::Next,
            "PreviousCommandIssued" => Self::Previous,
            "ButtonCommandIssued" if payload["name"] == "SKIPFORWARD" => Self::Forward,
            "ButtonCommandIssued" => Self::Backward,
            "ToggleCommandIssued" => {
                let name = payload["name"].as_str().unwrap_or_default();
                Self::Toggle(name.to_owned(), payload["action"] == "SELECT")
            }
            _ => return None,
        })
    }
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
    /// Where the stream stood when it was last told.
    offset: u64,
    shuffle: bool,
    repeat_all: bool,
    repeat_one: bool,
    /// Thumbs up or down for the track.
    liked: Option<bool>,
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
        self.offset = entry.payload()["offsetInMilliseconds"].as_u64().unwrap_or_default();
        self.activity = Some(activity.to_owned());
    }

    pub(crate) fn activity(&self) -> Option<&str> {
        self.activity.as_deref()
    }

    /// Begins an album of these URLs with its first track.
    pub(crate) fn begin(&mut self, album: Vec<String>, cards: bool, base: &str) -> Vec<Outgoing> {
        self.album = album;
        self.position = 0;
        self.play("REPLACE_ALL", None, 0, cards, base)
    }

    /// Begins the music of an alarm.
    pub(crate) fn wake(&mut self, album: Vec<String>, alert: &str, cards: bool, base: &str) -> Vec<Outgoing> {
        let mut directives = self.begin(album, cards, base);
        if let Some(play) = directives.last_mut() {
            play.message["directive"]["payload"]["playRequestor"] = json!({ "type": "ALERT", "id": alert });
        }
        directives
    }

    /// The track that follows the one with this token, when it is the newest and not the album's last.
    pub(crate) fn follow(&mut self, token: &str, cards: bool, base: &str) -> Vec<Outgoing> {
        if self.token.as_deref() != Some(token) {
            return Vec::new();
        }
        let last = self.position + 1 >= self.album.len();
        if !self.repeat_one {
            if last && !self.repeat_all {
                return Vec::new();
            }
            self.step();
        }
        self.play("ENQUEUE", Some(token), 0, cards, base)
    }

    /// Obeys a key as a provider does; `offset`: where the stream stands, milliseconds.
    pub(crate) fn press(&mut self, press: Press, offset: u64, cards: bool, base: &str) -> Vec<Outgoing> {
        match press {
            Press::Pause => return vec![Outgoing::new("AudioPlayer", "Stop", json!({}))],
            Press::Play => return self.play("REPLACE_ALL", None, offset, cards, base),
            Press::Next => self.step(),
            Press::Previous => self.position = self.position.saturating_sub(1),
            Press::Forward => return self.play("REPLACE_ALL", None, offset + SKIP, cards, base),
            Press::Backward => {
                return self.play("REPLACE_ALL", None, offset.saturating_sub(SKIP), cards, base);
            }
            Press::Toggle(name, on) => return self.toggle(&name, on, cards, base),
        }
        self.play("REPLACE_ALL", None, 0, cards, base)
    }

    /// Where a person who says "resume" means to go on.
    pub(crate) fn offset(&self) -> u64 {
        if self.activity() == Some("FINISHED") { 0 } else { self.offset }
    }

    /// The card of what plays.
    pub(crate) fn card(&self, base: &str) -> Option<Outgoing> {
        let url = self.album.get(self.position)?;
        let title = url.rsplit('/').next().unwrap_or_default();
        let button = |name: &str, enabled: bool| json!({ "type": "BUTTON", "name": name, "enabled": enabled, "selected": false });
        let toggle = |name: &str, selected: bool| json!({ "type": "TOGGLE", "name": name, "enabled": true, "selected": selected });
        let payload = json!({
            "audioItemId": self.item(),
            "content": {
                "title": title,
                "titleSubtext1": "Antiphon",
                "header": "Simulator",
                "mediaLengthInMilliseconds": 30_000,
                "art": { "contentDescription": title, "sources": [{ "url": format!("{base}/cover.png") }] },
                "provider": { "name": "Simulator" },
            },
            "controls": [
                button("PLAY_PAUSE", true),
                button("NEXT", self.album.len() > 1),
                button("PREVIOUS", self.position > 0),
                button("SKIP_FORWARD", true),
                button("SKIP_BACKWARD", true),
                toggle("SHUFFLE", self.shuffle),
                toggle("LOOP", self.repeat_all),
                toggle("REPEAT", self.repeat_one),
                toggle("THUMBS_UP", self.liked == Some(true)),
                toggle("THUMBS_DOWN", self.liked == Some(false)),
            ],
        });
        Some(Outgoing::new("TemplateRuntime", "RenderPlayerInfo", payload))
    }

    fn item(&self) -> String {
        let url = self.album.get(self.position).map(String::as_str).unwrap_or_default();
        url.rsplit('/').next().unwrap_or_default().to_owned()
    }

    fn toggle(&mut self, name: &str, on: bool, cards: bool, base: &str) -> Vec<Outgoing> {
        match name {
            "SHUFFLE" => self.shuffle = on,
            "LOOP" => self.repeat_all = on,
            "REPEAT" => self.repeat_one = on,
            "THUMBSUP" => self.liked = on.then_some(true),
            "THUMBSDOWN" => {
                self.liked = on.then_some(false);
                if on && self.album.len() > 1 {
                    // A provider spares its listener what it does not like.
                    self.step();
                    return self.play("REPLACE_ALL", None, 0, cards, base);
                }
            }
            _ => {}
        }
        self.card(base).filter(|_| cards).into_iter().collect()
    }

    /// To the next track; behind the last one the album begins again.
    fn step(&mut self) {
        // Any order that differs is good enough for "shuffle": two steps in an album of three reach all.
        let by = if self.shuffle && self.album.len() > 2 { 2 } else { 1 };
        self.position = (self.position + by).checked_rem(self.album.len()).unwrap_or(0);
        self.liked = None;
    }

    fn play(
        &mut self,
        behavior: &str,
        previous: Option<&str>,
        offset: u64,
        cards: bool,
        base: &str,
    ) -> Vec<Outgoing> {
        let Some(url) = self.album.get(self.position) else { return Vec::new() };
        self.sent += 1;
        let title = self.item();
        let token = format!("track:{}:{title}", self.sent);
        let mut stream = json!({
            "url": url,
            "token": token,
            "offsetInMilliseconds": offset,
            "expiryTime": "2099-12-31T23:59:59+0000",
            "progressReport": { "progressReportDelayInMilliseconds": 1000 },
        });
        if let Some(previous) = previous {
            stream["expectedPreviousToken"] = json!(previous);
        }
        self.token = Some(token);
        let item = json!({ "audioItemId": title, "stream": stream });
        let play =
            Outgoing::new("AudioPlayer", "Play", json!({ "playBehavior": behavior, "audioItem": item }));
        // The card first: it is kept until its item plays.
        self.card(base).filter(|_| cards).into_iter().chain([play]).collect()
    }
}
