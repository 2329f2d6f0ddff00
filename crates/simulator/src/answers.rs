//! Owns what the cloud says of its own accord: directives with what is attached, and prepared answers to
//! coming events. Plain data.

use serde_json::{Value, json};

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
pub(crate) struct Prepared {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) answer: Answer,
}
