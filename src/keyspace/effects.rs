//! What a command did to the keyspace, recorded where the change is made and published in one place.
//!
//! The only ways to change a value take an `Event`, so that no command can forget to count the change, to dirty a WATCH, to
//! invalidate a tracked key, to wake a blocked client or to notify. While nobody listens an effect costs one addition.
//!
//! Effects are closed per execution unit (a command, a transaction, a script): `dispatch::publish` takes the log then.

use super::watched::Watched;
use crate::resp::request::OwnedRequest;
use crate::types::DbIndex;

/// Classes of keyspace events, as `notify-keyspace-events` letters select them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Class(pub u16);

impl Class {
    /// No class: such a change is seen by WATCH and tracking, but nobody is notified of it.
    pub const SILENT: u16 = 0;
    /// `g`
    pub const GENERIC: u16 = 1 << 2;
    /// `$`
    pub const STRING: u16 = 1 << 3;
    /// `l`
    pub const LIST: u16 = 1 << 4;
    /// `s`
    pub const SET: u16 = 1 << 5;
    /// `h`
    pub const HASH: u16 = 1 << 6;
    /// `z`
    pub const ZSET: u16 = 1 << 7;
    /// `x`
    pub const EXPIRED: u16 = 1 << 8;
    /// `e`
    pub const EVICTED: u16 = 1 << 9;
    /// `t`
    pub const STREAM: u16 = 1 << 10;
    /// `m`
    pub const KEY_MISS: u16 = 1 << 11;
    /// `n`
    pub const NEW: u16 = 1 << 14;
    /// `K`
    pub const KEYSPACE: u16 = 1 << 0;
    /// `E`
    pub const KEYEVENT: u16 = 1 << 1;
}

/// A named kind of change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event {
    pub class: u16,
    pub name: &'static str,
}

macro_rules! events {
    ($($constant:ident = $class:ident $name:literal;)*) => {
        impl Event { $(pub const $constant: Event = Event { class: Class::$class, name: $name };)* }
    };
}

events! {
    SET = STRING "set";
    SETRANGE = STRING "setrange";
    APPEND = STRING "append";
    INCRBY = STRING "incrby";
    INCRBYFLOAT = STRING "incrbyfloat";
    SETBIT = STRING "setbit";
    PFADD = STRING "pfadd";
    PFCOUNT = SILENT "pfcount";
    PFDEBUG = SILENT "pfdebug";
    DEL = GENERIC "del";
    EXPIRE = GENERIC "expire";
    PERSIST = GENERIC "persist";
    RENAME_FROM = GENERIC "rename_from";
    RENAME_TO = GENERIC "rename_to";
    MOVE_FROM = GENERIC "move_from";
    MOVE_TO = GENERIC "move_to";
    COPY_TO = GENERIC "copy_to";
    RESTORE = GENERIC "restore";
    EXPIRED = EXPIRED "expired";
    EVICTED = EVICTED "evicted";
    KEY_MISS = KEY_MISS "keymiss";
    NEW = NEW "new";
    SORTSTORE = LIST "sortstore";
    LPUSH = LIST "lpush";
    RPUSH = LIST "rpush";
    LPOP = LIST "lpop";
    RPOP = LIST "rpop";
    LINSERT = LIST "linsert";
    LSET = LIST "lset";
    LREM = LIST "lrem";
    LTRIM = LIST "ltrim";
    SADD = SET "sadd";
    SREM = SET "srem";
    SPOP = SET "spop";
    SINTERSTORE = SET "sinterstore";
    SUNIONSTORE = SET "sunionstore";
    SDIFFSTORE = SET "sdiffstore";
    HSET = HASH "hset";
    HDEL = HASH "hdel";
    HINCRBY = HASH "hincrby";
    HINCRBYFLOAT = HASH "hincrbyfloat";
    HEXPIRE = HASH "hexpire";
    HEXPIRED = HASH "hexpired";
    HPERSIST = HASH "hpersist";
    ZADD = ZSET "zadd";
    ZINCR = ZSET "zincr";
    ZREM = ZSET "zrem";
    ZREMRANGEBYSCORE = ZSET "zremrangebyscore";
    ZREMRANGEBYRANK = ZSET "zremrangebyrank";
    ZREMRANGEBYLEX = ZSET "zremrangebylex";
    ZPOPMIN = ZSET "zpopmin";
    ZPOPMAX = ZSET "zpopmax";
    ZRANGESTORE = ZSET "zrangestore";
    ZUNIONSTORE = ZSET "zunionstore";
    ZINTERSTORE = ZSET "zinterstore";
    ZDIFFSTORE = ZSET "zdiffstore";
    GEOSEARCHSTORE = ZSET "geosearchstore";
    GEORADIUSSTORE = ZSET "georadiusstore";
    XADD = STREAM "xadd";
    XDEL = STREAM "xdel";
    XTRIM = STREAM "xtrim";
    XSETID = STREAM "xsetid";
    XGROUP_CREATE = STREAM "xgroup-create";
    XGROUP_SETID = STREAM "xgroup-setid";
    XGROUP_DESTROY = STREAM "xgroup-destroy";
    XGROUP_CREATECONSUMER = STREAM "xgroup-createconsumer";
    XGROUP_DELCONSUMER = STREAM "xgroup-delconsumer";
}

/// Something that happened, for those who asked to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// The value or deadline of a key changed. `present` tells whether the key exists now.
    Modified { db: DbIndex, key: Box<[u8]>, event: Event, present: bool },
    /// An event without a change of its own: a miss, the name of a second aspect of a change.
    Noticed { db: DbIndex, key: Box<[u8]>, event: Event },
    /// A database lost all its keys.
    Flushed { db: DbIndex },
    /// Two databases changed places.
    Swapped { a: DbIndex, b: DbIndex },
}

/// Requests on their way to the write stream, each with its database.
pub type Propagated = Vec<(DbIndex, OwnedRequest)>;

/// The log of one execution unit, and what is worth logging.
#[derive(Default)]
pub struct Effects {
    /// Changes since the start; INFO's rdb_changes_since_last_save is a difference of these.
    pub dirty: u64,
    /// Classes that notifications are wanted for; 0 while notifications are off.
    pub notify: u16,
    /// Keys under WATCH.
    pub watched: Watched,
    /// Someone tracks or waits for keys.
    pub watch_modified: bool,
    /// Clients hold copies of keys.
    pub tracked: bool,
    /// The write stream has consumers.
    pub streaming: bool,
    /// FLUSHALL ran.
    pub all_flushed: bool,
    log: Vec<Effect>,
    rewritten: Vec<(DbIndex, OwnedRequest)>,
    before: Vec<(DbIndex, OwnedRequest)>,
    is_rewritten: bool,
}

impl Effects {
    /// Records a change of a key.
    #[inline]
    pub fn modified(&mut self, db: DbIndex, key: &[u8], event: Event, present: bool) {
        self.dirty += 1;
        self.modified_too(db, key, event, present);
    }

    /// Records a change of a key that is not counted: it belongs to a change that is, or everything stayed as it was.
    #[inline]
    pub fn modified_too(&mut self, db: DbIndex, key: &[u8], event: Event, present: bool) {
        if !self.watched.is_empty() {
            self.watched.touch(db, key, present);
        }
        if self.watch_modified || self.notify & event.class != 0 {
            self.log.push(Effect::Modified { db, key: key.into(), event, present });
        }
    }

    /// Records that a key went away by itself (expired, evicted): for listeners a change, but not one that a command made.
    pub fn went_away(&mut self, db: DbIndex, key: &[u8], event: Event) {
        self.changed_itself(db, key, event, false);
    }

    /// Records that a key changed by itself (fields of a hash expired) and whether it still exists: for listeners a change, but
    /// not one that a command made.
    pub fn changed_itself(&mut self, db: DbIndex, key: &[u8], event: Event, present: bool) {
        self.modified_too(db, key, event, present);
    }

    /// Counts more changes that belong to one event.
    pub fn more(&mut self, changes: u64) {
        self.dirty += changes;
    }

    /// Records an event that changes nothing by itself.
    #[inline]
    pub fn noticed(&mut self, db: DbIndex, key: &[u8], event: Event) {
        if self.notify & event.class != 0 {
            self.log.push(Effect::Noticed { db, key: key.into(), event });
        }
    }

    /// Records that a database was emptied of `keys` keys.
    pub fn flushed(&mut self, db: DbIndex, keys: u64) {
        self.dirty += keys;
        self.log.push(Effect::Flushed { db });
    }

    /// Records that two databases changed places.
    pub fn swapped(&mut self, a: DbIndex, b: DbIndex) {
        self.dirty += 1;
        self.log.push(Effect::Swapped { a, b });
    }

    /// Propagates this request instead of the one received. May be called several times; all are kept in order.
    pub fn propagate_as(&mut self, db: DbIndex, request: impl FnOnce() -> OwnedRequest) {
        self.is_rewritten = true;
        if self.streaming {
            self.rewritten.push((db, request()));
        }
    }

    /// Propagates nothing for the request received.
    pub fn propagate_nothing(&mut self) {
        self.is_rewritten = true;
    }

    /// Propagates a request before that of the command that runs (a key found expired becomes DEL first).
    pub fn propagate_before(&mut self, db: DbIndex, request: impl FnOnce() -> OwnedRequest) {
        if self.streaming {
            self.before.push((db, request()));
        }
    }

    /// True if the request received is not what propagates.
    pub fn is_rewritten(&self) -> bool {
        self.is_rewritten
    }

    /// True if there is anything to publish beyond the count.
    #[inline]
    pub fn is_quiet(&self) -> bool {
        self.log.is_empty() && !self.is_rewritten && self.before.is_empty()
    }

    /// Takes the requests to propagate: those before the command's own, and those instead of it.
    pub fn take_propagation(&mut self) -> (Propagated, Propagated) {
        self.is_rewritten = false;
        (std::mem::take(&mut self.before), std::mem::take(&mut self.rewritten))
    }

    /// Takes the log.
    pub fn take_log(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.log)
    }
}
