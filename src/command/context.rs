//! What a handler sees. The type states its reach: `KeysCtx` a selected database, `SessionCtx` this client as well,
//! `ServerCtx` the whole world. None of them shows the engine; what only the engine can do is returned as an `Order`.

use super::args::Args;
use super::spec::CommandSpec;
use crate::keyspace::effects::Event;
use crate::keyspace::{Entry, Handle, Keyspace};
use crate::raw::table::Ref;
use crate::resp::reply::ReplyWriter;
use crate::resp::request::OwnedRequest;
use crate::session::Session;
use crate::types::{DbIndex, UnixMillis};
use crate::world::World;

/// For commands on keys.
pub struct KeysCtx<'a> {
    pub args: Args<'a>,
    pub reply: ReplyWriter<'a>,
    pub db: Selected<'a>,
    /// The row of the command that runs: one handler may serve several.
    pub spec: &'static CommandSpec,
    /// Set by a handler that returns `Flow::Block`.
    pub block: &'a mut Option<BlockOn>,
    /// Inside MULTI or a script nobody waits: a blocking command answers as its timeout would.
    pub may_block: bool,
    pub rights: Rights,
}

/// Rights of the client's user that no guard before the command can judge.
#[derive(Clone, Copy)]
pub struct Rights {
    /// May read all keys: asked for by commands that read keys which they find in other keys.
    pub reads_every_key: bool,
    /// Sends only payloads for RESTORE that a server made (`skip-sanitize-payload`).
    pub trusted_payloads: bool,
}

impl Rights {
    /// Those of the server itself, and of users who may do everything.
    pub const ALL: Rights = Rights { reads_every_key: true, trusted_payloads: false };
}

/// What a blocked client waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockOn {
    /// Argument positions of the keys.
    pub keys: Vec<usize>,
    /// When to give up; `None` never.
    pub deadline: Option<UnixMillis>,
    /// What runs when a key is ready, if not the request as it came: one that says what "from now on" was at the first try.
    /// Its keys are where they were.
    pub again: Option<OwnedRequest>,
    /// The wait also ends when a key goes away.
    pub or_gone: bool,
    /// The command is done and waits for no key, but until this much garbage is freed (see `LazyFree::ticket`): then it
    /// answers OK.
    pub freed: Option<u64>,
}

/// The keyspace seen from one selected database.
pub struct Selected<'a> {
    pub keyspace: &'a mut Keyspace,
    pub index: DbIndex,
}

impl Selected<'_> {
    /// Finds a key for reading.
    #[inline]
    pub fn read(&mut self, key: &[u8]) -> Option<Ref<'_, Entry>> {
        self.keyspace.read(self.index, key)
    }

    /// Finds a key without counting or touching anything.
    pub fn peek(&mut self, key: &[u8]) -> Option<Ref<'_, Entry>> {
        self.keyspace.peek(self.index, key)
    }

    /// Finds a key for changing it.
    #[inline]
    pub fn entry<'b>(&'b mut self, key: &'b [u8]) -> Handle<'b> {
        self.keyspace.entry(self.index, key)
    }

    /// Removes a key as DEL does.
    pub fn delete(&mut self, key: &[u8], event: Event) -> bool {
        let lazily = self.keyspace.env.settings.lazyfree_server_del;
        self.keyspace.delete(self.index, key, lazily, event)
    }

    /// Now, by the clock that all commands of this batch share.
    #[inline]
    pub fn now(&self) -> UnixMillis {
        self.keyspace.env.now()
    }

    /// The time by which deadlines are judged.
    #[inline]
    pub fn expiry_now(&self) -> UnixMillis {
        self.keyspace.env.expiry_now()
    }

    /// Propagates this request instead of the one received.
    pub fn propagate_as<'b>(&mut self, request: impl IntoIterator<Item = &'b [u8]>) {
        let index = self.index;
        self.keyspace.env.effects.propagate_as(index, || OwnedRequest::build(request));
    }
}

/// For commands about the client that sends them.
pub struct SessionCtx<'a> {
    pub args: Args<'a>,
    pub reply: ReplyWriter<'a>,
    pub session: &'a mut Session,
    pub world: &'a mut World,
    pub spec: &'static CommandSpec,
    /// As in `KeysCtx`.
    pub may_block: bool,
}

/// For commands about the server.
pub struct ServerCtx<'a> {
    pub args: Args<'a>,
    pub reply: ReplyWriter<'a>,
    pub session: &'a mut Session,
    pub world: &'a mut World,
    pub spec: &'static CommandSpec,
}
