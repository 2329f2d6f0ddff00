//! From a gateway's URL to a working HTTP/2 connection: TCP without delay, TLS by rustls, ALPN `h2`.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::{Connection, SendRequest};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::LinkError;

/// What one stream may have in flight towards us while nobody reads it, in bytes.
const STREAM_WINDOW: u32 = 64 * 1024;

/// Room for every stream's window at once, so that one unread stream never holds up another (10 streams, AVS Device SDK).
const CONNECTION_WINDOW: u32 = 10 * STREAM_WINDOW;

/// A connection fresh from its handshakes.
pub(crate) struct Established {
    pub(crate) send: SendRequest<Bytes>,
    pub(crate) connection: Connection<TlsStream<TcpStream>, Bytes>,
}

/// Connects to `gateway`, which is `https://host[:port]`.
pub(crate) async fn connect(tls: Arc<ClientConfig>, gateway: String) -> Result<Established, LinkError> {
    let wrong = || LinkError::Gateway(gateway.clone());
    let uri: http::Uri = gateway.parse().map_err(|_| wrong())?;
    let host = uri.host().ok_or_else(wrong)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = uri.port_u16().unwrap_or(443);
    let name = ServerName::try_from(bare.clone()).map_err(|_| wrong())?;
    let tcp = TcpStream::connect((bare.as_str(), port)).await.map_err(LinkError::Connect)?;
    // A directive's answer is one small write; it must not wait for an acknowledgement.
    tcp.set_nodelay(true).map_err(LinkError::Connect)?;
    let tls = TlsConnector::from(tls).connect(name, tcp).await.map_err(LinkError::Connect)?;
    if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err(LinkError::NotHttp2);
    }
    let (send, connection) = h2::client::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(STREAM_WINDOW as usize)
        .max_header_list_size(16 * 1024)
        .max_concurrent_reset_streams(10)
        .enable_push(false)
        .handshake(tls)
        .await?;
    Ok(Established { send, connection })
}

/// The error behind a failed attempt as a short word for the log.
pub(crate) fn kind(error: &LinkError) -> &'static str {
    match error {
        LinkError::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused => "refused",
        LinkError::Connect(error) if error.kind() == io::ErrorKind::InvalidData => "tls",
        LinkError::Connect(_) => "unreachable",
        LinkError::NotHttp2 => "not http/2",
        LinkError::Gateway(_) => "gateway",
        _ => "http/2",
    }
}
