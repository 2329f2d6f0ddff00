//! The command line's road to a running hub: its own HTTP API.

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde_json::Value;

/// A hub to talk to.
pub(crate) struct Client {
    base: String,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    /// A client of the hub at `base`, e.g. `http://127.0.0.1:8780`.
    pub(crate) fn new(base: &str) -> anyhow::Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self {
            base: base.trim_end_matches('/').into(),
            http: reqwest::Client::builder().no_proxy().build()?,
            runtime,
        })
    }

    /// Asks, and gives the JSON of the answer (null when it has none). The path's parts are encoded.
    pub(crate) fn ask(
        &self,
        method: reqwest::Method,
        path: &[&str],
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let mut request = self.http.request(method, self.url(path)?);
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.send(request)
    }

    /// An address of the hub. The path's parts are encoded.
    pub(crate) fn url(&self, path: &[&str]) -> anyhow::Result<reqwest::Url> {
        let mut url =
            reqwest::Url::parse(&self.base).with_context(|| format!("{:?} is no URL", self.base))?;
        url.path_segments_mut().map_err(|()| anyhow::anyhow!("{:?} is no http URL", self.base))?.extend(path);
        Ok(url)
    }

    /// Posts a body as it comes: `begins`, then what `next` gives until it gives none. `next` may wait; it is called on
    /// a thread of its own. The hub may have enough before the end: that is no error.
    pub(crate) fn upload(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        content_type: &str,
        begins: Vec<u8>,
        mut next: impl FnMut() -> Option<std::io::Result<Vec<u8>>> + Send + 'static,
    ) -> anyhow::Result<()> {
        let mut url = self.url(path)?;
        url.query_pairs_mut().extend_pairs(query);
        // Never more than a few pieces ahead of what the hub takes.
        let (sender, mut pieces) = tokio::sync::mpsc::channel(2);
        std::thread::spawn(move || {
            let mut piece = Some(Ok(begins));
            while let Some(some) = piece {
                if sender.blocking_send(some.map(|p| Frame::data(Bytes::from(p)))).is_err() {
                    return;
                }
                piece = next();
            }
        });
        let pieces = futures_util::stream::poll_fn(move |context| pieces.poll_recv(context));
        let body = reqwest::Body::wrap(StreamBody::new(pieces));
        let request = self.http.post(url).header(reqwest::header::CONTENT_TYPE, content_type).body(body);
        self.send(request).map(drop)
    }

    fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        self.runtime.block_on(async {
            let answer = request.send().await.with_context(|| {
                format!(
                    "no hub answers at {}; start one with `antiphon run` or name it with --hub",
                    self.base
                )
            })?;
            let status = answer.status();
            let text = answer.text().await?;
            let json: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
            if !status.is_success() {
                let detail = json["detail"]
                    .as_str()
                    .map_or_else(|| format!("the hub answered {status}"), String::from);
                bail!(detail);
            }
            Ok(json)
        })
    }

    pub(crate) fn get(&self, path: &[&str]) -> anyhow::Result<Value> {
        self.ask(reqwest::Method::GET, path, None)
    }

    pub(crate) fn post(&self, path: &[&str], body: Value) -> anyhow::Result<Value> {
        self.ask(reqwest::Method::POST, path, Some(body))
    }
}
