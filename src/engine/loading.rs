//! Loading the data: when the server starts, and for DEBUG LOADAOF. It is done in slices between the engine's turns, so that
//! clients are told that the server is loading, and how far it has come.
//!
//! The append-only file goes before the RDB file: it is never behind it. Its requests run through dispatch as if a client had
//! sent them, but for the guards, the stream, and deadlines: what expired while they were written is told by the
//! requests themselves.

use super::{Engine, Mailbox, event};
use crate::command::error::CommandError;
use crate::config::SanitizeDumpPayload;
use crate::dispatch::{self, Replayed};
use crate::persist::Loading;
use crate::persist::aof::group;
use crate::persist::aof::manifest::Part;
use crate::persist::aof::replay::{Found, ReadError, Requests};
use crate::persist::aof::{Places, State};
use crate::persist::rdb::load::{FileLoad, Loaded, Manner};
use crate::session::{Origin, Session};
use crate::types::{ClientId, DbIndex};
use crate::world::{Shutdown, World};
use send_wrapper::SendWrapper;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// What to do about a file with a request that cannot be.
const MENDING: &str = "The file was left as it is. It may come from a server with more commands, or be damaged: see \
                       redis-check-aof.";
const FAILED: CommandError = CommandError::new("ERR Error trying to load the AOF files, check server logs.");

/// How long the engine loads before it looks at its clients.
const SLICE: Duration = Duration::from_millis(5);
/// Requests whose keys are read into the cache together.
const WINDOW: usize = 16;

/// Loads what the configuration names and opens the append-only file.
///
/// # Errors
/// Why the data cannot be had: the server must not go on.
pub async fn at_start(mailbox: &Mailbox) -> Result<(), String> {
    let appendonly = mailbox.with(|engine| engine.begin_load_at_start())?;
    run(mailbox).await?;
    mailbox.with(|engine| {
        if appendonly {
            engine.open_aof()?;
        } else {
            engine.world.resume_loaded_history();
        }
        engine.follow_appendonly();
        engine.follow_configured_primary(mailbox);
        Ok(())
    })
}

/// Loads the append-only file in place of what is in memory, for a client that waits for it.
pub(super) fn start_on_demand(mailbox: Mailbox, client: ClientId) {
    // It stays on this thread, as the engine does.
    tokio::spawn(SendWrapper::new(on_demand(mailbox, client)));
}

async fn on_demand(mailbox: Mailbox, client: ClientId) {
    let begun = mailbox.with(Engine::begin_load_aof);
    let outcome = match begun {
        Ok(()) => run(&mailbox).await,
        Err(reason) => Err(reason),
    };
    mailbox.with(|engine| {
        engine.follow_appendonly();
        if outcome.is_ok() {
            warn!("Append Only File loaded by DEBUG LOADAOF");
            engine.answer_done(client);
        } else {
            engine.unblock(client, Some(FAILED));
        }
        engine.run_resumed(&mailbox);
        engine.finish_turn(&mailbox);
    });
}

async fn run(mailbox: &Mailbox) -> Result<(), String> {
    loop {
        match mailbox.with(Engine::load_slice) {
            Ok(true) => return Ok(()),
            Ok(false) => tokio::task::yield_now().await,
            Err(reason) => return Err(reason),
        }
    }
}

/// A load under way.
pub(super) struct Load {
    files: VecDeque<Wanted>,
    current: Option<Current>,
    /// Bytes of files that are done.
    done_bytes: u64,
    session: Box<Session>,
    loaded: Loaded,
    /// The data come from the append-only file.
    from_aof: bool,
    started: Instant,
}

/// A file to load.
struct Wanted {
    name: String,
    path: PathBuf,
    role: Role,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The RDB file by itself.
    Snapshot,
    Base,
    Incr,
}

struct Current {
    wanted: Wanted,
    last: bool,
    len: u64,
    started: Instant,
    stage: Stage,
}

enum Stage {
    Rdb(Box<FileLoad>),
    Requests(Box<Replay>),
}

/// Requests on their way into the keyspace.
struct Replay {
    requests: Requests<File>,
    /// The next few, and which of them comes next.
    found: Vec<Found>,
    at: usize,
    /// It runs a script that takes long.
    paused: Option<Box<dispatch::PausedScript>>,
    /// Behind the last request that ran, and before the transaction that is open.
    valid_to: u64,
    before_multi: u64,
}

impl Engine {
    /// Finds out what to load. Returns whether there is to be an append-only file.
    fn begin_load_at_start(&mut self) -> Result<bool, String> {
        let World { config, persistence, .. } = &mut self.world;
        let read = persistence.aof.read_manifest(config);
        if persistence.starts_empty {
            return Ok(false);
        }
        read?;
        let appendonly = config.appendonly;
        if appendonly {
            persistence.aof.upgrade(config)?;
            if !persistence.aof.manifest().is_empty() {
                return self.begin_load_of_aof().map(|()| true);
            }
        }
        let config = &self.world.config;
        let path = std::path::Path::new(&config.dir).join(&*config.dbfilename);
        if !appendonly && let Ok(about) = std::fs::metadata(&path) {
            let wanted = Wanted { name: config.dbfilename.to_string(), path, role: Role::Snapshot };
            self.begin_load(VecDeque::from([wanted]), about.len(), false);
        }
        Ok(appendonly)
    }

    /// Empties the keyspace, to fill it from the append-only file.
    fn begin_load_aof(&mut self) -> Result<(), String> {
        let World { persistence, keyspace, scripting, stream, .. } = &mut self.world;
        persistence.aof.flush(stream, false);
        for index in (0..keyspace.databases() as u32).map(DbIndex) {
            keyspace.flush(index, false);
        }
        scripting.flush_functions();
        keyspace.env.effects.propagate_nothing();
        dispatch::publish::close_background(&mut self.world);
        let World { config, persistence, .. } = &mut self.world;
        persistence.aof.read_manifest(config)?;
        persistence.aof.remove_history(config);
        persistence.aof.upgrade(config)?;
        if persistence.aof.manifest().is_empty() {
            return Ok(());
        }
        self.begin_load_of_aof()
    }

    fn begin_load_of_aof(&mut self) -> Result<(), String> {
        let World { config, persistence, .. } = &self.world;
        let places = Places::of(config);
        let (mut files, mut total) = (VecDeque::new(), 0);
        let base = persistence.aof.manifest().base.as_ref();
        for part in persistence.aof.manifest().parts() {
            let path = places.folder.join(&part.name);
            let Part { name, .. } = part;
            total += std::fs::metadata(&path)
                .map_err(|error| {
                    let text = format!("Unable to obtain the AOF file {name} length. stat: {}", plain(&error));
                    warn!("{text}");
                    text
                })?
                .len();
            let role = if Some(part) == base { Role::Base } else { Role::Incr };
            files.push_back(Wanted { name: name.clone(), path, role });
        }
        self.begin_load(files, total, true);
        Ok(())
    }

    fn begin_load(&mut self, files: VecDeque<Wanted>, total_bytes: u64, from_aof: bool) {
        let world = &mut self.world;
        let unix_seconds = crate::clock::Clock::Real.micros() / 1_000_000;
        world.persistence.loading = Some(Loading {
            started: Instant::now(),
            started_unix_seconds: unix_seconds,
            bytes: total_bytes,
            bytes_done: 0,
            memory_bytes: 0,
            is_async: false,
        });
        world.review_restrictions();
        let session = Session { origin: Origin::Internal, ..Session::default() };
        self.load = Some(Box::new(Load {
            files,
            current: None,
            done_bytes: 0,
            session: Box::new(session),
            loaded: Loaded::default(),
            from_aof,
            started: Instant::now(),
        }));
    }

    /// Loads for a moment. True when all is loaded.
    fn load_slice(&mut self) -> Result<bool, String> {
        let Some(mut load) = self.load.take() else { return Ok(true) };
        let world = &mut self.world;
        world.keyspace.refresh_clock();
        world.stream.silent = true;
        world.keyspace.env.effects.streaming = false;
        world.keyspace.env.obeys = load.from_aof;
        let outcome = load.slice(world);
        world.keyspace.env.obeys = false;
        world.stream.silent = false;
        let done = match outcome {
            Ok(false) => {
                self.load = Some(load);
                return Ok(false);
            }
            Ok(true) => Ok(true),
            Err(reason) => Err(reason),
        };
        world.persistence.loading = None;
        world.adopt_config();
        world.persistence.note_loaded(load.loaded, &world.keyspace);
        if done.is_ok() && load.from_aof {
            info!("DB loaded from append only file: {:.3} seconds", load.started.elapsed().as_secs_f64());
        }
        done
    }

    /// Opens the append-only file at the start.
    fn open_aof(&mut self) -> Result<(), String> {
        let World { config, persistence, keyspace, stream, .. } = &mut self.world;
        persistence.open_aof(keyspace, config, stream).map_err(|error| {
            let text = format!("Can't open the append-only file: {error}");
            warn!("{text}");
            text
        })?;
        self.world.adopt_config();
        Ok(())
    }

    /// Switches the append-only file on or off, as the configuration says.
    pub(super) fn follow_appendonly(&mut self) {
        if self.world.persistence.is_loading() {
            return;
        }
        let World { config, persistence, keyspace, stream, .. } = &mut self.world;
        match (config.appendonly, persistence.aof.state()) {
            (true, State::Off) => {
                // One that runs keeps nothing of what is written meanwhile.
                persistence.cancel_rewrite(keyspace, config, stream);
                persistence.aof.start();
                if persistence.is_busy() {
                    info!(
                        "AOF was enabled but there is already another background operation. An AOF background was scheduled \
                         to start when possible."
                    );
                }
                self.start_scheduled_rewrite(true);
            }
            (false, State::On | State::WaitsForRewrite) => {
                persistence.cancel_rewrite(keyspace, config, stream);
                persistence.aof.stop(config, stream);
            }
            _ => {}
        }
        self.world.adopt_config();
    }
}

impl Load {
    fn slice(&mut self, world: &mut World) -> Result<bool, String> {
        let start = Instant::now();
        let step_bytes = world.config.loading_process_events_interval_bytes as u64;
        let begun_at = self.loaded_bytes();
        while start.elapsed() < SLICE && self.loaded_bytes() - begun_at < step_bytes.max(1) {
            let Some(mut current) = self.current.take() else {
                match self.files.pop_front() {
                    Some(wanted) => self.current = self.open(wanted, world)?,
                    None => return Ok(true),
                }
                continue;
            };
            match current.step(world, &mut self.session, &mut self.loaded)? {
                false => self.current = Some(current),
                true => {
                    self.done_bytes += current.len;
                    current.finish(self.from_aof);
                }
            }
        }
        let loaded_bytes = self.loaded_bytes();
        if let Some(progress) = &mut world.persistence.loading {
            progress.bytes_done = loaded_bytes;
        }
        Ok(false)
    }

    fn loaded_bytes(&self) -> u64 {
        self.done_bytes
            + self.current.as_ref().map_or(0, |current| match &current.stage {
                Stage::Rdb(load) => load.offset(),
                Stage::Requests(replay) => replay.requests.offset(),
            })
    }

    /// Opens a file; none if it is empty.
    fn open(&mut self, wanted: Wanted, world: &World) -> Result<Option<Current>, String> {
        let name = &wanted.name;
        let opened = File::open(&wanted.path).and_then(|file| file.metadata().map(|about| (file, about.len())));
        let (mut file, len) = opened.map_err(|error| {
            let text = format!("Fatal error: can't open the append log file {name} for reading: {}", plain(&error));
            warn!("{text}");
            text
        })?;
        if len == 0 && wanted.role != Role::Snapshot {
            return Ok(None);
        }
        let last = self.files.is_empty();
        let mut magic = [0; 6];
        let read = file.read(&mut magic).unwrap_or(0);
        let is_rdb = magic[..read].starts_with(b"REDIS") || magic[..read].starts_with(b"VALKEY");
        let stage = if is_rdb || wanted.role == Role::Snapshot {
            match wanted.role {
                Role::Snapshot => {}
                _ if name == &*world.config.appendfilename => info!("Reading RDB preamble from AOF file..."),
                _ => info!("Reading RDB base file on AOF loading..."),
            }
            let manner = Manner {
                checksum: world.config.rdbchecksum,
                deep: world.config.sanitize_dump_payload == SanitizeDumpPayload::Yes,
                merge: false,
                // On replicas the primary tells when they go.
                keep_expired: wanted.role != Role::Snapshot || world.config.replicaof.is_some(),
            };
            match FileLoad::open(&wanted.path, manner) {
                Ok(Some(load)) => Stage::Rdb(Box::new(load)),
                Ok(None) => return Ok(None),
                Err(error) => return Err(wanted.fail(&error.to_string())),
            }
        } else {
            // Behind the data there may be a reserve.
            let len = group::data_len(&file, len).map_err(|error| wanted.fail(&error.to_string()))?;
            Stage::Requests(Box::new(Replay::at(file, 0, len).map_err(|error| wanted.fail(&error.to_string()))?))
        };
        *self.session = Session { origin: Origin::Internal, ..Session::default() };
        Ok(Some(Current { wanted, last, len, started: Instant::now(), stage }))
    }
}

impl Wanted {
    /// Tells why an RDB file cannot be loaded.
    fn fail(&self, reason: &str) -> String {
        if self.role != Role::Snapshot {
            warn!("Error reading the RDB base file {}, AOF loading aborted", self.name);
        }
        let text = format!("{}: {reason}", self.path.display());
        warn!("Error reading {}: {reason}. redis-check-rdb tells more.", self.name);
        warn!(
            "Fatal error loading the DB: {text}. The file was left as it is: put a backup in its place, or move it away to start \
             without its data."
        );
        if self.role == Role::Snapshot {
            // Tools look for these words.
            warn!("Terminating server after rdb file reading failure.");
        }
        text
    }
}

impl Current {
    /// Loads a little more; true at the end of the file.
    fn step(&mut self, world: &mut World, session: &mut Session, loaded: &mut Loaded) -> Result<bool, String> {
        let delay = world.config.key_load_delay;
        match &mut self.stage {
            Stage::Rdb(load) => {
                let more = load.step(&mut world.keyspace).map_err(|error| self.wanted.fail(&error.to_string()))?;
                sleep(delay.saturating_mul(crate::persist::rdb::load::STEP as i64));
                if more {
                    return Ok(false);
                }
                let offset = load.offset();
                let Stage::Rdb(load) = std::mem::replace(&mut self.stage, Stage::none(&self.wanted, offset, self.len)?) else {
                    return Ok(true);
                };
                let (done, libraries) = load.finish();
                world.adopt_libraries(&libraries, false).map_err(|reason| self.wanted.fail(&reason))?;
                let empty = if done.empty > 0 { format!(", empty keys skipped: {}", done.empty) } else { String::new() };
                info!("Done loading RDB, keys loaded: {}, keys expired: {}{empty}.", done.keys, done.expired);
                *loaded = done;
                Ok(offset >= self.len || self.wanted.role == Role::Snapshot)
            }
            Stage::Requests(replay) => match replay.step(world, session, delay) {
                Ok(done) => Ok(done),
                Err(Broken::Unknown(name)) => {
                    let file = &self.wanted.name;
                    let at = replay.valid_to;
                    let text = format!("Unknown command '{name}' reading the append only file {file} at offset {at}. {MENDING}");
                    warn!("{text}");
                    Err(text)
                }
                Err(Broken::Read(ReadError::Format)) => {
                    let file = &self.wanted.name;
                    let text = format!(
                        "Bad file format reading the append only file {file}: make a backup of your AOF file, then use \
                         ./redis-check-aof --fix <filename.manifest>. The fault is behind offset {}; the file was left as it is.",
                        replay.valid_to
                    );
                    warn!("{text}");
                    Err(text)
                }
                Err(Broken::Read(ReadError::System(error))) => {
                    let file = &self.wanted.name;
                    let text = format!("Unrecoverable error reading the append only file {file}: {}", plain(&error));
                    warn!("{text}");
                    Err(text)
                }
                Err(Broken::Read(ReadError::CutOff)) => self.cut_tail(world, session),
                Err(Broken::OpenTransaction) => {
                    warn!("Revert incomplete MULTI/EXEC transaction in AOF file {}", self.wanted.name);
                    self.cut_tail(world, session)
                }
            },
        }
    }

    /// The file ends within a request, or within a transaction: cuts it there, if that is allowed.
    fn cut_tail(&mut self, world: &World, session: &mut Session) -> Result<bool, String> {
        let Stage::Requests(replay) = &self.stage else { return Ok(true) };
        let file = &self.wanted.name;
        let valid = if session.transaction.take().is_some() { replay.before_multi } else { replay.valid_to };
        if world.config.aof_load_truncated {
            warn!("!!! Warning: short read while loading the AOF file {file}!!!");
            warn!("!!! Truncating the AOF {file} at offset {valid} !!!");
            if !self.last {
                let text = "Fatal error: the truncated file is not the last file";
                warn!("{text}");
                return Err(text.to_owned());
            }
            let cut = keep_requests_behind(&self.wanted.path, valid)
                .and_then(|()| File::options().write(true).open(&self.wanted.path))
                .and_then(|file| {
                    file.set_len(valid)?;
                    file.sync_all()
                });
            match cut {
                Ok(()) => {
                    warn!("AOF {file} loaded anyway because aof-load-truncated is enabled");
                    return Ok(true);
                }
                Err(error) => warn!("Error truncating the AOF file {file}: {}", plain(&error)),
            }
        }
        let text = format!(
            "Unexpected end of file reading the append only file {file}. You can: 1) Make a backup of your AOF file, then use \
             ./redis-check-aof --fix <filename.manifest>. 2) Alternatively you can set the 'aof-load-truncated' configuration \
             option to yes and restart the server. What comes before offset {valid} is whole."
        );
        warn!("{text}");
        Err(text)
    }

    fn finish(self, from_aof: bool) {
        let seconds = self.started.elapsed().as_secs_f64();
        let name = &self.wanted.name;
        match self.wanted.role {
            Role::Base => info!("DB loaded from base file {name}: {seconds:.3} seconds"),
            Role::Incr => info!("DB loaded from incr file {name}: {seconds:.3} seconds"),
            Role::Snapshot if !from_aof => info!("DB loaded from disk: {seconds:.3} seconds"),
            Role::Snapshot => {}
        }
    }
}

impl Stage {
    /// What follows an RDB file's end: requests, in a file of the old kind.
    fn none(wanted: &Wanted, offset: u64, len: u64) -> Result<Stage, String> {
        if offset < len && wanted.role == Role::Base {
            info!("Reading the remaining AOF tail...");
        }
        let replay = File::open(&wanted.path).and_then(|file| Replay::at(file, offset, len));
        replay.map(|replay| Stage::Requests(Box::new(replay))).map_err(|error| wanted.fail(&error.to_string()))
    }
}

/// Why a replay cannot go on.
enum Broken {
    Read(ReadError),
    Unknown(String),
    OpenTransaction,
}

impl Replay {
    fn at(mut file: File, offset: u64, len: u64) -> std::io::Result<Replay> {
        file.seek(SeekFrom::Start(offset))?;
        let requests = Requests::new(file, offset, len);
        Ok(Replay { requests, found: Vec::new(), at: 0, paused: None, valid_to: offset, before_multi: offset })
    }

    /// Runs the next few requests; true at the end.
    fn step(&mut self, world: &mut World, session: &mut Session, delay: i64) -> Result<bool, Broken> {
        if self.at == self.found.len() {
            self.found.clear();
            self.found.extend_from_slice(self.requests.next_few(WINDOW).map_err(Broken::Read)?);
            self.at = 0;
            if self.found.is_empty() {
                return if session.transaction.is_some() { Err(Broken::OpenTransaction) } else { Ok(true) };
            }
            let requests = &self.requests;
            world.keyspace.prefetch(session.db, self.found.iter().map(|found| requests.args(*found).get(1)));
        }
        while let Some(found) = self.found.get(self.at).copied() {
            let args = self.requests.args(found);
            let replayed = match self.paused.take() {
                Some(paused) => dispatch::replay_on(world, session, args, paused),
                None => {
                    if args.is(0, "MULTI") {
                        self.before_multi = self.valid_to;
                    }
                    dispatch::replay(world, session, args)
                }
            };
            match replayed {
                Replayed::Done => {}
                Replayed::Unknown => return Err(Broken::Unknown(String::from_utf8_lossy(args.get(0)).into_owned())),
                Replayed::Paused(paused) => {
                    self.paused = Some(paused);
                    return Ok(false);
                }
            }
            self.valid_to = found.end;
            self.at += 1;
            sleep(delay);
        }
        Ok(false)
    }
}

/// A crash leaves a part of one request behind what is whole. If there is more (a length in the middle of the file is wrong,
/// say), it is kept beside the file before that is cut.
fn keep_requests_behind(path: &std::path::Path, valid: u64) -> std::io::Result<()> {
    /// Bytes searched for a request's beginning; who has more of them in one argument loses nothing either.
    const SEARCHED: u64 = 1 << 20;
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(valid))?;
    let mut head = Vec::new();
    let searched = file.by_ref().take(SEARCHED).read_to_end(&mut head)?;
    if searched < SEARCHED as usize && !head.windows(2).any(|pair| pair == b"\n*") {
        return Ok(());
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".behind-{valid}"));
    let mut kept = File::create(&name)?;
    std::io::copy(&mut head.as_slice().chain(file), &mut kept)?;
    kept.sync_all()?;
    warn!("What is behind offset {valid} is kept in {}", std::path::Path::new(&name).display());
    Ok(())
}

/// Waits, for tests of slow loads; a negative number is a share of a microsecond and not worth waiting for.
pub(super) fn sleep(micros: i64) {
    if micros > 0 {
        std::thread::sleep(Duration::from_micros(micros as u64));
    }
}

/// The system's reason for an error, without its number.
fn plain(error: &std::io::Error) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_owned()
}

/// How a server ends that could not load its data.
pub fn failed() -> event::Outcome {
    event::Outcome { shutdown: Shutdown { insist: true, ..Shutdown::default() } }
}
