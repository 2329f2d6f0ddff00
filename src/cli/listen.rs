//! `antiphon listen`: a speaker hears a file, or what comes on standard input.

use std::fs::File;
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use crate::client::Client;

/// What is read at once, bytes: a quarter of a second of PCM.
const BITE: usize = 8_000;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A speaker, by id or name.
    #[arg(allow_hyphen_values = true)]
    name: String,
    /// A WAV file, raw PCM (16 kHz, 16 bit, mono, little-endian), raw Opus frames of 80 bytes; `-`: standard input.
    file: PathBuf,
    /// What it is; absent: a WAV file where it begins like one, Opus where its name ends in .opus, else PCM.
    #[arg(long)]
    format: Option<Format>,
    /// As if a button were held down while it lasts: nobody but the end of the file says when speech ends.
    #[arg(long, conflicts_with = "wake_word")]
    hold: bool,
    /// As if this wake word were spoken at its start.
    #[arg(long, value_name = "WORD")]
    wake_word: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Wav,
    Pcm,
    Opus,
}

impl Format {
    fn content_type(self) -> &'static str {
        match self {
            Self::Wav => "audio/wav",
            Self::Pcm => "audio/l16;rate=16000;channels=1",
            Self::Opus => "audio/opus",
        }
    }

    fn of(file: &Path, begins: &[u8]) -> Self {
        if begins.starts_with(b"RIFF") {
            Self::Wav
        } else if file.extension().is_some_and(|e| e.eq_ignore_ascii_case("opus")) {
            Self::Opus
        } else {
            Self::Pcm
        }
    }
}

pub(super) fn run(client: &Client, arguments: &Arguments) -> anyhow::Result<()> {
    let file = &arguments.file;
    let mut source: Box<dyn Read + Send> = if file.as_os_str() == "-" {
        Box::new(stdin())
    } else {
        Box::new(File::open(file).with_context(|| format!("{} cannot be opened", file.display()))?)
    };
    let mut begins = [0; 4];
    let mut got = 0;
    while got < begins.len() {
        match source.read(&mut begins[got..]).with_context(|| format!("{}", file.display()))? {
            0 => break,
            more => got += more,
        }
    }
    if got == 0 {
        bail!("{} is empty: there is nothing to hear", file.display());
    }
    let begins = begins[..got].to_vec();
    if begins.starts_with(b"OggS") {
        bail!("{} is Ogg; expected a WAV file, raw PCM or raw Opus frames", file.display());
    }
    let format = arguments.format.unwrap_or_else(|| Format::of(file, &begins));
    let query: Vec<(&str, &str)> = match &arguments.wake_word {
        Some(word) => vec![("initiator", "wakeword"), ("wake_word", word)],
        None if arguments.hold => vec![("initiator", "hold")],
        None => vec![("initiator", "tap")],
    };
    let path = ["api", "speakers", &arguments.name, "listen"];
    client.upload(&path, &query, format.content_type(), begins, move || {
        let mut piece = vec![0; BITE];
        match source.read(&mut piece) {
            Ok(0) => None,
            Ok(length) => {
                piece.truncate(length);
                Some(Ok(piece))
            }
            Err(e) => Some(Err(e)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::Format;
    use std::path::Path;

    #[test]
    fn a_file_says_what_it_is() {
        assert_eq!(Format::of(Path::new("a.raw"), b"RIFF"), Format::Wav);
        assert_eq!(Format::of(Path::new("a.opus"), b"\x01\x02"), Format::Opus);
        assert_eq!(Format::of(Path::new("-"), b"\x01\x02"), Format::Pcm);
    }
}
