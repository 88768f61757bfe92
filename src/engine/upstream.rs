//! The task of a replica that talks to its primary: connects, shakes hands, receives all data or the rest of the history, and
//! brings what the primary sends to the engine, which executes it (`obey`). It runs on the engine's own thread.
//!
//! The task ends when its line is cut: another primary is to be followed, or none. Until then it tries again each second. What it
//! has begun in the engine by then (a full sync, above all) the engine clears away itself.

use super::batch::Batch;
use super::obey::Obeyed;
use super::sync::Manner;
use super::{Engine, Mailbox};
use crate::command::error;
use crate::config::Master;
use crate::outbound::{self, Stream};
use crate::replication::handshake::{Answer, Broken, Conversation, Greeting, Payload, Place};
use crate::replication::replica::{Line, Stage, Upstream};
use rustls::ClientConfig;
use send_wrapper::SendWrapper;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tracing::{info, warn};

/// Between two tries, two ACKs, two looks at the time.
const BEAT: Duration = Duration::from_secs(1);
/// From one connection to the next at least, if the link was up.
const BREATH: Duration = Duration::from_millis(100);
/// Data received between two waits for the disk.
const SYNC_BYTES: u64 = 8 << 20;
/// Data received before others get their turn.
const TURN_BYTES: usize = 1 << 20;
/// How long what the primary sent waits at a time while a script runs or clients are paused.
const HOLD: Duration = Duration::from_millis(2);

/// What the task needs to know to begin.
struct Plan {
    host: String,
    port: u16,
    source: String,
    greeting: Greeting,
    place: Option<Place>,
    takes_over: bool,
    tls: Option<Arc<ClientConfig>>,
    patience: Duration,
}

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The link was up.
    WasUp,
    /// It never was.
    Failed,
}

/// Starts to follow the primary at the other end of the line.
fn start(mailbox: &Mailbox, line: Rc<Line>) {
    let (mailbox, line) = (mailbox.clone(), line);
    // It stays on this thread, as the engine does.
    tokio::spawn(SendWrapper::new(async move {
        tokio::select! {
            biased;
            () = line.until_cut() => {}
            () = follow(&mailbox, &line) => {}
        }
    }));
}

async fn follow(mailbox: &Mailbox, line: &Rc<Line>) {
    loop {
        let begun = Instant::now();
        let end = match attempt(mailbox, line).await {
            Ok(()) => End::WasUp,
            Err(Broken) => End::Failed,
        };
        mailbox.with(|engine| {
            engine.upstream_lost(line);
            engine.finish_turn(mailbox);
        });
        // A link that broke is taken up again at once, before the primary forgets what was missed.
        let pause = if end == End::Failed { BEAT } else { BREATH };
        tokio::time::sleep(pause.saturating_sub(begun.elapsed())).await;
    }
}

/// One connection, from its beginning to its end. An error: the link was never up.
async fn attempt(mailbox: &Mailbox, line: &Rc<Line>) -> Result<(), Broken> {
    let plan = mailbox.with(|engine| engine.plan(line))?;
    info!("Connecting to MASTER {}:{}", plan.host, plan.port);
    set_stage(mailbox, line, Stage::Connecting);
    info!("MASTER <-> REPLICA sync started");
    let connected = async {
        let socket = connect(&plan.host, plan.port, &plan.source).await?;
        let ends = Ends::of(&socket);
        Ok((outbound::secure(socket, plan.tls).await?, ends))
    };
    let (stream, ends) = match tokio::time::timeout(plan.patience, connected).await {
        Ok(Ok(connected)) => connected,
        Ok(Err::<_, std::io::Error>(error)) => {
            warn!("Error condition on socket for SYNC: {}", plain(&error));
            return Err(Broken);
        }
        Err(_) => {
            warn!("Timeout connecting to the MASTER...");
            return Err(Broken);
        }
    };
    info!("Non blocking connect for SYNC fired the event.");
    set_stage(mailbox, line, Stage::Handshake);
    let patience = {
        let mailbox = mailbox.clone();
        Box::new(move || mailbox.with(|engine| engine.patience()))
    };
    let mut talk = Conversation::new(stream, patience);
    talk.greet(&plan.greeting).await?;
    let answer = talk.ask(plan.place.as_ref(), plan.takes_over).await;
    mailbox.with(|engine| {
        engine.take_over_answered(line, &answer);
        engine.finish_turn(mailbox);
    });
    let place = match answer? {
        Answer::Rest { .. } if plan.place.is_none() => {
            warn!("The master would go on with a history that was not asked for");
            return Err(Broken);
        }
        Answer::Rest { id } => {
            mailbox.with(|engine| engine.continue_history(line, id.as_deref(), &ends))?;
            info!("MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.");
            let (stream, rest) = talk.into_parts();
            listen(mailbox, line, stream, rest).await;
            return Ok(());
        }
        Answer::Everything(place) => place,
        Answer::Later => return Err(Broken),
        Answer::Unknown => {
            talk.ask_old().await?;
            Place { id: String::new(), offset: 0 }
        }
    };
    set_stage(mailbox, line, Stage::sync(None));
    let heard = || mailbox.with(|engine| engine.transferred(line, 0));
    let payload = talk.payload(heard).await?;
    set_stage(mailbox, line, Stage::sync(payload.total()));
    let manner = mailbox.with(|engine| engine.sync_manner(&place));
    let whither = if manner == Manner::File { "to disk" } else { "to parser" };
    match payload.total() {
        Some(total) => info!("MASTER <-> REPLICA sync: receiving {total} bytes from master {whither}"),
        None => info!("MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF {whither}"),
    }
    match manner {
        Manner::File => through_a_file(mailbox, line, &mut talk, payload).await?,
        _ => straight(mailbox, line, &mut talk, payload, manner).await?,
    }
    mailbox.with(|engine| {
        engine.finish_sync(line, &place, &ends)?;
        engine.finish_turn(mailbox);
        Ok(())
    })?;
    let (stream, rest) = talk.into_parts();
    listen(mailbox, line, stream, rest).await;
    Ok(())
}

/// Receives the data into a file and loads that.
async fn through_a_file(
    mailbox: &Mailbox,
    line: &Rc<Line>,
    talk: &mut Conversation<Box<dyn Stream>>,
    mut payload: Payload,
) -> Result<(), Broken> {
    let (folder, name) = mailbox.with(|engine| engine.sync_file());
    let mut file = Temporary::create(&folder)?;
    let (mut chunk, mut unsynced, mut turn) = (Vec::new(), 0, 0);
    loop {
        let done = talk.payload_chunk(&mut payload, &mut chunk).await?;
        mailbox.with(|engine| engine.transferred(line, chunk.len() as u64));
        file.write(&chunk)?;
        unsynced += chunk.len() as u64;
        turn += chunk.len();
        if done || unsynced >= SYNC_BYTES {
            unsynced = 0;
            file.sync().await?;
        }
        if done {
            break;
        }
        if turn >= TURN_BYTES {
            turn = 0;
            tokio::task::yield_now().await;
        }
    }
    mailbox.with(|engine| engine.prepare_sync(line))?;
    let path = file.keep_as(&folder, &name)?;
    mailbox.with(|engine| {
        engine.begin_sync_from_file(line, &path)?;
        engine.finish_turn(mailbox);
        Ok(())
    })?;
    loop {
        match mailbox.with(|engine| engine.sync_slice(line)) {
            Ok(true) => break,
            Ok(false) => tokio::task::yield_now().await,
            Err(Broken) => {
                warn!("Failed trying to load the MASTER synchronization DB from disk, check server logs.");
                mailbox.with(|engine| engine.remove_sync_file(&path));
                return Err(Broken);
            }
        }
    }
    mailbox.with(|engine| engine.remove_sync_file(&path));
    Ok(())
}

/// Receives the data right into the keyspace.
async fn straight(
    mailbox: &Mailbox,
    line: &Rc<Line>,
    talk: &mut Conversation<Box<dyn Stream>>,
    mut payload: Payload,
    manner: Manner,
) -> Result<(), Broken> {
    mailbox.with(|engine| {
        engine.prepare_sync(line)?;
        engine.begin_sync_from_socket(line, manner, payload.total())?;
        engine.finish_turn(mailbox);
        Ok(())
    })?;
    let failed = |broken| {
        warn!("Failed trying to load the MASTER synchronization DB from socket, check server logs.");
        broken
    };
    let (mut chunk, mut turn) = (Vec::new(), 0);
    loop {
        let done = talk.payload_chunk(&mut payload, &mut chunk).await.map_err(failed)?;
        mailbox.with(|engine| engine.transferred(line, chunk.len() as u64));
        mailbox.with(|engine| engine.sync_push(line, &chunk, done)).map_err(failed)?;
        if done {
            return Ok(());
        }
        turn += chunk.len();
        if turn >= TURN_BYTES {
            turn = 0;
            tokio::task::yield_now().await;
        }
    }
}

/// Takes what the primary sends to the engine, and what the engine says to the primary, until one of them hangs up.
async fn listen(mailbox: &Mailbox, line: &Rc<Line>, mut stream: Box<dyn Stream>, rest: Vec<u8>) {
    let patience = || mailbox.with(|engine| engine.patience());
    let mut batch = Box::<Batch>::default();
    batch.push_input(&rest);
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut held = !rest.is_empty();
    loop {
        if held {
            match mailbox.obey(line, &mut batch) {
                Obeyed::All => held = false,
                Obeyed::Later => {}
                Obeyed::Gone => return,
            }
        }
        batch.make_room();
        let filled = batch.filled;
        tokio::select! {
            read = stream.read(&mut batch.input[filled..]), if !held => match read {
                Ok(n) if n > 0 => {
                    batch.filled += n;
                    batch.bytes_read += n;
                    held = true;
                }
                Ok(_) => {
                    info!("Connection with master lost.");
                    return;
                }
                Err(error) => {
                    warn!("Connection with master lost: {}", plain(&error));
                    return;
                }
            },
            () = line.news() => {}
            _ = beat.tick() => {
                let patience = patience();
                if !held && mailbox.with(|engine| engine.primary_is_silent(line, patience)) {
                    warn!("MASTER timeout: no data nor PING received...");
                    return;
                }
                mailbox.with(|engine| engine.acknowledge(line));
            }
            () = tokio::time::sleep(HOLD), if held => {}
        }
        if line.take_hung_up() {
            info!("Connection with master lost.");
            return;
        }
        let words = line.take_words();
        let say = async {
            stream.write_all(&words).await?;
            stream.flush().await
        };
        if !words.is_empty() && !matches!(tokio::time::timeout(patience(), say).await, Ok(Ok(()))) {
            info!("Connection with master lost.");
            return;
        }
    }
}

/// Connects to the first address of a host that answers. `source`: the address to come from, if any.
async fn connect(host: &str, port: u16, source: &str) -> std::io::Result<TcpStream> {
    let mut failed = std::io::Error::other("the name has no address");
    for address in lookup_host((host, port)).await? {
        match outbound::connect(address, source).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn set_stage(mailbox: &Mailbox, line: &Rc<Line>, stage: Stage) {
    mailbox.with(|engine| {
        if let Some(upstream) = engine.upstream_on(line) {
            upstream.stage = stage;
        }
    });
}

/// The two ends of a connection, for CLIENT LIST.
pub(super) struct Ends {
    pub peer: Box<str>,
    pub local: Box<str>,
    pub fd: i32,
}

impl Ends {
    fn of(stream: &TcpStream) -> Ends {
        use std::os::fd::AsRawFd;
        let text = |address: std::io::Result<std::net::SocketAddr>| address.map(|a| a.to_string()).unwrap_or_default().into();
        Ends { peer: text(stream.peer_addr()), local: text(stream.local_addr()), fd: stream.as_raw_fd() }
    }
}

/// The file that the data come to; it goes away unless it is kept.
struct Temporary {
    path: PathBuf,
    file: File,
    kept: bool,
}

impl Temporary {
    fn create(folder: &Path) -> Result<Temporary, Broken> {
        let unix_seconds = crate::clock::Clock::Real.micros() / 1_000_000;
        let mut last = None;
        // Other servers of this process may be at the same.
        for attempt in 0..64 {
            let name = format!("temp-{}.{}.rdb", unix_seconds + attempt, std::process::id());
            let path = folder.join(name);
            match File::options().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Temporary { path, file, kept: false }),
                Err(error) => last = Some(error),
            }
        }
        let reason = last.map(|error| plain(&error)).unwrap_or_default();
        warn!("Opening the temp file needed for MASTER <-> REPLICA synchronization: {reason}");
        Err(Broken)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.file.write_all(bytes).map_err(|error| {
            warn!(
                "Write error or short write writing to the DB dump file needed for MASTER <-> REPLICA synchronization: {}",
                plain(&error)
            );
            Broken
        })
    }

    /// Waits for the disk, without holding others up.
    async fn sync(&mut self) -> Result<(), Broken> {
        let synced = match self.file.try_clone() {
            Ok(file) => tokio::task::spawn_blocking(move || file.sync_all()).await.unwrap_or_else(|lost| Err(lost.into())),
            Err(error) => Err(error),
        };
        synced.map_err(|error| {
            warn!("Failed trying to sync the temp DB to disk in MASTER <-> REPLICA synchronization: {}", plain(&error));
            Broken
        })
    }

    /// Makes it the data file.
    fn keep_as(mut self, folder: &Path, name: &str) -> Result<PathBuf, Broken> {
        let path = folder.join(name);
        let renamed = std::fs::rename(&self.path, &path).and_then(|()| File::open(folder)?.sync_all());
        self.kept = true;
        renamed.map(|()| path).map_err(|error| {
            let _ = std::fs::remove_file(&self.path);
            warn!("Failed trying to rename the temp DB into {name} in MASTER <-> REPLICA synchronization: {}", plain(&error));
            Broken
        })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Engine {
    /// The server follows another primary now, or none any more. Clients that wait for keys waited for what will not happen here.
    pub(super) fn change_role(&mut self, mailbox: &Mailbox) {
        self.clear_old_sync();
        if self.world.replication.is_replica() {
            for client in self.parked.keys().copied().collect::<Vec<_>>() {
                if self.freeing.iter().any(|(waiting, _)| *waiting == client) {
                    continue;
                }
                self.unblock(client, Some(error::UNBLOCKED_BY_ROLE));
                if let Some(session) = self.world.sessions.get_mut(client) {
                    session.closing = true;
                }
            }
            self.run_resumed(mailbox);
            if let Some(line) = self.line() {
                start(mailbox, line);
            }
        }
        self.follow_appendonly();
    }

    /// Follows the primary that the configuration names when the server starts. If the data that were loaded tell of which history they are
    /// a moment, the primary may have the rest of it.
    pub(super) fn follow_configured_primary(&mut self, mailbox: &Mailbox) {
        let Some(Master { host, port }) = self.world.config.replicaof.clone() else { return };
        let loaded = self.world.persistence.loaded;
        // An append-only file goes beyond the moment that its base tells of.
        let told = loaded.history.place().filter(|_| !self.world.config.appendonly);
        let place = told.map(|(id, offset)| (id.to_owned(), offset));
        if let Some((id, offset)) = &place {
            self.world.replication.adopt(id, *offset);
        }
        self.world.become_replica_of(&host, port);
        if let Some(upstream) = &mut self.world.replication.upstream {
            upstream.may_continue = place.is_some();
            upstream.db = loaded.stream_db.unwrap_or_default();
        }
        self.finish_turn(mailbox);
    }

    /// The line to the primary that is followed.
    pub(super) fn line(&self) -> Option<Rc<Line>> {
        self.world.replication.upstream.as_ref().map(|upstream| upstream.line.clone())
    }

    /// The primary that is followed, if this is the line to it.
    pub(super) fn upstream_on(&mut self, line: &Rc<Line>) -> Option<&mut Upstream> {
        self.world.replication.upstream.as_deref_mut().filter(|upstream| Rc::ptr_eq(&upstream.line, line))
    }

    fn plan(&mut self, line: &Rc<Line>) -> Result<Plan, Broken> {
        let config = &self.world.config;
        let replication = &self.world.replication;
        let upstream = replication.upstream.as_deref().filter(|upstream| Rc::ptr_eq(&upstream.line, line)).ok_or(Broken)?;
        let mut auth = Vec::new();
        if !config.masterauth.is_empty() {
            auth.extend((!config.masteruser.is_empty()).then(|| config.masteruser.clone()));
            auth.push(config.masterauth.clone());
        }
        let port = match (config.replica_announce_port, config.tls_replication) {
            (0, true) if config.tls_port != 0 => config.tls_port,
            (0, _) => config.port,
            (announced, _) => announced,
        };
        let tls = self.world.tls_for_replication().map_err(|refusal| {
            // Better no data than a password in the clear.
            warn!("Can't connect to MASTER over TLS: {refusal}");
            Broken
        })?;
        let address = (!config.replica_announce_ip.is_empty()).then(|| config.replica_announce_ip.clone());
        let place = upstream.may_continue.then(|| Place { id: replication.id.clone(), offset: replication.offset() });
        // A line that was told to hang up before it was up has nothing to hang up.
        line.take_hung_up();
        line.take_words();
        Ok(Plan {
            host: upstream.host.clone(),
            port: upstream.port,
            source: config.bind_source_addr.clone(),
            greeting: Greeting { auth, port: port as u16, address },
            place,
            takes_over: upstream.takes_over,
            tls,
            patience: self.patience(),
        })
    }

    /// How long a primary may be silent.
    fn patience(&self) -> Duration {
        Duration::from_secs(self.world.config.repl_timeout.max(1) as u64)
    }

    /// So many bytes of the data came, or only a sign of life.
    fn transferred(&mut self, line: &Rc<Line>, bytes: u64) {
        self.world.stats.replication_bytes_in += bytes;
        if let Some(Upstream { stage: Stage::Sync(transfer), .. }) = self.upstream_on(line) {
            transfer.read += bytes;
            transfer.heard_at = Instant::now();
        }
    }

    fn primary_is_silent(&mut self, line: &Rc<Line>, patience: Duration) -> bool {
        self.upstream_on(line).is_none_or(|upstream| upstream.heard_at.elapsed() > patience)
    }
}

/// The system's reason for an error, without its number.
pub(super) fn plain(error: &std::io::Error) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_owned()
}
