//! Where a PulseAudio server is: an address on the network, or a socket of this machine's.

use std::env;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use antiphon_endpoint::{HostPort, LostReason};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;

/// The port that module-native-protocol-tcp listens on.
pub(crate) const PORT: u16 = 4713;

/// How long one address may take to accept.
const CONNECT: Duration = Duration::from_secs(3);

/// A connection, whatever it runs over.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Addresses, best first.
    Found(Vec<SocketAddr>),
    /// `HOST:PORT`, to be resolved.
    Named(String),
    /// A socket of this machine's.
    Socket(PathBuf),
}

impl Place {
    /// This machine's own server, where the environment or the usual places tell of one.
    pub(crate) fn here() -> Option<Self> {
        if let Ok(servers) = env::var("PULSE_SERVER") {
            return servers.split_whitespace().find_map(Self::from_variable);
        }
        let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let of_user = env::var_os("PULSE_RUNTIME_PATH").map(PathBuf::from).map(|path| path.join("native"));
        let usual = runtime.map(|path| path.join("pulse/native"));
        // The last is a server that runs for the whole machine.
        let places = [of_user, usual, Some(PathBuf::from("/run/pulse/native"))];
        places.into_iter().flatten().find(|path| path.exists()).map(Self::Socket)
    }

    /// An entry of PULSE_SERVER: `[{MACHINE}]unix:PATH`, `PATH`, `tcp:HOST[:PORT]` or `HOST[:PORT]`.
    fn from_variable(entry: &str) -> Option<Self> {
        let entry = match entry.strip_prefix('{') {
            Some(rest) => rest.split_once('}')?.1,
            None => entry,
        };
        if let Some(path) = entry.strip_prefix("unix:").or_else(|| entry.starts_with('/').then_some(entry)) {
            return Some(Self::Socket(PathBuf::from(path)));
        }
        let entry =
            ["tcp:", "tcp4:", "tcp6:"].iter().find_map(|way| entry.strip_prefix(way)).unwrap_or(entry);
        Self::from_text(entry)
    }

    /// `HOST` or `HOST:PORT`, with HOST a name, an IPv4 address, or an IPv6 address in brackets.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        Some(match HostPort::read(text, Some(PORT))? {
            HostPort::Address(address) => Self::Found(vec![address]),
            HostPort::Name(name) => Self::Named(name),
        })
    }

    /// Connects to the first address that accepts; says where that is.
    pub(crate) async fn connect(&self) -> Result<(Box<dyn Wire>, String), LostReason> {
        let addresses = match self {
            Self::Socket(path) => {
                let address = path.display().to_string();
                return match in_time(UnixStream::connect(path)).await {
                    Ok(wire) => Ok((Box::new(wire), address)),
                    Err(error) => Err(unreachable(address, &error)),
                };
            }
            Self::Found(addresses) => addresses.clone(),
            Self::Named(name) => match in_time(lookup_host(name)).await {
                Ok(addresses) => addresses.collect(),
                Err(error) => return Err(unreachable(name.clone(), &error)),
            },
        };
        let mut why = unreachable("no address".to_owned(), &io::ErrorKind::NotFound.into());
        for address in addresses {
            match in_time(TcpStream::connect(address)).await {
                Ok(wire) => {
                    // Answers about time must not wait for more bytes.
                    let set = wire.set_nodelay(true);
                    return match set {
                        Ok(()) => Ok((Box::new(wire), address.to_string())),
                        Err(error) => Err(LostReason::Local(error.to_string())),
                    };
                }
                Err(error) => why = unreachable(address.to_string(), &error),
            }
        }
        Err(why)
    }
}

async fn in_time<T>(what: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(CONNECT, what).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

fn unreachable(address: String, error: &io::Error) -> LostReason {
    LostReason::Unreachable { address, cause: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let found = |text: &str| Some(Place::Found(vec![text.parse().unwrap()]));
        assert_eq!(Place::from_text("192.0.2.1"), found("192.0.2.1:4713"));
        assert_eq!(Place::from_text("192.0.2.1:99"), found("192.0.2.1:99"));
        assert_eq!(Place::from_text("[::1]"), found("[::1]:4713"));
        assert_eq!(Place::from_text("[::1]:99"), found("[::1]:99"));
        assert_eq!(Place::from_text("study.local"), Some(Place::Named("study.local:4713".into())));
        for bad in ["", ":1", "a:0", "a:b", "::1", "[::1", "a b", "[name]", "a:70000"] {
            assert_eq!(Place::from_text(bad), None, "{bad}");
        }
        let socket = Some(Place::Socket("/run/x/native".into()));
        for text in ["unix:/run/x/native", "/run/x/native", "{0123}unix:/run/x/native"] {
            assert_eq!(Place::from_variable(text), socket);
        }
        assert_eq!(Place::from_variable("tcp:192.0.2.1"), found("192.0.2.1:4713"));
    }
}
