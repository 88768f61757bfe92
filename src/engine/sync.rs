//! Taking over all data of a primary (a full sync): from a file, in slices between the engine's turns, or as they come from the
//! socket; in place of the old data, or beside them until the new ones are complete (`repl-diskless-load swapdb`).
//!
//! While the new data are on their way clients hear LOADING, or, if the old data are another moment of the same history and kept
//! meanwhile, may go on reading those. Data that prove broken are dropped, and everything is asked for again.

use super::Engine;
use super::upstream::Ends;
use crate::clock::{self, Clock};
use crate::config::{ReplDisklessLoad, SanitizeDumpPayload};
use crate::dispatch::publish;
use crate::keyspace::Keyspace;
use crate::persist::aof::State;
use crate::persist::rdb::feed::{Fed, Feed};
use crate::persist::rdb::load::{self, FileLoad, Library, Loaded};
use crate::persist::{Loading, rdb::LoadError};
use crate::replication::handshake::{Answer, Broken, Place};
use crate::replication::replica::{Line, PrimaryLink, Stage};
use crate::session::{Origin, Session};
use crate::types::DbIndex;
use crate::world::World;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// How long the engine loads before it looks at its clients.
const SLICE: Duration = Duration::from_millis(5);

/// The way that the data of a full sync take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Manner {
    /// Through a file.
    File,
    /// From the socket into the databases, which are empty.
    InPlace,
    /// From the socket into databases that take the others' place in the end. `serves`: the others are of use until then.
    Beside { serves: bool },
}

/// A full sync whose data are being loaded.
pub(super) struct Sync {
    line: Rc<Line>,
    source: Source,
    /// Where the data go, if not into the databases in use.
    beside: Option<Box<Keyspace>>,
}

enum Source {
    File(Box<FileLoad>),
    Socket(Box<Feed>),
}

impl Engine {
    /// The way that the data are to take which the primary announced.
    pub(super) fn sync_manner(&self, place: &Place) -> Manner {
        let world = &self.world;
        match world.config.repl_diskless_load {
            ReplDisklessLoad::OnEmptyDb if world.keyspace.total_keys() == 0 => Manner::InPlace,
            ReplDisklessLoad::Disabled | ReplDisklessLoad::OnEmptyDb => Manner::File,
            ReplDisklessLoad::Swapdb => Manner::Beside { serves: world.replication.id == place.id },
        }
    }

    /// Where the data file is: folder and name.
    pub(super) fn sync_file(&self) -> (PathBuf, String) {
        let config = &self.world.config;
        (PathBuf::from(&*config.dir), config.dbfilename.to_string())
    }

    /// What is being written to the disk would be of no use.
    pub(super) fn prepare_sync(&mut self, line: &Rc<Line>) -> Result<(), Broken> {
        self.upstream_on(line).ok_or(Broken)?;
        let World { config, persistence, keyspace, stream, .. } = &mut self.world;
        if persistence.aof.state() != State::Off {
            persistence.cancel_rewrite(keyspace, config, stream);
            persistence.aof.stop(config, stream);
        }
        self.world.give_snapshots_up();
        self.world.adopt_config();
        Ok(())
    }

    /// Begins to load the data from a file.
    pub(super) fn begin_sync_from_file(&mut self, line: &Rc<Line>, path: &Path) -> Result<(), Broken> {
        self.upstream_on(line).ok_or(Broken)?;
        let load = match FileLoad::open(path, self.manner()) {
            Ok(Some(load)) => load,
            Ok(None) => return Err(refuse(&LoadError { offset: 0, reason: "the file has gone".into() })),
            Err(error) => return Err(refuse(&error)),
        };
        let len = std::fs::metadata(path).map_or(0, |about| about.len());
        self.begin_sync(line, Source::File(Box::new(load)), len, Manner::File);
        Ok(())
    }

    /// Begins to load data that come from the socket, `len` bytes if that is known.
    pub(super) fn begin_sync_from_socket(&mut self, line: &Rc<Line>, manner: Manner, len: Option<u64>) -> Result<(), Broken> {
        self.upstream_on(line).ok_or(Broken)?;
        let limits = self.world.keyspace.env.settings.limits.clone();
        let feed = Feed::new(len.unwrap_or(u64::MAX), self.manner(), limits);
        self.begin_sync(line, Source::Socket(Box::new(feed)), len.unwrap_or(0), manner);
        Ok(())
    }

    fn manner(&self) -> load::Manner {
        let config = &self.world.config;
        load::Manner {
            checksum: config.rdbchecksum,
            deep: config.sanitize_dump_payload == SanitizeDumpPayload::Yes,
            merge: false,
            // The primary tells when they go.
            keep_expired: true,
        }
    }

    fn begin_sync(&mut self, line: &Rc<Line>, source: Source, len: u64, manner: Manner) {
        info!("MASTER <-> REPLICA sync: Loading DB in memory");
        let beside = matches!(manner, Manner::Beside { .. }).then(|| Box::new(self.world.keyspace.another()));
        if beside.is_none() {
            self.attach_to_new_history(line);
            info!("MASTER <-> REPLICA sync: Flushing old data");
            self.empty();
        }
        let is_async = manner == Manner::Beside { serves: true };
        self.world.persistence.loading = Some(Loading {
            started: Instant::now(),
            started_unix_seconds: Clock::Real.micros() / 1_000_000,
            bytes: len,
            bytes_done: 0,
            memory_bytes: 0,
            is_async,
        });
        self.world.review_restrictions();
        self.sync = Some(Box::new(Sync { line: line.clone(), source, beside }));
    }

    /// The data of another history replace those that are here: nobody can go on with the old one.
    fn attach_to_new_history(&mut self, line: &Rc<Line>) {
        if let Some(upstream) = self.upstream_on(line) {
            upstream.may_continue = false;
        }
        self.world.drop_replicas();
    }

    /// Empties all databases; nobody is told by the stream.
    fn empty(&mut self) {
        let World { keyspace, scripting, config, .. } = &mut self.world;
        for index in (0..keyspace.databases() as u32).map(DbIndex) {
            keyspace.flush(index, config.replica_lazy_flush);
        }
        scripting.flush_functions();
        keyspace.env.own_deadlines.keys.clear();
        keyspace.env.effects.propagate_nothing();
        publish::close_background(&mut self.world);
    }

    /// Loads for a moment. True when all is loaded.
    pub(super) fn sync_slice(&mut self, line: &Rc<Line>) -> Result<bool, Broken> {
        let delay = self.world.config.key_load_delay.saturating_mul(load::STEP as i64);
        let step_bytes = (self.world.config.loading_process_events_interval_bytes as u64).max(1);
        let Some(Sync { line: own, source: Source::File(load), .. }) = self.sync.as_deref_mut() else { return Err(Broken) };
        if !Rc::ptr_eq(own, line) {
            return Err(Broken);
        }
        let world = &mut self.world;
        world.keyspace.refresh_clock();
        let (start, begun_at) = (Instant::now(), load.offset());
        let mut more = true;
        while more && start.elapsed() < SLICE && load.offset() - begun_at < step_bytes {
            more = load.step(&mut world.keyspace).map_err(|error| refuse(&error))?;
            super::loading::sleep(delay);
        }
        if let Some(progress) = &mut world.persistence.loading {
            progress.bytes_done = load.offset();
        }
        if more { Ok(false) } else { self.sync_loaded().map(|()| true) }
    }

    /// Loads what came from the socket; `last`: that was all.
    pub(super) fn sync_push(&mut self, line: &Rc<Line>, bytes: &[u8], last: bool) -> Result<(), Broken> {
        let delay = self.world.config.key_load_delay;
        let Some(Sync { line: own, source: Source::Socket(feed), beside }) = self.sync.as_deref_mut() else { return Err(Broken) };
        if !Rc::ptr_eq(own, line) {
            return Err(Broken);
        }
        let world = &mut self.world;
        world.keyspace.refresh_clock();
        let keyspace = beside.as_deref_mut().unwrap_or(&mut world.keyspace);
        keyspace.refresh_clock();
        let before = keyspace.total_keys();
        let fed = feed.push(bytes, keyspace).map_err(|error| refuse(&error))?;
        super::loading::sleep(delay.saturating_mul(keyspace.total_keys().saturating_sub(before) as i64));
        if let Some(progress) = &mut world.persistence.loading {
            progress.bytes_done += bytes.len() as u64;
        }
        if !last {
            return Ok(());
        }
        if fed == Fed::More {
            feed.end(keyspace).map_err(|error| refuse(&error))?;
        }
        self.sync_loaded()
    }

    /// All data are here.
    fn sync_loaded(&mut self) -> Result<(), Broken> {
        let Some(mut sync) = self.sync.take() else { return Err(Broken) };
        let (line, beside) = (sync.line.clone(), sync.beside.take());
        let from_socket = matches!(sync.source, Source::Socket(_));
        let (loaded, libraries) = sync.source.finish();
        if let Some(fresh) = beside {
            self.attach_to_new_history(&line);
            info!("MASTER <-> REPLICA sync: Swapping active DB with loaded DB");
            let old = self.world.keyspace.exchange(*fresh);
            self.world.scripting.flush_functions();
            info!("MASTER <-> REPLICA sync: Discarding old DB in background");
            old.discard(&mut self.world.keyspace.env.lazyfree);
        }
        if let Err(reason) = self.world.adopt_libraries(&libraries, false) {
            warn!("Failed loading the functions of the master: {reason}");
            self.empty();
            self.drop_loading();
            return Err(Broken);
        }
        let world = &mut self.world;
        let empty = if loaded.empty > 0 { format!(", empty keys skipped: {}", loaded.empty) } else { String::new() };
        info!("Done loading RDB, keys loaded: {}, keys expired: {}{empty}.", loaded.keys, loaded.expired);
        world.persistence.note_loaded(loaded, &world.keyspace);
        if from_socket {
            // No file holds these data.
            world.keyspace.env.effects.more(1);
        }
        for index in (0..world.keyspace.databases() as u32).map(DbIndex) {
            world.blocked.database_changed(index);
        }
        publish::close_background(world);
        Ok(())
    }

    /// What was loaded so far is of no use.
    fn sync_failed(&mut self) {
        let Some(sync) = self.sync.take() else { return };
        match sync.beside {
            Some(fresh) => {
                info!("MASTER <-> REPLICA sync: Discarding temporary DB in background");
                fresh.discard(&mut self.world.keyspace.env.lazyfree);
            }
            None => self.empty(),
        }
        self.drop_loading();
    }

    fn drop_loading(&mut self) {
        self.world.persistence.loading = None;
        self.world.adopt_config();
    }

    /// Full syncs with others than the primary that is followed now are over.
    pub(super) fn clear_old_sync(&mut self) {
        let line = self.line();
        if self.sync.as_ref().is_some_and(|sync| line.is_none_or(|line| !Rc::ptr_eq(&sync.line, &line))) {
            self.sync_failed();
        }
    }

    /// The data are those of the primary at this place: what it sends from here on is to be executed.
    pub(super) fn finish_sync(&mut self, line: &Rc<Line>, place: &Place, ends: &Ends) -> Result<(), Broken> {
        let db = self.world.persistence.loaded.stream_db;
        let upstream = self.upstream_on(line).ok_or(Broken)?;
        upstream.db = db.unwrap_or_default();
        self.drop_loading();
        let no_name = clock::random_id();
        let id = if place.id.is_empty() { &no_name } else { &place.id };
        self.world.adopt_history(id, place.offset);
        self.connect_upstream(line, ends);
        self.world.adopt_config();
        info!("MASTER <-> REPLICA sync: Finished with success");
        if self.world.config.appendonly {
            info!("MASTER <-> REPLICA sync: Starting AOF after a successful sync");
            self.follow_appendonly();
        }
        self.acknowledge(line);
        Ok(())
    }

    /// The primary goes on where this server stopped, perhaps under another name.
    pub(super) fn continue_history(&mut self, line: &Rc<Line>, id: Option<&str>, ends: &Ends) -> Result<(), Broken> {
        self.upstream_on(line).ok_or(Broken)?;
        if let Some(id) = id.filter(|id| **id != *self.world.replication.id) {
            info!("Master replication ID changed to {id}");
            self.world.replication.rename(id);
            self.world.drop_replicas();
        }
        let World { replication, config, stream, .. } = &mut self.world;
        replication.keep_history(config.repl_backlog_size, stream);
        self.connect_upstream(line, ends);
        Ok(())
    }

    /// The link is up: the primary is a client from now on.
    fn connect_upstream(&mut self, line: &Rc<Line>, ends: &Ends) {
        let Some(upstream) = self.upstream_on(line) else { return };
        upstream.stage = Stage::Connected;
        upstream.may_continue = true;
        upstream.down_since = None;
        upstream.heard_at = Instant::now();
        upstream.unapplied = 0;
        upstream.unfed.clear();
        let millis = Clock::Real.millis();
        let session = Session {
            origin: Origin::Internal,
            authenticated: true,
            is_primary: true,
            db: upstream.db,
            peer: ends.peer.clone(),
            local: ends.local.clone(),
            fd: ends.fd,
            connected_at: millis,
            active_at: millis,
            link: Some(Box::new(PrimaryLink(line.clone()))),
            ..Session::default()
        };
        let (client, _) = self.world.sessions.add(Box::new(session));
        if let Some(upstream) = self.upstream_on(line) {
            upstream.client = Some(client);
        }
        self.world.review_restrictions();
    }

    /// The connection to the primary ended, or never came to be.
    pub(super) fn upstream_lost(&mut self, line: &Rc<Line>) {
        if self.sync.as_ref().is_some_and(|sync| Rc::ptr_eq(&sync.line, line)) {
            self.sync_failed();
        }
        let Some(upstream) = self.upstream_on(line) else { return };
        let was_up = upstream.is_connected();
        upstream.stage = Stage::Connect;
        upstream.unfed.clear();
        upstream.unapplied = 0;
        if was_up {
            upstream.down_since = Some(Instant::now());
            info!("Caching the disconnected master state.");
            info!("Reconnecting to MASTER {}:{}", upstream.host, upstream.port);
        }
        if let Some(client) = upstream.client.take() {
            self.forget(client);
        }
        self.world.review_restrictions();
    }

    /// Removes the file of a full sync that nobody will read again (`rdb-del-sync-files`).
    pub(super) fn remove_sync_file(&self, path: &Path) {
        let config = &self.world.config;
        if config.rdb_del_sync_files && !config.appendonly && config.save.is_empty() {
            info!("Removing the RDB file obtained from the master. This replica has persistence disabled");
            let _ = std::fs::remove_file(path);
        }
    }

    /// The primary-to-be answered, or did not, while this server fails over to it.
    pub(super) fn take_over_answered(&mut self, line: &Rc<Line>, answer: &Result<Answer, Broken>) {
        let Some(upstream) = self.upstream_on(line) else { return };
        if !std::mem::take(&mut upstream.takes_over) {
            return;
        }
        match answer {
            Ok(Answer::Rest { .. } | Answer::Everything(_)) => self.world.end_failover(),
            _ => {
                self.world.abort_failover("Failover target rejected psync request");
            }
        }
    }
}

impl Source {
    fn finish(self) -> (Loaded, Vec<Library>) {
        match self {
            Source::File(load) => load.finish(),
            Source::Socket(feed) => feed.finish(),
        }
    }
}

/// Logs why data cannot be loaded.
fn refuse(error: &LoadError) -> Broken {
    warn!("Bad data from the master: {error}");
    Broken
}
