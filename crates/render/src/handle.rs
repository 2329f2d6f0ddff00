//! The handles by which the rest of the hub directs what sounds. They hold no sound and take no lock; each call is a
//! command to the render thread.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use antiphon_domain::mix::InputGains;
use antiphon_domain::sound::Voice;
use antiphon_domain::{HubTime, Lead, SpeakerId};
use antiphon_endpoint::{Clock, Control, Endpoint};
use gstreamer as gst;
use prometheus::Registry;
use tracing::error;

use crate::capture::{self, Capture, CaptureFormat, CaptureSink, CaptureSource};
use crate::config::RenderConfig;
use crate::engine::{Command, Engine};
use crate::error::RenderError;
use crate::fetch::{self, Fetch, FetchLimits, FetchSink};
use crate::metrics::Metrics;
use crate::news::{FeedId, FeedSink, OutputSink, SoundSink};
use crate::output::words_of;
use crate::priority;
use crate::sound::{SoundKey, SoundState, Start};
use crate::source::{Source, SourceSettings, StreamSource};
use crate::timeline::{Rules, Segment};

/// Commands that may wait; the thread empties this several hundred times a second.
const COMMANDS: usize = 4_096;

/// Endpoints that may wait to be dropped.
const GRAVES: usize = 4_096;

/// The renderer. Clones direct the same one; its thread ends with the last handle.
#[derive(Clone)]
pub struct Renderer {
    commands: SyncSender<Command>,
    clock: Arc<dyn Clock>,
    sources: SourceSettings,
    heartbeat: Arc<AtomicI64>,
    ids: Arc<AtomicU64>,
}

impl Renderer {
    /// Starts the render thread. `clock` is the hub's; metrics `antiphon_render_*` go to `registry`.
    pub fn start(
        config: RenderConfig,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<Renderer, RenderError> {
        gst::init()?;
        for element in ["uridecodebin", "audioconvert", "audioresample", "appsink"] {
            if gst::ElementFactory::find(element).is_none() {
                return Err(RenderError::MissingElement(element));
            }
        }
        let metrics = Metrics::register(registry)?;
        let (graveyard, graves) = sync_channel::<Box<dyn Endpoint>>(GRAVES);
        thread::Builder::new().name("antiphon-farewell".into()).spawn(move || {
            while let Ok(endpoint) = graves.recv() {
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(endpoint))) {
                    error!(panic = %words_of(panic.as_ref()), "an endpoint panicked while it was dropped");
                }
            }
        })?;
        let heartbeat = Arc::new(AtomicI64::new(clock.now().nanos()));
        let engine = Engine {
            rules: Rules { margin: config.margin, prebuffer: config.prebuffer, recover: config.recover },
            tick: config.tick.max(Duration::from_millis(1)),
            clock: Arc::clone(&clock),
            metrics,
            graveyard,
            heartbeat: Arc::clone(&heartbeat),
            timelines: HashMap::new(),
            feeds: HashMap::new(),
            outputs: HashMap::new(),
            sounds: HashMap::new(),
        };
        let (commands, taken) = sync_channel(COMMANDS);
        thread::Builder::new().name("antiphon-render".into()).spawn(move || {
            priority::raise();
            engine.run(&taken);
        })?;
        Ok(Renderer {
            commands,
            clock,
            sources: SourceSettings { timeout: config.source_timeout, user_agent: config.user_agent },
            heartbeat,
            ids: Arc::new(AtomicU64::new(1)),
        })
    }

    /// Opens a stream and decodes some seconds ahead. Nothing is heard until [`Feed::start`] or [`Feed::then`].
    pub fn open_feed(&self, source: impl Into<StreamSource>, sink: FeedSink) -> Feed {
        let source = source.into();
        let id = FeedId::next();
        let position = Arc::new(AtomicU64::new(0));
        let base = source.offset();
        let source = Source::open(source, self.sources.clone(), Arc::clone(&self.clock));
        let segment = Segment::new(id, source, sink, base, Arc::clone(&position));
        send(&self.commands, Command::OpenFeed(Box::new(segment)));
        Feed { inner: Arc::new(FeedInner { id, position, commands: self.commands.clone() }) }
    }

    /// Opens a sound of one speaker and decodes some seconds ahead. Nothing is heard until [`Output::play_sound`].
    pub fn open_sound(&self, source: impl Into<StreamSource>, sink: SoundSink) -> Sound {
        let key = SoundKey::next();
        let source = Source::open(source.into(), self.sources.clone(), Arc::clone(&self.clock));
        send(&self.commands, Command::OpenSound(Box::new(SoundState::new(key, source, sink))));
        Sound { key, commands: self.commands.clone() }
    }

    /// Fetches a whole `http` or `https` URL into a file, which appears there whole or not at all.
    pub fn fetch(&self, url: &str, to: &Path, limits: FetchLimits, sink: FetchSink) -> Fetch {
        fetch::open(url, to, limits, self.sources.clone(), Arc::clone(&self.clock), sink)
    }

    /// Opens a microphone or an upload; chunks come as sound comes.
    pub fn open_capture(&self, source: CaptureSource, format: CaptureFormat, sink: CaptureSink) -> Capture {
        capture::open(source, format, self.sources.timeout, Arc::clone(&self.clock), sink)
    }

    /// Takes an endpoint that a kind has opened, and plays to it what will be attached.
    pub fn open_output(&self, speaker: SpeakerId, endpoint: Box<dyn Endpoint>, sink: OutputSink) -> Output {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        send(&self.commands, Command::OpenOutput { id, speaker: speaker.clone(), endpoint, sink });
        Output { id, speaker, commands: self.commands.clone() }
    }

    /// When the render thread last came round: at most half a second ago while it lives.
    pub fn last_tick(&self) -> HubTime {
        HubTime::from_nanos(self.heartbeat.load(Ordering::Relaxed))
    }
}

fn send(commands: &SyncSender<Command>, command: Command) {
    // Full only if thousands of commands came within a tick: then it waits for the thread, which waits for nobody.
    if commands.send(command).is_err() {
        error!("the render thread is gone");
    }
}

/// One content, decoded once for everybody who listens. Clones are the same feed; it stops when the last is dropped.
#[derive(Clone)]
pub struct Feed {
    inner: Arc<FeedInner>,
}

struct FeedInner {
    id: FeedId,
    position: Arc<AtomicU64>,
    commands: SyncSender<Command>,
}

impl Drop for FeedInner {
    fn drop(&mut self) {
        // A sink may drop a feed on the render thread itself, which must not wait for room that only it can make.
        if self.commands.try_send(Command::ForgetFeed(self.id)).is_err() {
            error!("a feed could not be closed: the render thread is gone or drowned in commands");
        }
    }
}

impl Feed {
    /// The feed's id.
    pub fn id(&self) -> FeedId {
        self.inner.id
    }

    /// Plays as soon as it can: the first frame is due at the moment when enough is decoded, plus the larger of `lead`
    /// and the leads of all attached outputs, plus the configured margin.
    pub fn start(&self, lead: Lead) {
        self.send(Command::Start { feed: self.inner.id, lead: lead.0 });
    }

    /// Lets `next`, which must not have been started, begin at the very sample where this one ends; whoever listens to
    /// this feed hears the next. When this one is over already, `next` begins as soon as it can.
    pub fn then(&self, next: &Feed) {
        self.send(Command::Then { feed: self.inner.id, next: next.inner.id });
    }

    /// Holds at what is heard now; outputs forget what they hold for later. Answered by `Paused`.
    pub fn pause(&self) {
        self.send(Command::Pause(self.inner.id));
    }

    /// Goes on where it was held, as early as `lead` and the attached outputs allow. Answered by `Resumed`.
    pub fn resume(&self, lead: Lead) {
        self.send(Command::Resume { feed: self.inner.id, lead: lead.0 });
    }

    /// Ends it now. Whatever follows it ends too; outputs are flushed and detached. A feed that only waits behind
    /// another is taken out of the queue and the other plays on. Answered by `Stopped`.
    pub fn stop(&self) {
        self.send(Command::Stop(self.inner.id));
    }

    /// What is heard now, as a place in the media (`Media::offset` included); at most a tick old.
    pub fn position(&self) -> Duration {
        Duration::from_nanos(self.inner.position.load(Ordering::Relaxed))
    }

    fn send(&self, command: Command) {
        send(&self.inner.commands, command);
    }
}

/// A sound of one speaker alone. Dropping it stops it.
pub struct Sound {
    key: SoundKey,
    commands: SyncSender<Command>,
}

impl Sound {
    /// Its name, for [`Start::After`].
    pub fn id(&self) -> SoundKey {
        self.key
    }

    /// Ends it as soon as can be heard, fading for a block; prepared, waiting or heard. No news follows.
    pub fn stop(&self) {
        send(&self.commands, Command::StopSound(self.key));
    }
}

impl Drop for Sound {
    fn drop(&mut self) {
        // See `Feed`: it must not wait.
        if self.commands.try_send(Command::StopSound(self.key)).is_err() {
            error!("a sound could not be closed: the render thread is gone or drowned in commands");
        }
    }
}

/// A speaker's mixer and endpoint. Dropping it closes the endpoint, without waiting for it.
pub struct Output {
    id: u64,
    speaker: SpeakerId,
    commands: SyncSender<Command>,
}

impl Output {
    /// Whose output this is.
    pub fn speaker(&self) -> &SpeakerId {
        &self.speaker
    }

    /// Listens to a feed instead of what was attached before, which is silenced now. A feed that plays is joined in
    /// time, from now plus the endpoint's lead, with a fade of 10 ms; of live sound that is not there so early its blocks
    /// come as late as that is.
    pub fn attach(&self, feed: &Feed) {
        send(&self.commands, Command::Attach { output: self.id, feed: feed.inner.id });
    }

    /// Falls silent now.
    pub fn detach(&self) {
        send(&self.commands, Command::Detach(self.id));
    }

    /// Sets how loud each input is, walking there over `over`; at once while the output is silent. It begins at unity.
    ///
    /// `from`: only what is due from that moment on. The latest call wins: what earlier ones planned for its moment or
    /// later is forgotten.
    pub fn set_gains(&self, gains: InputGains, over: Duration, from: Option<HubTime>) {
        send(&self.commands, Command::SetGains { output: self.id, gains, over, from });
    }

    /// Sets the tone of content, in dB from low to high (-24 to 24), walking there at about 6 ms a dB.
    pub fn set_equalizer(&self, db: [i8; 3]) {
        send(&self.commands, Command::SetEqualizer { output: self.id, db });
    }

    /// Lets the voice's next sound begin in silence and come up in a straight line over this time, through whatever
    /// follows it.
    pub fn swell(&self, voice: Voice, over: Duration) {
        send(&self.commands, Command::Swell { output: self.id, voice, over });
    }

    /// Lets a sound be heard on this speaker alone. A sound is played once, on one output; when the output closes before
    /// the sound is over, the sound fails.
    pub fn play_sound(&self, sound: &Sound, voice: Voice, start: Start) {
        send(&self.commands, Command::PlaySound { output: self.id, sound: sound.key, voice, start });
    }

    /// Tells the endpoint something.
    pub fn control(&self, control: Control) {
        send(&self.commands, Command::Control { output: self.id, control });
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // See `Feed`: it must not wait.
        if self.commands.try_send(Command::CloseOutput(self.id)).is_err() {
            error!(speaker = %self.speaker, "an output could not be closed: the render thread is gone or drowned");
        }
    }
}
