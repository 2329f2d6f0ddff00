//! A web server on loopback that serves bytes, with ranges, and misbehaves on request.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a path answers.
#[derive(Clone)]
pub enum Page {
    Bytes(Vec<u8>),
    /// No ranges and no word about it, as Python's `http.server`.
    NoRanges(Vec<u8>),
    Status(u16, &'static str),
    /// Accepts and never answers.
    Silence,
    /// Sends so many bytes, nothing for the given time, then the rest.
    Gap(Vec<u8>, usize, Duration),
    /// A live HLS list: two of so many segments (`0.ts` and on) at a time, the next every second, then the end.
    Live(usize, Instant),
    /// A radio station that tells a title within the stream.
    Radio(Vec<u8>, &'static str),
    /// Sends elsewhere on the same server.
    Redirect(&'static str),
    /// Sends so many bytes and closes.
    Cut(Vec<u8>, usize),
}

pub struct Web {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Web {
    pub fn serve(pages: Vec<(&'static str, Page)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let pages: Arc<HashMap<&'static str, Page>> = Arc::new(pages.into_iter().collect());
        let log = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (pages, log) = (Arc::clone(&pages), Arc::clone(&log));
                std::thread::spawn(move || {
                    let _ = answer(stream, &pages, &log);
                });
            }
        });
        Self { address, requests }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Every request's head, lower case.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(
    mut stream: TcpStream,
    pages: &HashMap<&'static str, Page>,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    while reader.read_line(&mut head)? > 2 {}
    let head = head.to_lowercase();
    log.lock().unwrap().push(head.clone());
    let path = head.split_whitespace().nth(1).unwrap_or("/").to_owned();
    match pages.get(path.as_str()).cloned().unwrap_or(Page::Status(404, "Not Found")) {
        Page::Status(code, words) => {
            write!(stream, "HTTP/1.1 {code} {words}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
        Page::Live(count, began) => {
            let gone = began.elapsed().as_secs() as usize;
            let first = gone.min(count - 2);
            let mut list = format!(
                "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
            );
            for number in first..first + 2 {
                list.push_str(&format!("#EXTINF:2.0,\n{number}.ts\n"));
            }
            if first == count - 2 {
                list.push_str("#EXT-X-ENDLIST\n");
            }
            head_of(&mut stream, "", 0, list.len())?;
            stream.write_all(list.as_bytes())
        }
        Page::Radio(bytes, title) => {
            let icy = head.contains("\r\nicy-metadata: 1");
            write!(stream, "HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n")?;
            write!(stream, "{}\r\n", if icy { "icy-metaint: 4096\r\n" } else { "" })?;
            for part in bytes.chunks(4096) {
                stream.write_all(part)?;
                if icy && part.len() == 4096 {
                    let mut words = format!("StreamTitle='{title}';").into_bytes();
                    words.resize(words.len().div_ceil(16) * 16, 0);
                    stream.write_all(&[(words.len() / 16) as u8])?;
                    stream.write_all(&words)?;
                }
            }
            Ok(())
        }
        Page::Redirect(to) => {
            write!(
                stream,
                "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
        }
        Page::Silence => {
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        Page::NoRanges(bytes) => {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                bytes.len()
            )?;
            stream.write_all(&bytes)
        }
        Page::Bytes(bytes) => {
            let from = range(&head).unwrap_or(0).min(bytes.len());
            head_of(&mut stream, &head, from, bytes.len())?;
            stream.write_all(&bytes[from..])
        }
        Page::Gap(bytes, first, pause) => {
            let from = range(&head).unwrap_or(0).min(bytes.len());
            head_of(&mut stream, &head, from, bytes.len())?;
            if from < first {
                stream.write_all(&bytes[from..first])?;
                stream.flush()?;
                std::thread::sleep(pause);
                return stream.write_all(&bytes[first..]);
            }
            stream.write_all(&bytes[from..])
        }
        Page::Cut(bytes, first) => {
            let from = range(&head).unwrap_or(0).min(bytes.len());
            head_of(&mut stream, &head, from, bytes.len())?;
            stream.write_all(&bytes[from.min(first)..first])
        }
    }
}

fn head_of(stream: &mut TcpStream, head: &str, from: usize, total: usize) -> std::io::Result<()> {
    if head.contains("\r\nrange:") {
        write!(
            stream,
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{}/{total}\r\n",
            total - 1
        )?;
    } else {
        write!(stream, "HTTP/1.1 200 OK\r\n")?;
    }
    write!(stream, "Accept-Ranges: bytes\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", total - from)
}

fn range(head: &str) -> Option<usize> {
    let (_, rest) = head.split_once("\r\nrange: bytes=")?;
    rest.split('-').next()?.trim().parse().ok()
}
