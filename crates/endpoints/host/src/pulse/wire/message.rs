//! The messages a player sends, and those it is sent.

use super::tags::{BadTags, NONE, Tags, Writer};

/// The protocol we speak; servers of the last fifteen years speak it or a newer one.
pub const VERSION: u32 = 28;
/// The oldest we get along with: since then a stream's wish has the shape of [`create`].
pub const OLDEST: u32 = 21;
/// Bytes of a cookie.
pub const COOKIE: usize = 256;

/// What a server calls its default sink.
pub const DEFAULT_SINK: &str = "@DEFAULT_SINK@";

/// Errors that mean something to us; the others are numbers.
pub mod error {
    /// It does not let us in.
    pub const ACCESS: u32 = 1;
    /// There is no such sink or stream.
    pub const NO_ENTITY: u32 = 5;
    /// What we asked for does not go now.
    pub const BAD_STATE: u32 = 15;
}

const ERROR: u32 = 0;
const REPLY: u32 = 2;
const CREATE_PLAYBACK_STREAM: u32 = 3;
const AUTH: u32 = 8;
const SET_CLIENT_NAME: u32 = 9;
const GET_PLAYBACK_LATENCY: u32 = 14;
const GET_SINK_INFO: u32 = 21;
const GET_SINK_INPUT_INFO: u32 = 29;
const SUBSCRIBE: u32 = 35;
const SET_SINK_INPUT_VOLUME: u32 = 37;
const REQUEST: u32 = 61;
const UNDERFLOW: u32 = 63;
const PLAYBACK_STREAM_KILLED: u32 = 64;
const SUBSCRIBE_EVENT: u32 = 66;
const SET_SINK_INPUT_MUTE: u32 = 69;
const PLAYBACK_STREAM_SUSPENDED: u32 = 76;
const PLAYBACK_STREAM_MOVED: u32 = 78;

/// The facility "sink inputs": the bit to subscribe to, and the number in events.
const SINK_INPUTS: (u32, u32) = (0x0004, 2);
const FACILITY: u32 = 0x0f;
const EVENT: u32 = 0x30;
const CHANGED: u32 = 0x10;

/// A message of the server's.
#[derive(Clone, Copy, Debug)]
pub enum Message<'a> {
    /// An answer to the request of that tag.
    Reply(u32, Tags<'a>),
    /// The request of that tag failed, with that error.
    Error(u32, u32),
    /// So many more bytes may be sent to a stream.
    Request {
        /// The stream's channel.
        channel: u32,
        /// Bytes.
        bytes: u32,
    },
    /// A stream had nothing to play.
    Underflow(u32),
    /// Somebody ended a stream.
    Killed(u32),
    /// The sink of a stream sleeps, or has woken.
    Suspended(u32, bool),
    /// A stream was moved to another sink, which may sleep.
    Moved(u32, bool),
    /// Something about a sink input changed.
    InputChanged(u32),
    /// Nothing we use.
    Other(u32),
}

/// Reads a message.
pub fn read(bytes: &[u8]) -> Result<Message<'_>, BadTags> {
    let mut tags = Tags::new(bytes);
    let command = tags.u32()?;
    let tag = tags.u32()?;
    Ok(match command {
        ERROR => Message::Error(tag, tags.u32()?),
        REPLY => Message::Reply(tag, tags),
        REQUEST => Message::Request { channel: tags.u32()?, bytes: tags.u32()? },
        UNDERFLOW => Message::Underflow(tags.u32()?),
        PLAYBACK_STREAM_KILLED => Message::Killed(tags.u32()?),
        PLAYBACK_STREAM_SUSPENDED => Message::Suspended(tags.u32()?, tags.flag()?),
        PLAYBACK_STREAM_MOVED => {
            let channel = tags.u32()?;
            let (_sink, _name) = (tags.u32()?, tags.text()?);
            Message::Moved(channel, tags.flag()?)
        }
        SUBSCRIBE_EVENT => {
            let (event, index) = (tags.u32()?, tags.u32()?);
            let ours = event & FACILITY == SINK_INPUTS.1 && event & EVENT == CHANGED;
            if ours { Message::InputChanged(index) } else { Message::Other(command) }
        }
        other => Message::Other(other),
    })
}

/// What a stream is to be.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The sink's name.
    pub sink: &'a str,
    /// Frames a second.
    pub rate: u32,
    /// Bytes the server keeps ready.
    pub buffer: u32,
    /// Bytes it asks for at once, and keeps in the sink.
    pub piece: u32,
    /// Its volume; 65,536 leaves sound as it is.
    pub volume: u32,
    /// Whether it begins muted.
    pub muted: bool,
}

/// A stream that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// The channel its sound goes to.
    pub channel: u32,
    /// The sink input's number.
    pub input: u32,
    /// Bytes that may be sent at once.
    pub wanted: u32,
    /// Bytes the server keeps ready.
    pub buffer: u32,
    /// Whether its sink sleeps, which is somebody's wish.
    pub suspended: bool,
}

/// What the server knows of a stream's place in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// How long the byte at `read` still takes to be heard, microseconds.
    pub sink_micros: u64,
    /// Bytes that were written, from the stream's begin.
    pub write: i64,
    /// Bytes that the sink has taken.
    pub read: i64,
}

/// Introduces us, with the cookie that a server may want to see.
pub fn auth(tag: u32, cookie: &[u8; COOKIE]) -> Vec<u8> {
    begin(AUTH, tag).u32(VERSION).bytes(cookie).into_bytes()
}

/// The server's version, from the answer to [`auth`].
pub fn version(mut reply: Tags<'_>) -> Result<u32, BadTags> {
    // The upper half tells what it could share of its memory.
    reply.u32().map(|version| version & 0xffff)
}

/// Says what we are called.
pub fn set_name(tag: u32) -> Vec<u8> {
    begin(SET_CLIENT_NAME, tag).properties(&[("application.name", "Antiphon")]).into_bytes()
}

/// Asks for a sink's rate.
pub fn sink_info(tag: u32, sink: &str) -> Vec<u8> {
    begin(GET_SINK_INFO, tag).u32(NONE).text(Some(sink)).into_bytes()
}

/// A sink's rate, frames a second.
pub fn sink_rate(mut reply: Tags<'_>) -> Result<u32, BadTags> {
    reply.u32()?;
    reply.text()?;
    reply.text()?;
    reply.format().map(|(_, _, rate)| rate)
}

/// Makes a stream.
pub fn create(tag: u32, wish: &Wish<'_>) -> Vec<u8> {
    let Wish { sink, rate, buffer, piece, volume, muted } = *wish;
    // No role: servers remember volume and muting by it (module-stream-restore, WirePlumber), so that ours would be those of
    // everybody's music there.
    let properties = [("media.name", "Antiphon")];
    begin(CREATE_PLAYBACK_STREAM, tag)
        .stereo(rate)
        .u32(NONE)
        .text(Some(sink))
        // At most; not corked; ready; before it begins: 0, so that it runs on over a gap; in one piece.
        .u32(NONE)
        .flag(false)
        .u32(buffer)
        .u32(0)
        .u32(piece)
        // In step with no other.
        .u32(0)
        .volume(volume)
        // Remap, remix, keep format, rate and channels, may be moved, fixed rate.
        .flags(&[false; 7])
        .flag(muted)
        // Whether the buffer counts the sink's own: not, as the pieces are asked for early.
        .flag(false)
        .properties(&properties)
        // The volume counts; pieces are asked for as soon as there is room.
        .flags(&[true, true])
        // So does muting; a sleeping sink may sleep, and does not end the stream.
        .flags(&[true, false, false])
        // The volume is absolute; not passed through; the format is the one above.
        .flags(&[false, false])
        .byte(0)
        .into_bytes()
}

/// The stream, from the answer to [`create`].
pub fn made(mut reply: Tags<'_>) -> Result<Made, BadTags> {
    let (channel, input, wanted) = (reply.u32()?, reply.u32()?, reply.u32()?);
    let (_most, buffer, _begin, _piece) = (reply.u32()?, reply.u32()?, reply.u32()?, reply.u32()?);
    reply.format()?;
    reply.skip_channels()?;
    let (_sink, _name) = (reply.u32()?, reply.text()?);
    let suspended = reply.flag()?;
    Ok(Made { channel, input, wanted, buffer, suspended })
}

/// Asks to be told of changes at sink inputs.
pub fn subscribe(tag: u32) -> Vec<u8> {
    begin(SUBSCRIBE, tag).u32(SINK_INPUTS.0).into_bytes()
}

/// Asks for a stream's place in time.
pub fn ask_latency(tag: u32, channel: u32) -> Vec<u8> {
    begin(GET_PLAYBACK_LATENCY, tag).u32(channel).no_moment().into_bytes()
}

/// A stream's place in time.
pub fn latency(mut reply: Tags<'_>) -> Result<Latency, BadTags> {
    let sink_micros = reply.micros()?;
    let (_source, _playing) = (reply.micros()?, reply.flag()?);
    reply.skip_moment()?;
    reply.skip_moment()?;
    Ok(Latency { sink_micros, write: reply.i64()?, read: reply.i64()? })
}

/// Sets a sink input's volume.
pub fn set_volume(tag: u32, input: u32, volume: u32) -> Vec<u8> {
    begin(SET_SINK_INPUT_VOLUME, tag).u32(input).volume(volume).into_bytes()
}

/// Mutes a sink input, or lets it be heard.
pub fn set_mute(tag: u32, input: u32, muted: bool) -> Vec<u8> {
    begin(SET_SINK_INPUT_MUTE, tag).u32(input).flag(muted).into_bytes()
}

/// Asks for a sink input's state.
pub fn input_info(tag: u32, input: u32) -> Vec<u8> {
    begin(GET_SINK_INPUT_INFO, tag).u32(input).into_bytes()
}

/// A sink input's volume, and whether it is muted.
pub fn input_level(mut reply: Tags<'_>) -> Result<(u32, bool), BadTags> {
    let (_index, _name) = (reply.u32()?, reply.text()?);
    let (_module, _client, _sink) = (reply.u32()?, reply.u32()?, reply.u32()?);
    reply.format()?;
    reply.skip_channels()?;
    let volume = reply.volume()?;
    let (_buffer, _sink) = (reply.micros()?, reply.micros()?);
    let (_resampler, _driver) = (reply.text()?, reply.text()?);
    Ok((volume, reply.flag()?))
}

fn begin(command: u32, tag: u32) -> Writer {
    Writer::default().u32(command).u32(tag)
}
