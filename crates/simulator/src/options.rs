//! Owns what a simulator can be asked to be. Plain data, set before `Simulator::start`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// How a simulator behaves; `Options::new` gives the service's documented times on two free loopback ports.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// Address of the TLS + HTTP/2 port (AVS, LWA, Capabilities); port 0 takes a free one.
    pub listen: SocketAddr,
    /// Address of the plain HTTP/1.1 port (media and admin); port 0 takes a free one.
    pub admin: SocketAddr,
    /// Folder for `ca.pem`, `ca-key.pem` and, unless `media` says otherwise, `media/`. A CA found there is used again.
    pub folder: PathBuf,
    /// Folder in which made tracks are kept between runs; `folder/media` when absent.
    pub media: Option<PathBuf>,
    /// Whether tracks are made at start, in the background; otherwise each is made when first asked for.
    pub make_media: bool,
    /// Accept an unknown refresh token `Atzr|DSN` or `Atzr|DSN|anything` as that of device DSN.
    pub open: bool,
    /// Devices known from the start.
    pub devices: Vec<Registered>,
    /// Whether a device must have declared its capabilities (either way) before it synchronises.
    pub require_declaration: bool,
    /// Whether each refresh hands out a new refresh token and retires the old one.
    pub rotate: bool,
    /// Life of an access token, told as `expires_in`; whole seconds (LWA: 3600 s).
    pub token_lifetime: Duration,
    /// Life of a code pair (LWA sample: 600 s).
    pub code_lifetime: Duration,
    /// Least time between two polls with one device code; whole seconds (LWA sample: 30 s, here 5 s).
    pub code_interval: Duration,
    /// Approve every code pair as soon as it is made.
    pub approve_all: bool,
    /// Clients that may ask for authorization codes; empty: whoever asks, a site with whatever secret.
    pub clients: Vec<Client>,
    /// Answer `/ap/oa` by the redirect at once, as if a person had pressed "Allow".
    pub allow_all: bool,
    /// Life of an authorization code (LWA: 5 min).
    pub grant_lifetime: Duration,
    /// Idle time of a downchannel after which a bare delimiter line is sent.
    pub keep_alive: Duration,
    /// Age at which a connection is sent GOAWAY (service: about 60 min); `None` never.
    pub max_age: Option<Duration>,
    /// A connection without an accepted SynchronizeState this long after its downchannel opened is cut; `None` never.
    pub synchronise_within: Option<Duration>,
    /// How long a device may take to answer a directive that wants an event (Bluetooth: at least 50 s).
    pub answer_within: Duration,
    /// SETTINGS_MAX_CONCURRENT_STREAMS (service: 10).
    pub max_streams: u32,
    /// Events and directives kept per device; older ones are forgotten.
    pub transcript_limit: usize,
}

/// A security profile of Login with Amazon.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Its `client_id`.
    pub id: String,
    /// Its `client_secret`, if it is a companion site's.
    pub secret: Option<String>,
    /// Where it may be redirected to; empty: anywhere.
    pub redirects: Vec<String>,
}

/// A device that already has a refresh token.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The token it will present first.
    pub refresh_token: String,
    /// Its device serial number.
    pub dsn: String,
    /// Its friendly name.
    pub name: String,
}

impl Options {
    /// The usual options, with everything written below `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen: free,
            admin: free,
            folder: folder.into(),
            media: None,
            make_media: false,
            open: true,
            devices: Vec::new(),
            require_declaration: true,
            rotate: true,
            token_lifetime: Duration::from_secs(3600),
            code_lifetime: Duration::from_secs(600),
            code_interval: Duration::from_secs(5),
            approve_all: false,
            clients: Vec::new(),
            allow_all: false,
            grant_lifetime: Duration::from_secs(300),
            keep_alive: Duration::from_secs(30),
            max_age: Some(Duration::from_secs(3600)),
            synchronise_within: Some(Duration::from_secs(10)),
            answer_within: Duration::from_secs(10),
            max_streams: 10,
            transcript_limit: 10_000,
        }
    }
}
