//! What one more AirPlay receiver costs the hub: processor time of a stream-minute, and memory.
//!
//! The hub is the program itself in a process of its own, playing to a group of receivers in time. The receivers are
//! scripted and live in this process: they answer RTSP, ask for the time as real ones do, and drop the sound. The cost of
//! one more is what nine cost beyond one, over eight: decoding and encoding are shared by the group, sending is not.
//! With `apart`, each receiver is a room with a stream of its own, decoded, encoded and sent for it alone.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on says where")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use support::{Alexa, HubProcess, figure};

const TRACK: &str = "tone-440-120s.mp3";
const WATCH: Duration = Duration::from_secs(15);
const MORE: usize = 8;

fn main() {
    if support::only_tried() {
        return;
    }
    for (case, together) in [("group", true), ("apart", false)] {
        let one = cost(1, together);
        let many = cost(1 + MORE, together);
        let labels = format!("streams=\"{case}\"");
        let each = |one: f64, many: f64| (many - one) / MORE as f64;
        figure("airplay_one_more_receiver_cpu", &labels, each(one.0, many.0), "cpu-s/stream-minute");
        figure("airplay_one_more_receiver_memory", &labels, each(one.1, many.1), "KiB");
    }
}

/// Processor seconds a minute, and KiB resident, of a hub that plays to so many receivers.
fn cost(receivers: usize, together: bool) -> (f64, f64) {
    let alexa = Alexa::start();
    let all: Vec<(String, String)> =
        (0..receivers).map(|n| (format!("SPEAKER{n}"), format!("airplay://{}", receiver()))).collect();
    let ids: Vec<String> = all.iter().map(|(id, _)| id.clone()).collect();
    let groups: &[(&str, &[String])] = if together { &[("all", &ids)] } else { &[] };
    let hub = HubProcess::start(alexa.folder.path(), &alexa.config("airplay", &all, groups));
    alexa.connected(&ids);
    alexa.make(TRACK);
    for id in if together { &ids[..1] } else { &ids[..] } {
        let mark = alexa.simulator.mark(id);
        alexa.play(id, TRACK, &format!("for {id}"));
        alexa.event(id, mark, "AudioPlayer", "PlaybackStarted");
    }
    // Sessions are opened and the first packets, sent ahead, are gone.
    std::thread::sleep(Duration::from_secs(4));
    let spent = hub.cpu_during(WATCH).as_secs_f64() * 60.0 / WATCH.as_secs_f64();
    let memory = hub.memory("VmRSS");
    drop(hub);
    alexa.stop();
    (spent, memory)
}

/// Starts a receiver on loopback, for as long as the process lives; where it listens.
fn receiver() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A sender that goes away ends its conversation, not the receiver.
            let _ = converse(stream);
        }
    });
    address
}

fn converse(mut stream: TcpStream) -> std::io::Result<()> {
    let local = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
    let (audio, control, timing) = (local()?, local()?, local()?);
    let ports = [&audio, &control, &timing].map(|socket| socket.local_addr().map_or(0, |at| at.port()));
    for socket in [&audio, &control, &timing] {
        let socket = socket.try_clone()?;
        // So much silence means that the session is over.
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        std::thread::spawn(move || while socket.recv(&mut [0; 2048]).is_ok() {});
    }
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut request = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim_end().is_empty() {
                break;
            }
            request.push(line.trim_end().to_owned());
        }
        let header = |name: &str| request.iter().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let length = header("Content-Length: ").parse().unwrap_or(0);
        reader.read_exact(&mut vec![0; length])?;
        let mut answer = format!("RTSP/1.0 200 OK\r\nCSeq: {}\r\n", header("CSeq: "));
        if request.first().is_some_and(|line| line.starts_with("SETUP ")) {
            let [audio, control, timing] = ports;
            answer += &format!(
                "Session: 1\r\nTransport: RTP/AVP/UDP;unicast;mode=record;server_port={audio};\
                 control_port={control};timing_port={timing}\r\n"
            );
        }
        stream.write_all((answer + "\r\n").as_bytes())?;
        let their = header("Transport: ").split(';').find_map(|part| part.strip_prefix("timing_port="));
        if let Some(port) = their.and_then(|port| port.parse::<u16>().ok()) {
            ask_for_the_time(timing.try_clone()?, SocketAddr::new(stream.peer_addr()?.ip(), port));
        }
    }
}

/// Asks once in three seconds, as shairport-sync does, until nobody is there.
fn ask_for_the_time(socket: UdpSocket, whom: SocketAddr) {
    std::thread::spawn(move || {
        let mut request = [0; 32];
        request[..4].copy_from_slice(&[0x80, 0xd2, 0, 7]);
        while socket.send_to(&request, whom).is_ok() {
            std::thread::sleep(Duration::from_secs(3));
        }
    });
}
