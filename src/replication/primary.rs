//! The primary's side: its replicas, and how far each of them is.

use super::payload::Payload;
use crate::session::follower::Filter;
use crate::types::ClientId;

/// A replica that is connected.
pub struct Replica {
    pub client: ClientId,
    /// Its address, and the port that it listens on (0 if it did not tell).
    pub address: String,
    pub port: u16,
    pub stage: Stage,
    /// Place in the history up to which it was sent everything.
    pub sent: u64,
    /// Offset that it told that it has, and the one that it has on its disk.
    pub acked: u64,
    pub synced: u64,
    /// When it last told so; real time in milliseconds.
    pub acked_at: i64,
    /// When its connection last took something of its data; real time in milliseconds.
    pub moved_at: i64,
    /// It came with SYNC: it tells no offsets.
    pub plain: bool,
    /// It is sent nothing more until it has told that it has loaded the data: it could not see where they end.
    pub awaits_ack: bool,
    /// See `session::follower`.
    pub eof: bool,
    pub rdb_only: bool,
    pub filter: Option<Filter>,
}

/// What a replica is at.
pub enum Stage {
    /// It waits for a snapshot to begin, since then (real time in milliseconds).
    Waiting { since: i64 },
    /// Its data are being written to the data file.
    Saving,
    /// It is being sent its data.
    Receiving(Payload),
    /// It follows the history.
    Online,
    /// It has what it came for.
    Done,
}

impl Replica {
    /// For the log: `address:port`.
    pub fn name(&self) -> String {
        if self.port == 0 {
            format!("{}:<unknown-replica-port>", self.address)
        } else {
            format!("{}:{}", self.address, self.port)
        }
    }

    /// True if it follows the history.
    pub fn is_online(&self) -> bool {
        matches!(self.stage, Stage::Online)
    }

    /// The stage as INFO names it.
    pub fn stage_name(&self) -> &'static str {
        match self.stage {
            Stage::Waiting { .. } | Stage::Saving => "wait_bgsave",
            Stage::Receiving(_) => "send_bulk",
            Stage::Online => "online",
            Stage::Done => "rdb_transmitted",
        }
    }

    /// Bytes of its data that wait for it in memory. Replicas that share them are each counted.
    pub fn payload_bytes(&self) -> usize {
        match &self.stage {
            Stage::Receiving(payload) => payload.memory_bytes(),
            _ => 0,
        }
    }

    /// Seconds since it last told its offset.
    pub fn lag_seconds(&self, now: i64) -> i64 {
        if self.plain { 0 } else { (now - self.acked_at).max(0) / 1000 }
    }
}
