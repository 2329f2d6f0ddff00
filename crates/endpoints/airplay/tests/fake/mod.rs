//! A scripted AirPlay receiver on loopback: notes everything it is sent, and misbehaves as told.
//!
//! It reads the protocol by itself, sharing no parser with the sender. Threads of its own, std sockets.
#![allow(dead_code, reason = "each test file uses its own part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says where")]

pub mod hub;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a test waits for what should come.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What happens at a method instead of a plain success.
#[derive(Clone, Copy, Debug)]
pub enum Trick {
    Status(u16),
    Raw(&'static str),
    Silence,
    Close,
    Delay(Duration),
    /// Asks for this password by digest, once for each connection.
    Password(&'static str),
}

#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    pub headers: BTreeMap<String, String>,
    /// As text, whatever it is.
    pub body: String,
    pub bytes: Vec<u8>,
}

/// The receiver; it ends with the test's process.
pub struct Fake {
    pub address: SocketAddr,
    /// What came, by where it came, since between sockets there is no order.
    requests: Receiver<Request>,
    audio_in: Receiver<Vec<u8>>,
    control_in: Receiver<Vec<u8>>,
    timing_in: Receiver<Vec<u8>>,
    /// Conversations that have ended.
    over: Receiver<()>,
    control: UdpSocket,
    timing: UdpSocket,
    /// The sender's control and timing ports, once SETUP told them.
    theirs: Arc<Mutex<Option<(SocketAddr, SocketAddr)>>>,
    connection: Arc<Mutex<Option<TcpStream>>>,
    /// While set, requests are read and not answered.
    pub mute: Arc<AtomicBool>,
    /// So many sessions more are refused as if somebody else played.
    pub busy: Arc<AtomicU32>,
}

impl Fake {
    pub fn new(tricks: &[(&'static str, Trick)]) -> Self {
        let local = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (audio, control, timing) = (local(), local(), local());
        let stream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stream_port = stream.local_addr().unwrap().port();
        let ports = [&audio, &control, &timing].map(|socket| socket.local_addr().unwrap().port());
        let (tell, requests) = channel();
        let (ended, over) = channel();
        let fake = Fake {
            address: listener.local_addr().unwrap(),
            requests,
            audio_in: listen(audio, stream),
            control_in: heard(control.try_clone().unwrap()),
            timing_in: heard(timing.try_clone().unwrap()),
            over,
            control,
            timing,
            theirs: Arc::default(),
            connection: Arc::default(),
            mute: Arc::default(),
            busy: Arc::default(),
        };
        let talk = Conversation {
            tricks: tricks.to_vec(),
            ports,
            stream_port,
            tell,
            timing: fake.timing.try_clone().unwrap(),
            theirs: Arc::clone(&fake.theirs),
            mute: Arc::clone(&fake.mute),
            busy: Arc::clone(&fake.busy),
        };
        let connection = Arc::clone(&fake.connection);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                *connection.lock().unwrap() = Some(stream.try_clone().unwrap());
                talk.run(stream);
                let _ = ended.send(());
            }
        });
        fake
    }

    /// The next request of this method; others before it are passed over.
    pub fn request(&self, method: &str) -> Request {
        loop {
            let request = self.requests.recv_timeout(PATIENCE).expect(method);
            if request.method == method {
                return request;
            }
        }
    }

    /// The next audio packet.
    pub fn audio(&self) -> Vec<u8> {
        self.audio_in.recv_timeout(PATIENCE).expect("no audio packet came")
    }

    /// Does something, and waits for an audio packet that comes of it or came before.
    pub fn audio_after(&self, act: impl FnOnce()) {
        act();
        self.audio();
    }

    /// The next packet on the control port that begins so, e.g. 0x80 0xd4; others before it are passed over.
    pub fn control(&self, begin: [u8; 2]) -> Vec<u8> {
        loop {
            let packet = self.control_in.recv_timeout(PATIENCE).expect("no such control packet came");
            if packet[..2] == begin {
                return packet;
            }
        }
    }

    /// The next answer about the time.
    pub fn timing(&self) -> Vec<u8> {
        self.timing_in.recv_timeout(PATIENCE).expect("no timing answer came")
    }

    /// Sends from the control port.
    pub fn send_control(&self, packet: &[u8]) {
        let (control, _) = self.theirs.lock().unwrap().expect("SETUP has come");
        self.control.send_to(packet, control).unwrap();
    }

    /// Sends from the timing port.
    pub fn send_timing(&self, packet: &[u8]) {
        let (_, timing) = self.theirs.lock().unwrap().expect("SETUP has come");
        self.timing.send_to(packet, timing).unwrap();
    }

    /// Waits until a conversation has ended.
    pub fn is_let_go(&self) {
        self.over.recv_timeout(PATIENCE).expect("the connection stays");
    }

    /// Ends the connection without a word.
    pub fn hang_up(&self) {
        let connection = self.connection.lock().unwrap();
        connection.as_ref().unwrap().shutdown(std::net::Shutdown::Both).unwrap();
    }
}

struct Conversation {
    tricks: Vec<(&'static str, Trick)>,
    ports: [u16; 3],
    stream_port: u16,
    tell: Sender<Request>,
    timing: UdpSocket,
    theirs: Arc<Mutex<Option<(SocketAddr, SocketAddr)>>>,
    mute: Arc<AtomicBool>,
    busy: Arc<AtomicU32>,
}

impl Conversation {
    fn run(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(request) = read(&mut reader) {
            let _ = self.tell.send(request.clone());
            if self.mute.load(Ordering::Relaxed) {
                continue;
            }
            let mut status = 200;
            let less = |busy: u32| busy.checked_sub(1);
            if request.method == "ANNOUNCE"
                && self.busy.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
            {
                status = 453;
            }
            let mut more = String::new();
            match self.tricks.iter().find(|(method, _)| *method == request.method) {
                Some((_, Trick::Status(code))) => status = *code,
                Some((_, Trick::Raw(text))) => {
                    stream.write_all(text.as_bytes()).unwrap();
                    continue;
                }
                Some((_, Trick::Silence)) => continue,
                Some((_, Trick::Close)) => return,
                Some((_, Trick::Delay(time))) => std::thread::sleep(*time),
                Some((_, Trick::Password(password))) if !proven(&request, password) => {
                    status = 401;
                    more = "WWW-Authenticate: Digest realm=\"raop\", nonce=\"9b2f1c\"\r\n".to_owned();
                }
                Some((_, Trick::Password(_))) | None => {}
            }
            let cseq = request.headers.get("cseq").cloned().unwrap_or_default();
            let mut answer = format!("RTSP/1.0 {status} Whatever\r\nCSeq: {cseq}\r\n{more}");
            let by_stream = request.headers.get("transport").is_some_and(|t| t.contains("/TCP"));
            if request.method == "SETUP" && status == 200 && by_stream {
                let port = self.stream_port;
                answer += &format!(
                    "Session: DEADBEEF\r\nAudio-Latency: 22050\r\nTransport: \
                     RTP/AVP/TCP;unicast;interleaved=0-1;mode=record;server_port={port}\r\n"
                );
            } else if request.method == "SETUP" && status == 200 {
                self.set_up(&request, stream.peer_addr().unwrap());
                let [audio, control, timing] = self.ports;
                answer += &format!(
                    "Session: DEADBEEF;timeout=60\r\nTransport: RTP/AVP/UDP;unicast;mode=record;server_port={audio};\
                     control_port={control};timing_port={timing}\r\n"
                );
            }
            answer += "\r\n";
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn set_up(&self, request: &Request, peer: SocketAddr) {
        let transport = &request.headers["transport"];
        let port = |key: &str| -> u16 {
            let part = transport.split(';').find_map(|part| part.strip_prefix(key)).unwrap();
            part.parse().unwrap()
        };
        let at = |port: u16| SocketAddr::new(peer.ip(), port);
        let timing = at(port("timing_port="));
        *self.theirs.lock().unwrap() = Some((at(port("control_port=")), timing));
        self.timing.send_to(&timing_request(), timing).unwrap();
    }
}

/// A request for the time, stamped 0102030405060708.
pub fn timing_request() -> [u8; 32] {
    let mut packet = [0; 32];
    packet[..4].copy_from_slice(&[0x80, 0xd2, 0, 7]);
    packet[24..].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
    packet
}

fn heard(socket: UdpSocket) -> Receiver<Vec<u8>> {
    let (tell, packets) = channel();
    hear(socket, tell);
    packets
}

/// Audio packets, by datagrams or by a stream.
fn listen(socket: UdpSocket, stream: TcpListener) -> Receiver<Vec<u8>> {
    let (tell, packets) = channel();
    hear(socket, tell.clone());
    std::thread::spawn(move || {
        for stream in stream.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut header = [0; 4];
            while stream.read_exact(&mut header).is_ok() {
                assert_eq!(header[..2], [b'$', 0]);
                let mut packet = vec![0; usize::from(u16::from_be_bytes([header[2], header[3]]))];
                stream.read_exact(&mut packet).unwrap();
                if tell.send(packet).is_err() {
                    return;
                }
            }
        }
    });
    packets
}

fn hear(socket: UdpSocket, tell: Sender<Vec<u8>>) {
    std::thread::spawn(move || {
        let mut packet = [0; 2048];
        while let Ok(length) = socket.recv(&mut packet) {
            if tell.send(packet[..length].to_vec()).is_err() {
                return;
            }
        }
    });
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut request = Request { method: line.split(' ').next()?.to_owned(), ..Request::default() };
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        request.headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = request.headers.get("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    request.bytes = body;
    Some(request)
}

/// Whether a request proves that its sender knows the password (RFC 2617 without `qop`).
fn proven(request: &Request, password: &str) -> bool {
    let Some(header) = request.headers.get("authorization") else { return false };
    let field = |key: &str| {
        let from = header.find(&format!("{key}=\"")).unwrap() + key.len() + 2;
        header[from..].split('"').next().unwrap().to_owned()
    };
    let hash = |text: String| -> String {
        use md5::Digest;
        md5::Md5::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let who = hash(format!("{}:raop:{password}", field("username")));
    let what = hash(format!("{}:{}", request.method, field("uri")));
    field("response") == hash(format!("{who}:9b2f1c:{what}"))
}
