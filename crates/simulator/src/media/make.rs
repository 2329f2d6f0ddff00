//! Owns the making of media files: writes a WAV, has `gst-launch-1.0` encode it, has `espeak-ng` speak. Files appear
//! whole or not at all; each program has a time limit.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{Format, Sound, synth};
use crate::Error;

/// Longest run of an encoder or of the speaker.
const LIMIT: Duration = Duration::from_secs(120);

/// Between two looks at a playlist that is being written.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a file is made from.
pub(crate) enum Source {
    Sound(Sound),
    /// HLS: the playlist, beside its segments.
    Segments(Sound),
    Speech(String),
}

/// Makes `folder/name` and returns its bytes.
pub(crate) async fn make(folder: &Path, name: &str, source: Source, format: Format) -> Result<Bytes, Error> {
    let wrong = |why: String| Error::Media { name: name.to_owned(), why };
    tokio::fs::create_dir_all(folder).await.map_err(|error| wrong(error.to_string()))?;
    let draft = format!("{name}.{}", uuid::Uuid::new_v4().simple());
    let wav = folder.join(format!("{draft}.wav"));
    let coded = folder.join(format!("{draft}.coded"));
    let made = async {
        match source {
            Source::Sound(sound) => {
                let synthesis = tokio::task::spawn_blocking(move || synth::wav(sound)).await;
                let bytes = synthesis.map_err(|error| error.to_string())?;
                tokio::fs::write(&wav, bytes).await.map_err(|error| error.to_string())?;
            }
            Source::Segments(sound) => {
                let synthesis = tokio::task::spawn_blocking(move || synth::wav(sound)).await;
                let bytes = synthesis.map_err(|error| error.to_string())?;
                tokio::fs::write(&wav, bytes).await.map_err(|error| error.to_string())?;
                return segments(folder, &draft, name, &wav).await;
            }
            Source::Speech(text) => speak(&text, &wav).await?,
        }
        let result = if format == Format::Wav {
            &wav
        } else {
            encode(&wav, &coded, format).await?;
            &coded
        };
        let bytes = tokio::fs::read(result).await.map_err(|error| error.to_string())?;
        tokio::fs::rename(result, folder.join(name)).await.map_err(|error| error.to_string())?;
        Ok(Bytes::from(bytes))
    }
    .await;
    // Whichever of the two is still there is a left-over.
    let _ = tokio::fs::remove_file(&wav).await;
    let _ = tokio::fs::remove_file(&coded).await;
    made.map_err(wrong)
}

async fn encode(wav: &Path, coded: &Path, format: Format) -> Result<(), String> {
    let encoder: &[&str] = match format {
        Format::Mp3 => &["lamemp3enc", "target=bitrate", "bitrate=192", "cbr=true"],
        Format::Aac => {
            &["avenc_aac", "bitrate=192000", "!", "aacparse", "!", "audio/mpeg,stream-format=adts"]
        }
        Format::M4a => &["avenc_aac", "bitrate=192000", "!", "aacparse", "!", "mp4mux", "faststart=true"],
        Format::Opus => &["opusenc", "bitrate=128000", "!", "oggmux"],
        Format::Vorbis => &["vorbisenc", "quality=0.6", "!", "oggmux"],
        Format::Flac => &["flacenc", "quality=5"],
        Format::Wav => &["wavenc"],
    };
    let mut command = Command::new("gst-launch-1.0");
    command.args(["-q", "-e", "filesrc"]).arg(location(wav));
    command.args(["!", "wavparse", "!", "audioconvert", "!", "audioresample", "!"]);
    command.args(encoder).args(["!", "filesink"]).arg(location(coded));
    run(command, "gst-launch-1.0", None).await
}

/// Cuts a WAV into MPEG-TS segments `STEM.hls-NNNNN.ts`; the playlist appears last, when all it names is there.
async fn segments(folder: &Path, draft: &str, name: &str, wav: &Path) -> Result<Bytes, String> {
    let room = folder.join(draft);
    tokio::fs::create_dir(&room).await.map_err(|error| error.to_string())?;
    let made = async {
        let stem = name.trim_end_matches(".m3u8");
        let list = room.join("list.m3u8");
        let mut command = Command::new("gst-launch-1.0");
        command.args(["-q", "-e", "filesrc"]).arg(location(wav));
        command.args(["!", "wavparse", "!", "audioconvert", "!", "audioresample", "!"]);
        command.args(["avenc_aac", "bitrate=128000", "!", "aacparse", "!", "cut.audio"]);
        // Its sound has a pad of that name; linked without it, the sink waits for ever.
        command.args(["hlssink2", "name=cut"]);
        command.arg(location(&room.join(format!("{stem}.hls-%05d.ts"))));
        let mut playlist = std::ffi::OsString::from("playlist-location=");
        playlist.push(&list);
        command.arg(playlist);
        command.arg(format!("target-duration={}", super::playlist::SEGMENT));
        command.args(["playlist-length=0", "max-files=0"]);
        // GStreamer 1.22 hangs in one of four runs when all is written; the last line of the list says that it is.
        let text = tokio::select! {
            ran = run(command, "gst-launch-1.0", None) => {
                ran?;
                tokio::fs::read(&list).await.map_err(|error| error.to_string())?
            }
            text = ended(&list) => text,
        };
        let mut files = tokio::fs::read_dir(&room).await.map_err(|error| error.to_string())?;
        while let Some(file) = files.next_entry().await.map_err(|error| error.to_string())? {
            if file.path() != list {
                let to = folder.join(file.file_name());
                tokio::fs::rename(file.path(), to).await.map_err(|error| error.to_string())?;
            }
        }
        tokio::fs::rename(&list, folder.join(name)).await.map_err(|error| error.to_string())?;
        Ok(Bytes::from(text))
    }
    .await;
    // Empty if all went well; a folder left behind is only untidy.
    let _ = tokio::fs::remove_dir_all(&room).await;
    made
}

/// The playlist, once it has its last line.
async fn ended(list: &Path) -> Vec<u8> {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        match tokio::fs::read(list).await {
            Ok(text) if text.trim_ascii_end().ends_with(b"#EXT-X-ENDLIST") => return text,
            // Not there yet.
            Ok(_) | Err(_) => {}
        }
    }
}

fn location(path: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from("location=");
    argument.push(path);
    argument
}

async fn speak(text: &str, wav: &Path) -> Result<(), String> {
    let mut command = Command::new("espeak-ng");
    command.args(["-v", "en", "-s", "160", "--stdin", "-w"]).arg(wav);
    run(command, "espeak-ng", Some(text)).await
}

async fn run(mut command: Command, program: &str, input: Option<&str>) -> Result<(), String> {
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| format!("{program}: {error} (is it installed?)"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input says why by its exit code.
        let _ = stdin.write_all(input.unwrap_or_default().as_bytes()).await;
    }
    match tokio::time::timeout(LIMIT, child.wait_with_output()).await {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Ok(Err(error)) => Err(format!("{program}: {error}")),
        Err(_) => Err(format!("{program}: not done within {LIMIT:?}")),
    }
}
