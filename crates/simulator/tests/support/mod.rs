//! A small HTTP/2 device for the simulator's own tests. It shares nothing with the simulator but the h2 crate.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use antiphon_simulator::{Options, Simulator};
use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use http::{Request, Response};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::net::TcpStream;

pub const PATIENCE: Duration = Duration::from_secs(20);

/// A folder of this test's own, removed at the end.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        Self(std::env::temp_dir().join(format!("antiphon-simulator-{}", uuid::Uuid::new_v4())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub async fn simulator(change: impl FnOnce(&mut Options)) -> (Simulator, Folder) {
    let folder = Folder::new();
    let mut options = Options::new(&folder.0);
    change(&mut options);
    (Simulator::start(options).await.unwrap(), folder)
}

/// One connection.
pub struct Device {
    pub h2: SendRequest<Bytes>,
    pub token: String,
    pub driver: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

pub async fn connect(simulator: &Simulator) -> Device {
    let pem = std::fs::read(simulator.ca_file()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let mut tls =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let address = simulator.gateway().trim_start_matches("https://").to_owned();
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name, tcp).await.unwrap();
    let (h2, connection) = h2::client::handshake(stream).await.unwrap();
    Device { h2, token: String::new(), driver: tokio::spawn(connection) }
}

pub async fn whole(response: Response<RecvStream>) -> (u16, String) {
    let status = response.status().as_u16();
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(Ok(chunk)) = body.data().await {
        let _ = body.flow_control().release_capacity(chunk.len());
        bytes.extend_from_slice(&chunk);
    }
    (status, String::from_utf8(bytes).unwrap())
}

impl Device {
    pub async fn request(
        &mut self,
        request: Request<()>,
        body: &[u8],
    ) -> Result<Response<RecvStream>, h2::Error> {
        let mut h2 = self.h2.clone().ready().await?;
        let (response, mut stream) = h2.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            stream.send_data(Bytes::copy_from_slice(body), true)?;
        }
        response.await
    }

    pub async fn form(&mut self, path: &str, form: &str) -> (u16, Value) {
        let request = Request::post(format!("https://127.0.0.1{path}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(())
            .unwrap();
        let (status, body) = whole(self.request(request, form.as_bytes()).await.unwrap()).await;
        (status, serde_json::from_str(&body).unwrap())
    }

    /// Refreshes; the token answer.
    pub async fn refresh(&mut self, refresh_token: &str) -> (u16, Value) {
        let form = format!(
            "grant_type=refresh_token&client_id=c&refresh_token={}",
            refresh_token.replace('|', "%7C")
        );
        let (status, answer) = self.form("/auth/O2/token", &form).await;
        self.token = answer["access_token"].as_str().unwrap_or_default().to_owned();
        (status, answer)
    }

    pub async fn get(&mut self, path: &str) -> Result<Response<RecvStream>, h2::Error> {
        let request = Request::get(format!("https://127.0.0.1{path}"))
            .header("authorization", format!("Bearer {}", self.token))
            .body(())
            .unwrap();
        self.request(request, &[]).await
    }

    pub async fn declare(&mut self, interfaces: &[&str]) -> u16 {
        let list: Vec<Value> = interfaces
            .iter()
            .map(|name| json!({"type":"AlexaInterface","interface":name,"version":"1.0"}))
            .collect();
        let body = json!({"envelopeVersion":"20160207","capabilities":list}).to_string();
        let request = Request::put("https://127.0.0.1/v1/devices/@self/capabilities")
            .header("content-type", "application/json")
            .header("x-amz-access-token", &self.token)
            .body(())
            .unwrap();
        self.request(request, body.as_bytes()).await.unwrap().status().as_u16()
    }

    pub async fn event(&mut self, message: &Value) -> Result<(u16, String), h2::Error> {
        let body = event_body(message, None);
        self.raw_event("multipart/form-data; boundary=BB", &body).await
    }

    pub async fn raw_event(&mut self, content_type: &str, body: &[u8]) -> Result<(u16, String), h2::Error> {
        let request = Request::post("https://127.0.0.1/v20160207/events")
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", content_type)
            .body(())
            .unwrap();
        Ok(whole(self.request(request, body).await?).await)
    }
}

pub fn event_body(message: &Value, audio: Option<&[u8]>) -> Vec<u8> {
    let mut body = format!(
        "--BB\r\nContent-Disposition: form-data; name=\"metadata\"\r\nContent-Type: application/json\r\n\r\n{message}\r\n"
    )
    .into_bytes();
    if let Some(audio) = audio {
        body.extend_from_slice(
            b"--BB\r\nContent-Disposition: form-data; name=\"audio\"\r\nContent-Type: application/octet-stream\r\n\r\n",
        );
        body.extend_from_slice(audio);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--BB--\r\n");
    body
}

pub fn event(namespace: &str, name: &str, payload: Value) -> Value {
    let id = uuid::Uuid::new_v4().to_string();
    json!({"event":{"header":{"namespace":namespace,"name":name,"messageId":id},"payload":payload}})
}

pub fn synchronise() -> Value {
    let mut message = event("System", "SynchronizeState", json!({}));
    message["context"] = json!([{"header":{"namespace":"Speaker","name":"VolumeState"},
        "payload":{"volume":40,"muted":false}}]);
    message
}

/// Reads a downchannel as text, piece by piece.
pub struct Downchannel {
    body: RecvStream,
    pub text: String,
    pub frames: Vec<String>,
}

impl Downchannel {
    pub fn new(response: Response<RecvStream>) -> Self {
        Self { body: response.into_body(), text: String::new(), frames: Vec::new() }
    }

    /// Reads one more DATA frame; false at the end.
    pub async fn more(&mut self) -> bool {
        match tokio::time::timeout(PATIENCE, self.body.data()).await.unwrap() {
            Some(Ok(chunk)) => {
                let _ = self.body.flow_control().release_capacity(chunk.len());
                let text = String::from_utf8_lossy(&chunk).into_owned();
                self.text.push_str(&text);
                self.frames.push(text);
                true
            }
            _ => false,
        }
    }

    pub async fn until(&mut self, words: &str) {
        while !self.text.contains(words) {
            assert!(self.more().await, "ended without {words:?}: {}", self.text);
        }
    }
}

/// A device in its ordinary state: linked, declared by the Capabilities API, downchannel open, synchronised.
pub async fn ready(simulator: &Simulator, dsn: &str) -> (Device, Downchannel) {
    let mut device = connect(simulator).await;
    let token = format!("Atzr|{dsn}|{}", uuid::Uuid::new_v4());
    assert_eq!(device.refresh(&token).await.0, 200);
    assert_eq!(device.declare(&["System", "Speaker"]).await, 204);
    let down = device.get("/v20160207/directives").await.unwrap();
    assert_eq!(down.status(), 200);
    assert_eq!(device.event(&synchronise()).await.unwrap().0, 204);
    (device, Downchannel::new(down))
}

/// As `ready`, with these interfaces besides System and Speaker, whose states are told where they have one.
pub async fn ready_with(simulator: &Simulator, dsn: &str, more: &[&str]) -> (Device, Downchannel) {
    let mut device = connect(simulator).await;
    let token = format!("Atzr|{dsn}|{}", uuid::Uuid::new_v4());
    assert_eq!(device.refresh(&token).await.0, 200);
    let interfaces = [&["System", "Speaker"], more].concat();
    assert_eq!(device.declare(&interfaces).await, 204);
    let down = device.get("/v20160207/directives").await.unwrap();
    assert_eq!(down.status(), 200);
    let mut synchronise = synchronise();
    synchronise["context"] = context(more);
    assert_eq!(device.event(&synchronise).await.unwrap().0, 204);
    (device, Downchannel::new(down))
}

/// A whole context for Speaker and these interfaces.
pub fn context(more: &[&str]) -> Value {
    let mut entries = vec![json!({"header":{"namespace":"Speaker","name":"VolumeState"},
        "payload":{"volume":40,"muted":false}})];
    for (namespace, name, payload) in [
        ("SpeechRecognizer", "RecognizerState", json!({"wakeword":"ALEXA"})),
        (
            "SpeechSynthesizer",
            "SpeechState",
            json!({"token":"","offsetInMilliseconds":0,"playerActivity":"FINISHED"}),
        ),
        (
            "AudioPlayer",
            "PlaybackState",
            json!({"token":"","offsetInMilliseconds":0,"playerActivity":"IDLE"}),
        ),
        ("Alerts", "AlertsState", json!({"allAlerts":[],"activeAlerts":[]})),
        ("Notifications", "IndicatorState", json!({"isEnabled":false,"isVisualIndicatorPersisted":false})),
        ("EqualizerController", "EqualizerState", json!({"bands":[{"name":"BASS","level":0}]})),
        ("Bluetooth", "BluetoothState", json!({"alexaDevice":{"friendlyName":"x"},"pairedDevices":[]})),
    ] {
        if more.contains(&namespace) {
            entries.push(json!({"header":{"namespace":namespace,"name":name},"payload":payload}));
        }
    }
    json!(entries)
}

/// A Recognize on its way: metadata sent, sound as the test likes.
pub struct Speaking {
    stream: h2::SendStream<Bytes>,
    response: h2::client::ResponseFuture,
}

impl Device {
    pub async fn recognize(&mut self, message: &Value) -> Speaking {
        let request = Request::post("https://127.0.0.1/v20160207/events")
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "multipart/form-data; boundary=BB")
            .body(())
            .unwrap();
        let mut h2 = self.h2.clone().ready().await.unwrap();
        let (response, stream) = h2.send_request(request, false).unwrap();
        let mut speaking = Speaking { stream, response };
        let head = format!(
            "--BB\r\nContent-Disposition: form-data; name=\"metadata\"\r\nContent-Type: application/json\r\n\r\n{message}\r\n\
             --BB\r\nContent-Disposition: form-data; name=\"audio\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        );
        speaking.sound(head.as_bytes());
        speaking
    }
}

impl Speaking {
    pub fn sound(&mut self, bytes: &[u8]) {
        self.stream.send_data(Bytes::copy_from_slice(bytes), false).unwrap();
    }

    /// Ends the sound.
    pub fn end(&mut self) {
        self.stream.send_data(Bytes::from_static(b"\r\n--BB--\r\n"), true).unwrap();
    }

    /// The answer from its beginning on, without waiting for its end.
    pub async fn answer(self) -> Downchannel {
        Downchannel::new(self.response.await.unwrap())
    }

    /// The whole answer.
    pub async fn whole(self) -> (u16, String) {
        let response = tokio::time::timeout(PATIENCE, self.response).await.unwrap().unwrap();
        let status = response.status().as_u16();
        let mut answer = Downchannel::new(response);
        while answer.more().await {}
        (status, answer.text)
    }
}

/// A Recognize with a full context.
pub fn recognize(profile: &str, initiator: Value, more: &[&str]) -> Value {
    let mut message = event(
        "SpeechRecognizer",
        "Recognize",
        json!({"profile":profile,"format":"AUDIO_L16_RATE_16000_CHANNELS_1"}),
    );
    if !initiator.is_null() {
        message["event"]["payload"]["initiator"] = initiator;
    }
    message["event"]["header"]["dialogRequestId"] = json!(uuid::Uuid::new_v4().to_string());
    message["context"] = context(more);
    message
}
