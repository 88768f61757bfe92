//! What the engine does for and against its clients: sends their replies, cuts off those who do not read them, those who are
//! idle, and the largest when all together take too much memory.
//!
//! Output limits are looked at where replies are sent, so that what piles up is never more than the limit and one turn's
//! replies; time limits are looked at by cron, which comes by every client about once a second.
//!
//! The memory of clients is counted while `maxmemory-clients` is set: where a client's requests come in, where its replies leave,
//! when its request buffer grows, and when cron comes by.

use super::Engine;
use super::batch::Batch;
use crate::config::{Config, MemoryOrPercent, OutputBufferLimit};
use crate::session::Session;
use crate::stats::Stats;
use crate::types::{ClientId, UnixMillis};
use crate::world::World;

/// Clients that cron looks at in each tick at least.
const LOOKS_MIN: usize = 50;
/// A client that sent nothing for so long does not keep a request buffer.
const IDLE_BUFFER_MILLIS: i64 = 2000;
/// Bytes of replies that may pile up for a client that has yet to authenticate (CVE-2025-21605).
const UNSENT_MAX_UNAUTHENTICATED: usize = 1024;

impl Engine {
    /// Sends every client what there is for it.
    pub(super) fn send_replies_now(&mut self) {
        let World { sessions, stats, config, keyspace, tracking, limits_client_memory, .. } = &mut self.world;
        let (counts, now) = (*limits_client_memory, keyspace.env.now());
        let mut memory_changed = 0isize;
        sessions.drain_sends(|session| {
            let bytes = session.out.len();
            count_sent(stats, session, bytes);
            let limit = limit_of(session, config);
            if limit.hard != 0 && bytes as u64 >= limit.hard {
                cut_off(stats, session);
            }
            if let Some(link) = &session.link {
                if !session.out.is_empty() {
                    let left = link.send(&mut session.out);
                    if left > 0 && is_over(session, &limit, left, now) {
                        cut_off(stats, session);
                    }
                }
                if session.closing
                    && let Some(link) = &session.link
                {
                    link.close_after_send();
                }
            }
            if counts {
                memory_changed += count(session, tracking.memory_bytes_of(session.id));
            }
        });
        sessions.adjust_memory(memory_changed);
        if counts {
            self.evict_clients();
        }
    }

    /// Puts a session's replies into its batch, which takes them to the thread that has the socket. The batch's empty buffer
    /// stays with the session.
    pub(super) fn hand_over(&mut self, session: &mut Session, batch: &mut Batch) {
        let bytes = session.out.len();
        let World { stats, config, keyspace, .. } = &mut self.world;
        count_sent(stats, session, bytes);
        let limit = limit_of(session, config);
        let unlimited = limit.hard == 0 && limit.soft == 0 && session.authenticated;
        if !unlimited && bytes > 0 {
            let left = session.link.as_ref().map_or(0, |link| link.buffers().unsent);
            if (limit.hard != 0 && bytes as u64 >= limit.hard) || is_over(session, &limit, left, keyspace.env.now()) {
                return cut_off(stats, session);
            }
        }
        std::mem::swap(&mut session.out, &mut batch.out);
        batch.close_after = session.closing;
    }

    /// Comes by some clients, each about once a second: idle ones, those that do not read their replies, those that keep large
    /// buffers.
    pub(super) fn look_at_clients(&mut self) {
        let World { sessions, config, stats, keyspace, tracking, limits_client_memory, .. } = &mut self.world;
        let millis = crate::clock::Clock::Real.millis();
        let now = keyspace.env.now();
        let looks = (sessions.len() / config.hz.max(1) as usize).max(LOOKS_MIN).min(sessions.len());
        let mut memory_changed = 0isize;
        for id in sessions.next_ids(self.looked_at, looks) {
            self.looked_at = id;
            let Some(session) = sessions.get_mut(id) else { continue };
            if *limits_client_memory {
                memory_changed += count(session, tracking.memory_bytes_of(id));
            }
            let Some(link) = &session.link else { continue };
            let idle = millis - session.active_at;
            let is_link = session.is_primary || session.is_replica();
            let waits = session.subscriptions.is_some() || session.blocked || session.monitor || is_link;
            if config.timeout > 0 && idle > config.timeout * 1000 && !waits {
                tracing::debug!("Closing idle client");
                session.closing = true;
                link.close_now();
                continue;
            }
            let buffers = link.buffers();
            // A client that waits may have gone behind something that nobody reads.
            if buffers.query + buffers.query_free > 0 || session.blocked {
                link.tidy(idle >= IDLE_BUFFER_MILLIS);
            }
            let limit = limit_of(session, config);
            if is_over(session, &limit, buffers.unsent, now) {
                cut_off(stats, session);
            }
        }
        sessions.adjust_memory(memory_changed);
        self.evict_clients();
    }

    /// Counts the memory of the clients whose requests are about to run, those requests included.
    #[cold]
    pub(super) fn count_batches(&mut self, batches: &[Box<Batch>]) {
        let World { sessions, tracking, .. } = &mut self.world;
        for batch in batches {
            let Some(session) = sessions.get_mut(batch.client) else { continue };
            session.lent_bytes = batch.memory_bytes();
            let changed = count(session, tracking.memory_bytes_of(batch.client));
            sessions.adjust_memory(changed);
        }
        self.evict_clients();
    }

    /// A client's request buffer has grown.
    pub(super) fn has_grown(&mut self, client: ClientId) {
        let World { sessions, tracking, limits_client_memory, .. } = &mut self.world;
        if *limits_client_memory && let Some(session) = sessions.get_mut(client) {
            let changed = count(session, tracking.memory_bytes_of(client));
            sessions.adjust_memory(changed);
            self.evict_clients();
        }
    }

    /// The limit may be another: counts all clients anew.
    pub(super) fn count_all_clients(&mut self) {
        let World { sessions, tracking, limits_client_memory, .. } = &mut self.world;
        if !*limits_client_memory {
            return;
        }
        let ids: Vec<ClientId> = sessions.ids().collect();
        for id in ids {
            if let Some(session) = sessions.get_mut(id) {
                let changed = count(session, tracking.memory_bytes_of(id));
                sessions.adjust_memory(changed);
            }
        }
        self.evict_clients();
    }

    /// Closes the largest clients while all together take more memory than `maxmemory-clients`.
    fn evict_clients(&mut self) {
        let limit = match self.world.config.maxmemory_clients {
            MemoryOrPercent::Bytes(bytes) => bytes,
            MemoryOrPercent::Percent(percent) => (self.world.config.maxmemory as u128 * percent as u128 / 100) as u64,
        } as usize;
        if limit == 0 || self.world.sessions.memory() <= limit {
            return;
        }
        let is_link = |session: &Session| session.is_primary || session.is_replica();
        let may_go = |session: &&Session| !session.no_evict && session.link.is_some() && !is_link(session);
        let all = self.world.sessions.iter().filter(may_go);
        let mut largest: Vec<(usize, ClientId)> = all.map(|session| (session.counted_bytes, session.id)).collect();
        largest.sort_unstable_by(|a, b| b.cmp(a));
        for (bytes, client) in largest {
            if self.world.sessions.memory() <= limit {
                break;
            }
            tracing::info!("Evicting client id={} that uses {bytes} bytes of memory", client.0);
            self.world.stats.evicted_clients += 1;
            if let Some(session) = self.world.sessions.get_mut(client) {
                session.closing = true;
                if let Some(link) = &session.link {
                    link.close_now();
                }
            }
            self.forget(client);
        }
    }
}

/// Counts replies that leave.
pub(super) fn count_sent(stats: &mut Stats, session: &mut Session, bytes: usize) {
    stats.bytes_out += bytes as u64;
    session.bytes_out += bytes as u64;
    stats.writes_processed += 1;
}

/// Notes what memory a client takes now. Returns by how much that changed.
fn count(session: &mut Session, tracking_bytes: usize) -> isize {
    let before = session.counted_bytes;
    session.counted_bytes = if session.closing { 0 } else { session.memory_bytes() + tracking_bytes };
    session.counted_bytes as isize - before as isize
}

/// The limit on replies that a client does not read.
pub(super) fn limit_of(session: &Session, config: &Config) -> OutputBufferLimit {
    /// Replies that a client of the original has room for in its own buffer do not count there.
    const NOT_COUNTED: u64 = 16 << 10;
    let limits = &config.client_output_buffer_limit;
    let above = |bytes: u64, least: u64| if bytes == 0 { 0 } else { bytes.max(least) };
    let limit = if session.subscriptions.is_some() {
        limits.pubsub
    } else if session.is_replica() {
        // What the backlog holds costs nothing more.
        return OutputBufferLimit { hard: above(limits.replica.hard, config.repl_backlog_size), ..limits.replica };
    } else {
        limits.normal
    };
    OutputBufferLimit { hard: above(limit.hard, NOT_COUNTED), soft: above(limit.soft, NOT_COUNTED), ..limit }
}

/// True if more bytes of replies wait than the client's limit allows, or too many for too long.
pub(super) fn is_over(session: &mut Session, limit: &OutputBufferLimit, waiting: usize, now: UnixMillis) -> bool {
    if !session.authenticated && waiting > UNSENT_MAX_UNAUTHENTICATED {
        return true;
    }
    let is_above = |bytes: u64| bytes != 0 && waiting as u64 >= bytes;
    if !is_above(limit.soft) {
        session.over_soft_limit_since = 0;
    } else if session.over_soft_limit_since == 0 {
        session.over_soft_limit_since = now;
    }
    let too_long = is_above(limit.soft) && now - session.over_soft_limit_since > limit.soft_seconds * 1000;
    is_above(limit.hard) || too_long
}

/// Closes a client whose replies pile up; what it has not read it never will.
#[cold]
pub(super) fn cut_off(stats: &mut Stats, session: &mut Session) {
    tracing::warn!("Client id={} closed for overcoming of output buffer limits.", session.id.0);
    stats.output_buffer_limit_disconnections += 1;
    session.closing = true;
    session.out = Default::default();
    if let Some(link) = &session.link {
        link.close_now();
    }
}
