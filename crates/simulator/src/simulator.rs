//! Owns a running simulator: its two listeners, its shared state, and everything one can ask of it from Rust. Dropped
//! or `kill`ed it ends abruptly; `stop` ends it politely.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::answers::{Answer, Attachment, Outgoing, Prepared};
use crate::catalogue::Catalogue;
use crate::faults::{Fault, take};
use crate::hearing::Hearing;
use crate::judge::Owed;
use crate::media::Fetched;
use crate::options::Options;
use crate::script::Script;
use crate::state::{Control, Device, Shared};
use crate::transcript::{Connection, Counts, DeviceView, Entry, Violation};
use crate::{Error, act, admin, ca, connection};

/// A running simulator. All methods may be called from any task.
pub struct Simulator {
    shared: Arc<Shared>,
    ca_file: PathBuf,
    tasks: JoinSet<()>,
}

impl Simulator {
    /// Opens both ports and serves until dropped, stopped or killed.
    pub async fn start(mut options: Options) -> Result<Self, Error> {
        let (ca_file, tls) = ca::prepare(&options.folder)?;
        let catalogue = Catalogue::load()?;
        let gateway = listen(options.listen).await?;
        let admin = listen(options.admin).await?;
        options.listen = address(&gateway, options.listen);
        options.admin = address(&admin, options.admin);
        let shared = Arc::new(Shared::new(options.clone(), catalogue, options.listen, options.admin));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_gateway(shared.clone(), gateway, TlsAcceptor::from(tls)));
        tasks.spawn(admin::serve(shared.clone(), admin));
        if options.make_media {
            tasks.spawn(make_media(shared.clone()));
        }
        tracing::info!(gateway = %options.listen, admin = %options.admin, "simulator started");
        Ok(Self { shared, ca_file, tasks })
    }

    /// `https://127.0.0.1:PORT`: gateway, LWA and Capabilities in one.
    pub fn gateway(&self) -> String {
        format!("https://{}", self.shared.gateway)
    }

    /// `http://127.0.0.1:PORT`: the admin API.
    pub fn admin(&self) -> String {
        format!("http://{}", self.shared.admin)
    }

    /// `http://127.0.0.1:PORT`: tracks are found below it as `/media/NAME`.
    pub fn media(&self) -> String {
        self.admin()
    }

    /// The URL of a track, for example of `tone-440.mp3`, `tone-1000-5s.flac`, `demo-1.mp3`, `404` or `stall`.
    pub fn track(&self, name: &str) -> String {
        format!("{}/{name}", self.shared.media())
    }

    /// The CA a client must trust, PEM.
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// All devices seen so far, by DSN.
    pub fn devices(&self) -> Vec<DeviceView> {
        self.shared.lock().devices.values().map(Device::view).collect()
    }

    /// One device, by DSN or friendly name.
    pub fn device(&self, who: &str) -> Option<DeviceView> {
        self.shared.lock().find(who).map(Device::view)
    }

    /// A refresh token for a device, as linking would have given it.
    pub fn link(&self, dsn: &str, name: &str) -> String {
        let token = format!("Atzr|{dsn}|linked");
        let mut state = self.shared.lock();
        state.lwa.grant_refresh(&token, dsn);
        name.clone_into(&mut state.device(dsn).name);
        token
    }

    /// Writes a directive to the device's newest downchannel; the moment its last byte was given to HTTP/2.
    pub async fn send(&self, who: &str, outgoing: Outgoing) -> Result<Instant, Error> {
        act::send(&self.shared, who, outgoing).await
    }

    /// As `send`, with the whole `{"directive":…}` as JSON, valid or not.
    pub async fn send_directive(
        &self,
        who: &str,
        message: Value,
        attachments: Vec<Attachment>,
    ) -> Result<Instant, Error> {
        self.send(who, Outgoing { message, attachments, attachments_first: false }).await
    }

    /// Understands a sentence and sends what the cloud would; the titles sent. Sentences: "set volume to 5", "play
    /// demo", "alarm in 3 seconds", "bass up", "ask me TEXT" and all others of the table in `say/mod.rs`.
    pub async fn say(&self, who: &str, sentence: &str) -> Result<Vec<String>, Error> {
        act::say(&self.shared, who, sentence).await
    }

    /// Prepares the answer to the next event of this kind from this device, instead of the usual one.
    pub fn answer_next(&self, dsn: &str, namespace: &str, name: &str, answer: Answer) {
        let script = Prepared { namespace: namespace.to_owned(), name: name.to_owned(), answer };
        self.shared.lock().device(dsn).scripts.push_back(script);
    }

    /// Prepares the answer to the next Recognize of a device, by DSN or name; without one it says how long it heard.
    pub fn answer_speech(&self, who: &str, script: Script) -> Result<(), Error> {
        act::answer_speech(&self.shared, who, script)
    }

    /// What was heard from a device, oldest first: its last 16 Recognizes, also one that is still coming in.
    pub fn hearings(&self, dsn: &str) -> Vec<Hearing> {
        self.shared.lock().device(dsn).hearings.iter().cloned().collect()
    }

    /// Waits for a Recognize with an index from `from` on (0 for the first) that fits.
    pub async fn wait_hearing(
        &self,
        dsn: &str,
        from: usize,
        mut fits: impl FnMut(&Hearing) -> bool,
        within: Duration,
    ) -> Result<Hearing, Error> {
        let mut changed = self.shared.lock().device(dsn).changed.subscribe();
        let search = async {
            loop {
                let found = self.hearings(dsn).into_iter().find(|one| one.index >= from && fits(one));
                match found {
                    Some(hearing) => return hearing,
                    // The sender lives in the device, which is never removed.
                    None => drop(changed.changed().await),
                }
            }
        };
        match tokio::time::timeout(within, search).await {
            Ok(hearing) => Ok(hearing),
            Err(_) => {
                Err(Error::Timeout { what: format!("{dsn}: a Recognize from {from} on"), after: within })
            }
        }
    }

    /// Directives of a device that want an event in answer which has not come.
    pub fn owed(&self, dsn: &str) -> Vec<Owed> {
        self.shared.lock().device(dsn).ledger.owed()
    }

    /// What was said to and by a device, oldest first, as far as it is kept.
    pub fn transcript(&self, who: &str) -> Vec<Arc<Entry>> {
        self.shared
            .lock()
            .find(who)
            .map(|device| device.entries.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// The index the next entry of a device's transcript will have: a mark for `wait_for`.
    pub fn mark(&self, dsn: &str) -> u64 {
        self.shared.lock().device(dsn).next_index()
    }

    /// Waits for an entry at or after index `from` (0: any kept one) that fits, and returns the first.
    pub async fn wait_for(
        &self,
        dsn: &str,
        from: u64,
        mut fits: impl FnMut(&Entry) -> bool,
        within: Duration,
    ) -> Result<Arc<Entry>, Error> {
        let mut next = from;
        let mut seen = Vec::new();
        let search = async {
            let mut changed = self.shared.lock().device(dsn).changed.subscribe();
            loop {
                let fresh: Vec<Arc<Entry>> = {
                    let mut state = self.shared.lock();
                    let entries = &state.device(dsn).entries;
                    let skip = entries.partition_point(|entry| entry.index < next);
                    entries.iter().skip(skip).cloned().collect()
                };
                for entry in fresh {
                    next = entry.index + 1;
                    if fits(&entry) {
                        return entry;
                    }
                    seen.push(format!("{}.{}", entry.namespace, entry.name));
                }
                // The sender lives in the device, which is never removed.
                let _ = changed.changed().await;
            }
        };
        match tokio::time::timeout(within, search).await {
            Ok(entry) => Ok(entry),
            Err(_) => {
                let what = format!("{dsn}: no fitting message from {from} on; seen {seen:?}");
                Err(Error::Timeout { what, after: within })
            }
        }
    }

    /// Waits for an event with this name.
    pub async fn wait_for_event(
        &self,
        dsn: &str,
        from: u64,
        namespace: &str,
        name: &str,
        within: Duration,
    ) -> Result<Arc<Entry>, Error> {
        self.wait_for(dsn, from, |entry| entry.is_event(namespace, name), within).await
    }

    /// Waits until a device's view fits, for example until it is connected.
    pub async fn wait_until(
        &self,
        dsn: &str,
        mut fits: impl FnMut(&DeviceView) -> bool,
        within: Duration,
    ) -> Result<DeviceView, Error> {
        let mut changed = self.shared.lock().device(dsn).changed.subscribe();
        let search = async {
            loop {
                let view = self.shared.lock().device(dsn).view();
                if fits(&view) {
                    return view;
                }
                let _ = changed.changed().await;
            }
        };
        match tokio::time::timeout(within, search).await {
            Ok(view) => Ok(view),
            Err(_) => {
                let what = format!("{dsn}: state asked for; now {:?}", self.device(dsn));
                Err(Error::Timeout { what, after: within })
            }
        }
    }

    /// Waits until a device has an open downchannel on a synchronised connection.
    pub async fn wait_connected(&self, dsn: &str, within: Duration) -> Result<DeviceView, Error> {
        self.wait_until(dsn, |view| view.connected, within).await
    }

    /// Every transcript entry from now on, of all devices, as it is made (a slow reader loses the oldest).
    pub fn subscribe(&self) -> broadcast::Receiver<(Arc<str>, Arc<Entry>)> {
        self.shared.feed.subscribe()
    }

    /// All that any device did against the rules so far; a test asserts that it is empty.
    pub fn violations(&self) -> Vec<Violation> {
        act::settle(&self.shared);
        self.shared.lock().violations.clone()
    }

    /// Forgets the violations so far.
    pub fn forget_violations(&self) {
        self.shared.lock().violations.clear();
    }

    /// The connections of a device with a downchannel, oldest first, closed ones included.
    pub fn connections(&self, dsn: &str) -> Vec<Connection> {
        self.shared.lock().device(dsn).connections.values().cloned().collect()
    }

    /// How often things happened for a device.
    pub fn counts(&self, dsn: &str) -> Counts {
        self.shared.lock().device(dsn).counts
    }

    /// Injects a fault for one device, by DSN or name.
    pub fn inject(&self, who: &str, fault: &Fault) -> Result<(), Error> {
        act::inject(&self.shared, who, fault)
    }

    /// Injects a fault for every device, and for connections and token requests whoever makes them.
    pub fn inject_all(&self, fault: &Fault) {
        act::inject_all(&self.shared, fault);
    }

    /// Approves a pending user code, as a person would on the linking page; the DSN it links.
    pub fn approve(&self, user_code: &str) -> Result<String, Error> {
        act::approve(&self.shared, user_code)
    }

    /// Pending user codes with their DSNs.
    pub fn pending_codes(&self) -> Vec<(String, String)> {
        self.shared.lock().lwa.pending()
    }

    /// Every secret that Login with Amazon gave out or was shown, for tests that look for leaks: tokens, device codes,
    /// authorization codes, verifiers, client secrets.
    pub fn secrets(&self) -> Vec<String> {
        self.shared.lock().lwa.secrets()
    }

    /// An authorization code for `grant_type=authorization_code`, as a companion application would bring it.
    pub fn authorization_code(&self, dsn: &str) -> String {
        self.shared.lock().lwa.grant_code(dsn)
    }

    /// Does what a person does who opens an authorization URL (`…/ap/oa?…`) and presses "Allow": the URL to which the
    /// browser is redirected, with `code` and `state`, or with `error`.
    pub fn allow(&self, url: &str) -> Result<String, Error> {
        act::allow(&self.shared, url)
    }

    /// Voids all tokens of a device, as a person does who deregisters it: the device learns it at its next refresh.
    pub fn revoke(&self, who: &str) -> Result<(), Error> {
        act::revoke(&self.shared, who)
    }

    /// Requests for `/media/NAME` so far, oldest first (the last 1000 of all names).
    pub fn fetched(&self, name: &str) -> Vec<Fetched> {
        self.shared.tracks.fetched(name)
    }

    /// Ends politely: GOAWAY everywhere, a moment for the streams to finish, then closes.
    pub async fn stop(mut self) {
        // Set once; a second stop cannot happen, since this one takes the simulator.
        let _ = self.shared.closing.set(());
        act::each_control(&self.shared, Control::GoAway);
        let limit = Instant::now() + Duration::from_secs(2);
        while Instant::now() < limit && self.devices().iter().any(|device| device.connections > 0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.tasks.shutdown().await;
    }

    /// Ends at once, as a killed process would: sockets are simply gone.
    pub async fn kill(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Makes the demo tracks, so that the first `play demo` need not wait.
async fn make_media(shared: Arc<Shared>) {
    for name in ["demo-1.mp3", "demo-2.mp3", "demo-3.mp3", "tone-440.mp3"] {
        if let Some(Err(error)) = shared.tracks.track(name).await {
            tracing::warn!(%error, "track not made");
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

fn address(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    // A bound listener has an address; if the system does not tell it, the one asked for is the best guess.
    listener.local_addr().unwrap_or(asked)
}

async fn serve_gateway(shared: Arc<Shared>, listener: TcpListener, tls: TlsAcceptor) {
    let mut connections: JoinSet<()> = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => {
                    let closing = shared.closing.get().is_some();
                    let refused = take(&mut shared.lock().refuse);
                    if closing || refused {
                        refuse(&tcp);
                    } else {
                        connections.spawn(connection::serve(shared.clone(), tls.clone(), tcp));
                    }
                }
                // Out of descriptors, most likely: others must close first.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

fn refuse(tcp: &TcpStream) {
    // Without the option the close is an ordinary one, which refuses as well.
    let _ = socket2::SockRef::from(tcp).set_linger(Some(Duration::ZERO));
}
