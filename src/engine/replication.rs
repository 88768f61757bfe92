//! What replicas are sent: the data first, the history behind them; and what is due once a second.
//!
//! A replica is a place in the backlog. Its connection is handed no more than it takes in a moment, so what a slow replica has
//! yet to get stays in the backlog, once for all replicas. Replicas that have everything cost a turn one comparison each;
//! while some have not, a timer of a millisecond goes on with them.

use super::{Engine, Mailbox};
use crate::clock::Clock;
use crate::engine::clients;
use crate::replication::payload::{End, Next};
use crate::replication::primary::{Replica, Stage};
use crate::resp::reply::Output;
use crate::session::ReplyMode;
use crate::types::ClientId;
use crate::world::World;
use std::time::Duration;

/// A connection is handed more while less than this waits in it.
const UNSENT_MAX: usize = 1 << 20;
/// Bytes handed over at once.
const PIECE: usize = 256 << 10;
/// From look to look while some replica has not got everything.
const PERIOD: Duration = Duration::from_millis(1);

/// Feeds replicas that lag, for ever.
pub async fn run(mailbox: Mailbox) {
    loop {
        mailbox.replicas_lag().await;
        loop {
            let lags = mailbox.with(|engine| {
                engine.finish_turn(&mailbox);
                engine.world.replication.lags
            });
            if !lags {
                break;
            }
            tokio::time::sleep(PERIOD).await;
        }
    }
}

impl Engine {
    /// Hands replicas what their connections take.
    pub(super) fn feed_replicas(&mut self, mailbox: &Mailbox) {
        let world = &mut self.world;
        if std::mem::take(&mut world.replication.wants_acks) {
            world.replication.tell_replicas(b"*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n", &mut world.stream);
        }
        let mut lags = false;
        let mut lost = Vec::new();
        for at in 0..world.replication.replicas.len() {
            match feed(world, &self.held, at) {
                Fed::All => {}
                Fed::Lags => lags = true,
                Fed::Lost(client) => lost.push(client),
            }
        }
        world.replication.settle_needs();
        for client in lost {
            world.disconnect_replica(client);
        }
        mailbox.ring_remotes();
        world.replication.lags = lags;
    }

    /// A client became a replica: what it sends is not answered any more (it would stand in the middle of the history), and it is
    /// sent what it needs.
    pub(super) fn welcome_replica(&mut self, client: ClientId) {
        let world = &mut self.world;
        if let Some(session) = world.sessions.get_mut(client) {
            session.reply_mode = ReplyMode::Off;
            if let Some(link) = &session.link {
                link.set_nodelay(!world.config.repl_disable_tcp_nodelay);
            }
        }
        let is_saving = world.replication.save_offset.is_some_and(|offset| world.replication.backlog().reaches(offset));
        if is_saving && world.persistence.is_saving() {
            world.attach_to_save();
        } else {
            world.start_full_sync_if_due();
        }
        world.replication.lags = true;
    }

    /// What replication has to do once a second.
    pub(super) fn look_after_replication(&mut self) {
        let world = &mut self.world;
        let now = Clock::Real.millis();
        if now - world.replication.looked_at < 1000 {
            return;
        }
        world.replication.looked_at = now;
        world.replication.seconds += 1;
        ping_replicas(world);
        drop_silent_replicas(world, now);
        free_idle_history(world, now);
        remove_sync_file(world);
        world.start_full_sync_if_due();
        world.count_good_replicas();
    }
}

/// What became of an attempt to feed a replica.
enum Fed {
    All,
    Lags,
    Lost(ClientId),
}

/// Hands one replica what its connection takes.
fn feed(world: &mut World, held: &super::hold::Held, at: usize) -> Fed {
    let World { replication, sessions, stats, config, keyspace, .. } = world;
    let (replica, backlog) = replication.replica_and_backlog(at);
    let Some(session) = sessions.get_mut(replica.client) else { return Fed::Lags };
    if session.closing {
        return Fed::All;
    }
    let Some(link) = &session.link else { return Fed::All };
    let mut unsent = link.buffers().unsent;
    let mut bytes = 0;
    let mut finished = None;
    // Replies to what came before must have left.
    let is_greeted = session.out.is_empty() && !held.holds(replica.client);
    while unsent < UNSENT_MAX {
        let mut out = Output::default();
        match &mut replica.stage {
            Stage::Waiting { .. } | Stage::Saving | Stage::Done => {}
            Stage::Receiving(_) if !is_greeted => {}
            Stage::Receiving(payload) => {
                while out.bytes.len() < PIECE {
                    match payload.take_next() {
                        Next::Bytes(chunk) => out.bytes.extend_from_slice(&chunk),
                        Next::Later => break,
                        Next::End(end) => {
                            finished = Some(end);
                            break;
                        }
                    }
                }
            }
            Stage::Online if replica.awaits_ack || !is_greeted => {}
            Stage::Online => {
                out.bytes.reserve_exact((backlog.end() - replica.sent).min(PIECE as u64) as usize);
                while out.bytes.len() < PIECE && replica.sent < backlog.end() {
                    let part = backlog.read(replica.sent);
                    if part.is_empty() {
                        // Cannot be: what replicas need is kept. Better to begin anew than to leave something out.
                        return Fed::Lost(replica.client);
                    }
                    let part = &part[..part.len().min(PIECE - out.bytes.len())];
                    out.bytes.extend_from_slice(part);
                    replica.sent += part.len() as u64;
                }
            }
        }
        if out.is_empty() {
            break;
        }
        bytes += out.len();
        let Some(link) = &session.link else { break };
        link.send(&mut out);
        unsent = link.buffers().unsent;
        replica.moved_at = Clock::Real.millis();
        if finished.is_some() {
            break;
        }
    }
    if bytes > 0 {
        clients::count_sent(stats, session, bytes);
        stats.replication_bytes_out += bytes as u64;
    }
    if let Some(end) = finished {
        drop(backlog);
        return finish_data(world, at, end);
    }
    let waiting = match replica.stage {
        Stage::Receiving(_) | Stage::Saving | Stage::Online => (backlog.end() - replica.sent) as usize,
        _ => 0,
    };
    let limit = clients::limit_of(session, config);
    if clients::is_over(session, &limit, waiting + unsent, keyspace.env.now()) {
        clients::cut_off(stats, session);
        return Fed::Lost(replica.client);
    }
    let is_behind = match &replica.stage {
        Stage::Receiving(_) => true,
        Stage::Online => !replica.awaits_ack && replica.sent < backlog.end(),
        _ => false,
    };
    if is_behind { Fed::Lags } else { Fed::All }
}

/// A replica was handed all of its data.
fn finish_data(world: &mut World, at: usize, end: End) -> Fed {
    let now = Clock::Real.millis();
    let replica = &mut world.replication.replicas[at];
    if end == End::Failed {
        tracing::warn!("Full sync with replica {} failed.", replica.name());
        return Fed::Lost(replica.client);
    }
    if replica.rdb_only {
        tracing::info!("RDB transfer completed, rdb only replica ({}) should be disconnected asap", replica.name());
        replica.stage = Stage::Done;
        let client = replica.client;
        if let Some(session) = world.sessions.get_mut(client) {
            session.closing = true;
            if let Some(link) = &session.link {
                link.close_after_send();
            }
        }
        return Fed::All;
    }
    replica.stage = Stage::Online;
    replica.acked_at = now;
    let is_from_socket = replica.awaits_ack;
    tracing::info!("Synchronization with replica {} succeeded", replica.name());
    if is_from_socket {
        if let Some(done) = &mut world.replication.transfer {
            *done += 1;
        }
        world.settle_transfer();
    }
    world.count_good_replicas();
    Fed::Lags
}

/// Lets replicas know that the primary is alive, those that wait for their data as well.
fn ping_replicas(world: &mut World) {
    let World { replication, config, stream, sessions, .. } = world;
    if replication.replicas.is_empty() {
        return;
    }
    let is_due = replication.seconds.is_multiple_of(config.repl_ping_replica_period.max(1) as u64);
    // A replica's history is its primary's, who pings for all.
    if is_due && !replication.is_replica() && !replication.quiet {
        replication.tell_replicas(b"*1\r\n$4\r\nPING\r\n", stream);
    }
    // An empty line does no harm and is not part of the history.
    for replica in replication.replicas.iter().filter(|replica| matches!(replica.stage, Stage::Waiting { .. } | Stage::Saving)) {
        if let Some(link) = sessions.get(replica.client).and_then(|session| session.link.as_ref()) {
            let mut out = Output::default();
            out.bytes.push(b'\n');
            link.send(&mut out);
        }
    }
}

/// Closes connections of replicas that were not heard of for `repl-timeout`.
fn drop_silent_replicas(world: &mut World, now: i64) {
    let timeout = world.config.repl_timeout * 1000;
    let mut lost = Vec::new();
    for replica in &world.replication.replicas {
        match replica.stage {
            Stage::Online if !replica.plain && now - replica.acked_at > timeout => {
                tracing::warn!("Disconnecting timedout replica (streaming sync): {}", replica.name());
                lost.push(replica.client);
            }
            Stage::Receiving(_) if now - replica.moved_at > timeout => {
                tracing::warn!("Disconnecting timedout replica (full sync): {}", replica.name());
                lost.push(replica.client);
            }
            _ => {}
        }
    }
    lost.into_iter().for_each(|client| world.disconnect_replica(client));
}

/// Removes the data file that was made for replicas only, where no data are to stay on the disk (`rdb-del-sync-files`).
fn remove_sync_file(world: &mut World) {
    let World { replication, config, .. } = world;
    let is_used = |replica: &Replica| !matches!(replica.stage, Stage::Online | Stage::Done);
    if !replication.left_file || replication.replicas.iter().any(is_used) {
        return;
    }
    replication.left_file = false;
    if config.rdb_del_sync_files && !config.appendonly && config.save.is_empty() {
        tracing::info!("Removing the RDB file {} used to feed replicas in a persistence-less instance", config.dbfilename);
        let _ = std::fs::remove_file(std::path::Path::new(&config.dir).join(&*config.dbfilename));
    }
}

/// Frees the history when nobody has followed it for `repl-backlog-ttl`.
fn free_idle_history(world: &mut World, now: i64) {
    let World { replication, config, stream, .. } = &mut *world;
    let ttl = config.repl_backlog_ttl;
    let is_idle = replication.replicas.is_empty() && !replication.is_replica() && replication.backlog().is_active();
    if is_idle && ttl > 0 && now - replication.alone_since > ttl * 1000 {
        replication.drop_history(stream);
        tracing::info!("Replication backlog freed after {ttl} seconds without connected replicas.");
        world.adopt_config();
    }
}
