//! A session on a bench: inputs by hand, time by hand, outputs as short words.

use std::sync::Arc;
use std::time::Duration;

use antiphon_avs::message::{Event, Retry, StreamId};
use antiphon_avs::multipart::Limits;
use antiphon_avs::session::{
    ConnId, EventOutcome, Identity, Input, Output, Secret, Session, SessionConfig, Stack, State, Timers,
};
use antiphon_domain::HubTime;
use bytes::Bytes;
use serde_json::json;

pub const GATEWAY: &str = "https://gateway.example";

pub fn config(stack: Stack) -> SessionConfig {
    SessionConfig {
        gateway: GATEWAY.into(),
        allowed_gateways: vec![".example".into()],
        stack,
        identity: Identity {
            client_id: "client".into(),
            product_id: "product".into(),
            serial_number: "serial".into(),
            friendly_name: "Kitchen".into(),
            capabilities: Arc::new(vec![
                json!({"type":"AlexaInterface","interface":"System","version":"2.0"}),
            ]),
        },
        max_streams: 10,
        max_waiting: 8,
        limits: Limits::default(),
        timers: Timers { connect_jitter: (1.0, 1.0), ..Timers::default() },
    }
}

pub fn event(name: &str, retry: Retry) -> Event {
    let mut event = Event::new("Test", name, json!({}));
    event.retry = retry;
    event
}

pub struct Bench {
    pub session: Session,
    pub now: HubTime,
    pub wake: Option<HubTime>,
    /// Everything said and not yet looked at, as short words.
    pub words: Vec<String>,
    /// Every request: its connection, its stream, and the name of its event or its path.
    pub asked: Vec<(ConnId, StreamId, String)>,
    pub conns: Vec<ConnId>,
    pub outcomes: Vec<(String, EventOutcome)>,
    pub state: Option<State>,
    /// The messageIds of events whose answers are over.
    pub answered: Vec<String>,
    /// The name of the last declaration.
    pub declared: Option<String>,
    /// The messageId and the correlation token of the event that was sent last, as far as it has them.
    pub posted: Option<String>,
    pub correlation: Option<String>,
}

impl Bench {
    pub fn new(config: SessionConfig) -> Self {
        Self {
            session: Session::new(config, None, None, 1),
            now: HubTime::EPOCH,
            wake: None,
            words: Vec::new(),
            asked: Vec::new(),
            conns: Vec::new(),
            outcomes: Vec::new(),
            state: None,
            answered: Vec::new(),
            declared: None,
            posted: None,
            correlation: None,
        }
    }

    /// Gives an input and takes what is said, as short words.
    pub fn give(&mut self, input: Input) -> Vec<String> {
        self.session.handle_input(input, self.now);
        loop {
            let word = match self.session.poll_output() {
                Output::Wait(at) => {
                    assert!(at.is_none_or(|at| at > self.now), "a deadline that has passed would spin");
                    self.wake = at;
                    return std::mem::take(&mut self.words);
                }
                Output::Connect(conn, gateway) => {
                    self.conns.push(conn);
                    format!("connect {gateway}")
                }
                Output::Request(conn, stream, request) => {
                    let name = match &request.body {
                        Some((_, body)) => {
                            self.posted = text_after(body, "\"messageId\":\"");
                            self.correlation =
                                text_after(body, "\"eventCorrelationToken\":\"").or(self.correlation.take());
                            event_name(body)
                        }
                        None => request.path.to_owned(),
                    };
                    self.asked.push((conn, stream, name.clone()));
                    format!("ask {name}")
                }
                Output::State(state) => {
                    self.state = Some(state);
                    continue;
                }
                Output::Outcome { name, outcome, .. } => {
                    self.outcomes.push((name.clone(), outcome));
                    format!("outcome {name}")
                }
                Output::Close(conn) => format!("close {}", self.number(conn)),
                Output::Cancel(_) => "cancel".into(),
                Output::Liveness(_) => "liveness".into(),
                Output::Declare(_) => "declare".into(),
                Output::TokenRefused(token) => format!("refused {}", token.expose()),
                Output::WantSynchronizeState => "want state".into(),
                Output::Directive(directive) => format!("directive {}", directive.header.name),
                Output::Unparsable { .. } => "unparsable".into(),
                Output::Attachment { content_id, bytes, .. } => format!("bytes {content_id} {}", bytes.len()),
                Output::AttachmentEnded { complete, .. } => format!("attachment ended {complete}"),
                Output::StreamEnded(_) => "stream ended".into(),
                Output::Answered { message_id } => {
                    self.answered.push(message_id);
                    continue;
                }
                Output::Declared(name) => {
                    self.declared = Some(name);
                    continue;
                }
                Output::Processed(token) => format!("processed {token}"),
                Output::GatewayChanged(gateway) => format!("gateway {gateway}"),
                Output::Fault(fault) => format!("fault {fault:?}"),
            };
            self.words.push(word);
        }
    }

    /// The how manieth connection this is, from 1.
    fn number(&self, conn: ConnId) -> usize {
        self.conns.iter().position(|c| *c == conn).map_or(0, |at| at + 1)
    }

    /// Lets time pass, waking the session whenever it asked for it.
    pub fn pass(&mut self, time: Duration) -> Vec<String> {
        let end = self.now + time;
        let mut words = Vec::new();
        let mut wakes = 0;
        while let Some(at) = self.wake.filter(|at| *at <= end) {
            self.now = at;
            words.extend(self.give(Input::Wake));
            wakes += 1;
            assert!(wakes < 10_000, "spinning");
        }
        self.now = end;
        words.extend(self.give(Input::Wake));
        words
    }

    pub fn conn(&self) -> ConnId {
        *self.conns.last().expect("a connection")
    }

    /// The stream of the last request for that path or event.
    pub fn stream(&self, name: &str) -> StreamId {
        self.asked.iter().rev().find(|(_, _, n)| n == name).map(|(_, stream, _)| *stream).expect("asked")
    }

    pub fn answer(&mut self, name: &str, status: u16) -> Vec<String> {
        let stream = self.stream(name);
        let content_type = (status == 200).then(|| "multipart/related; boundary=BB".to_owned());
        let mut words = self.give(Input::Headers { stream, status, content_type });
        // A downchannel's answer never ends by itself.
        if status != 200 {
            words.extend(self.give(Input::End(stream)));
        }
        words
    }

    pub fn say(&mut self, stream: StreamId, text: &str) -> Vec<String> {
        let text = format!("--BB\r\nContent-Type: application/json\r\n\r\n{text}\r\n--BB\r\n");
        self.give(Input::Data { stream, bytes: Bytes::from(text) })
    }

    pub fn directive(&mut self, stream: StreamId, namespace: &str, name: &str, payload: &str) -> Vec<String> {
        let header = format!("{{\"namespace\":\"{namespace}\",\"name\":\"{name}\",\"messageId\":\"m\"}}");
        self.say(stream, &format!("{{\"directive\":{{\"header\":{header},\"payload\":{payload}}}}}"))
    }

    /// Legacy stack, declared, downchannel open, synchronised.
    pub fn connected(mut config: SessionConfig) -> Self {
        config.stack = Stack::Legacy;
        let mut bench = Self::new(config);
        bench.give(Input::Token(Secret::new("one")));
        bench.give(Input::Declared(Ok(())));
        bench.open();
        bench
    }

    /// From `connect` to `Connected`.
    pub fn open(&mut self) {
        let conn = self.conn();
        assert_eq!(self.give(Input::Connected(conn)), ["ask /v20160207/directives"]);
        assert_eq!(self.answer("/v20160207/directives", 200), ["want state"]);
        let synchronize = Event::new("System", "SynchronizeState", json!({}));
        assert_eq!(self.give(Input::Synchronize(synchronize)), ["ask SynchronizeState"]);
        self.answer("SynchronizeState", 204);
        assert_eq!(self.state, Some(State::Connected));
    }
}

/// The text between `mark` and the next quotation mark.
fn text_after(body: &[u8], mark: &str) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    let at = text.find(mark)? + mark.len();
    text[at..].split('"').next().map(str::to_owned)
}

fn event_name(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let at = text.find("\"name\":\"").expect("an event") + 8;
    let name = text[at..].split('"').next().unwrap_or_default();
    // A context entry comes before the event's own header; these tests send none.
    name.to_owned()
}
