//! The beginning of a session: connecting, ANNOUNCE, SETUP, RECORD, the first volume, the first time request.
//!
//! Driven by the session. Every step has a time limit; any failure is the reason that the session ends.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use antiphon_endpoint::{LostReason, Order};
use rand::RngCore;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::driver::answers::{Answers, Readings};
use crate::driver::carrier::Carrier;
use crate::driver::lane::{FlushWish, Lane, Wires};
use crate::driver::ring::Ring;
use crate::driver::rtsp::{self, Identity, Pass, Rtsp};
use crate::driver::session::{Running, Session, local, set_volume};
use crate::driver::stamped::Stamped;
use crate::wire::crypt::{BLOCK, SessionKey};
use crate::wire::rtp::FIXED_LATENCY;
use crate::wire::rtsp::Response;
use crate::wire::timeline::Timeline;
use crate::wire::{sdp, transport};

/// How long Ready waits for the receiver's first time request. Receivers ask at once after SETUP; one that does not
/// is played to all the same.
const FIRST_TIMING: Duration = Duration::from_millis(400);

/// What a datagram's way is believed to take at most: as long as a request and its answer, but not less than this.
const LEAST_WAY: Duration = Duration::from_millis(1);

/// How often, and how soon, a receiver that lets our former session go is asked again.
const LETTING_GO: (u32, Duration) = (10, Duration::from_millis(200));

/// Opens a session; its lane is the pump's from then on.
pub async fn begin(session: &mut Session, orders: Receiver<Order>) -> Result<Running, LostReason> {
    let target = session.target.clone();
    if let Some(refusal) = &target.refusal {
        return Err(refusal.clone());
    }
    let id: u32 = rand::random();
    let stream = rtsp::connect(&target, session.options.connect_timeout).await?;
    let number = target.remotes.as_ref().map(|remotes| {
        let events = Arc::clone(&session.events);
        remotes.number(events, session.levels.clone(), session.metrics.commands.clone())
    });
    let identity = Identity { hub: target.hub.clone(), remote: number.as_ref().map(|number| number.get()) };
    let pass = Pass { password: target.password.clone(), capitals: target.quirks.capital_digest };
    let mut rtsp = Rtsp::new(stream, id, identity, pass, session.options.answer_timeout).map_err(local)?;
    let (us, peer) = rtsp.ends().map_err(local)?;
    let former = target.leftovers.reset(&target.speaker);
    rtsp.ask("OPTIONS", &[], None).await?;
    let key = if target.encrypt { Some(new_key()?) } else { None };
    let description = sdp::announce(id, us.ip(), peer.ip(), key.as_ref());
    announce(&mut rtsp, &description, former).await?;

    let (sequence, timestamp): (u16, u32) = (rand::random(), rand::random());
    let ring = Arc::new(Mutex::new(Ring::new()));
    let longest = rtsp.round_trip().unwrap_or_default().max(LEAST_WAY);
    let readings = Readings::new(longest);
    let (timed, mut first_timing) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let carrier = if target.stream {
        set_up_stream(&mut rtsp, peer, session.options.connect_timeout).await?
    } else {
        // Bound where the conversation runs, so that nothing listens on other interfaces.
        let (control, timing, audio) =
            (bind(us).map_err(local)?, bind(us).map_err(local)?, bind(us).map_err(local)?);
        let control_out = control.try_clone().map_err(local)?;
        let port = |socket: &UdpSocket| socket.local_addr().map(|at| at.port()).map_err(local);
        let wish = transport::request(port(&control)?, port(&timing)?);
        let answers = Answers {
            peer: peer.ip(),
            control: tokio::net::UdpSocket::from_std(control).map_err(local)?,
            timing: Stamped::new(timing).map_err(local)?,
            clock: Arc::clone(&session.clock),
            ring: Arc::clone(&ring),
            events: Arc::clone(&session.events),
            metrics: session.metrics.clone(),
            timed,
            readings: readings.clone(),
            slow: target.quirks.slow_time,
        };
        tasks.spawn(answers.run());
        let theirs = ports(&rtsp.ask("SETUP", &[("Transport", &wish)], None).await?)?;
        audio.connect(with_port(peer, theirs.audio)).map_err(local)?;
        Carrier::datagrams(audio, control_out, with_port(peer, theirs.sync()))
    };
    let info = transport::rtp_info(sequence, timestamp);
    rtsp.ask("RECORD", &[("Range", "npt=0-"), ("RTP-Info", &info)], None).await?;
    let level = *session.levels.borrow_and_update();
    if let Some(level) = level {
        set_volume(&mut rtsp, level).await?;
    }
    if !target.stream && timeout(FIRST_TIMING, first_timing.wait_for(|timed| *timed)).await.is_err() {
        debug!(speaker = %target.speaker, "the receiver has not asked for the time yet");
    }

    let (to_flush, flushes) = watch::channel(FlushWish::default());
    let (flushed, from_flush) = watch::channel(0);
    let (timeline, timelines) = watch::channel(Timeline::new(timestamp));
    let wires = Wires {
        orders,
        carrier,
        key,
        quirks: target.quirks,
        dead_band: target.quirks.dead_band.map(|band| session.options.tolerance.unwrap_or(band)),
        timeline,
        ring,
        flushes: to_flush,
        flushed: from_flush,
        clock: Arc::clone(&session.clock),
        events: Arc::clone(&session.events),
        metrics: session.metrics.clone(),
    };
    let lane = Lane::new(wires, target.lead, sequence, timestamp, rand::random());
    if session.pump.send(lane).await.is_err() {
        return Err(LostReason::Local("the audio pump has ended".to_owned()));
    }
    Ok(Running {
        rtsp,
        flushes,
        flushed,
        timelines,
        readings,
        parted: false,
        _number: number,
        _answers: tasks,
    })
}

/// SETUP where sound goes by one stream.
async fn set_up_stream(rtsp: &mut Rtsp, peer: SocketAddr, patience: Duration) -> Result<Carrier, LostReason> {
    let wish = transport::request_stream();
    let answer = rtsp.ask("SETUP", &[("Transport", wish)], None).await?;
    let to = with_port(peer, ports(&answer)?.audio);
    let latency = answer.header("Audio-Latency").and_then(|frames| frames.parse().ok());
    let unreachable = |cause: String| LostReason::Unreachable { address: to.to_string(), cause };
    let stream = match timeout(patience, tokio::net::TcpStream::connect(to)).await {
        Ok(stream) => stream.map_err(|error| unreachable(error.to_string()))?,
        Err(_) => return Err(unreachable(format!("no answer in {} s", patience.as_secs_f32()))),
    };
    let latency = transport::stream_latency(latency.unwrap_or(FIXED_LATENCY));
    let stream = stream.into_std().map_err(local)?;
    Carrier::stream(stream, latency).map_err(local)
}

fn ports(setup: &Response) -> Result<transport::ReceiverPorts, LostReason> {
    setup
        .header("Transport")
        .and_then(transport::parse)
        .ok_or_else(|| LostReason::Protocol("SETUP was answered without ports".to_owned()))
}

fn new_key() -> Result<SessionKey, LostReason> {
    let mut random = rand::rng();
    let (mut key, mut vector) = ([0; BLOCK], [0; BLOCK]);
    random.fill_bytes(&mut key);
    random.fill_bytes(&mut vector);
    SessionKey::new(key, vector, &mut |bytes| random.fill_bytes(bytes))
        .ok_or_else(|| LostReason::Local("no key can be made".to_owned()))
}

/// Asks for the session. A receiver that may still take itself for that of a `former` one of ours needs a moment to let
/// that go.
async fn announce(rtsp: &mut Rtsp, description: &str, former: bool) -> Result<(), LostReason> {
    let (mut times, pause) = LETTING_GO;
    loop {
        match rtsp.ask("ANNOUNCE", &[], Some((sdp::CONTENT_TYPE, description.as_bytes()))).await {
            Err(LostReason::Busy) if former && times > 0 => times -= 1,
            answer => return answer.map(drop),
        }
        sleep(pause).await;
    }
}

fn bind(us: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind(with_port(us, 0))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}
