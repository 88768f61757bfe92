//! Something that many clients are told: encoded at most once for each protocol, however many clients get it.

use super::Session;
use crate::resp::reply::{Output, ReplyWriter};

/// A message and its encodings so far.
pub struct Message<'a> {
    write: &'a dyn Fn(&mut ReplyWriter<'_>),
    pub audience: Audience,
    encoded: [Option<Output>; 2],
}

/// Who can be told something that no request asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Audience {
    Everybody,
    /// Those who know pushes.
    Resp3,
    /// Those who know pushes, and subscribers, who know messages.
    Resp3OrSubscribers,
}

impl Audience {
    /// True if this client can be told.
    #[inline]
    pub fn includes(self, session: &Session) -> bool {
        match self {
            Audience::Everybody => true,
            Audience::Resp3 => session.resp3,
            Audience::Resp3OrSubscribers => session.resp3 || session.subscriptions.is_some(),
        }
    }
}

impl<'a> Message<'a> {
    /// A message that `write` writes.
    pub fn new(write: &'a dyn Fn(&mut ReplyWriter<'_>)) -> Self {
        Message::to(Audience::Everybody, write)
    }

    /// A message for some only.
    pub fn to(audience: Audience, write: &'a dyn Fn(&mut ReplyWriter<'_>)) -> Self {
        Message { write, audience, encoded: [None, None] }
    }

    /// The message in RESP3 or in RESP2.
    pub fn encoded(&mut self, resp3: bool) -> &Output {
        let write = self.write;
        self.encoded[resp3 as usize].get_or_insert_with(|| encode(write, resp3))
    }

    /// Both encodings, for a client whose protocol is not known yet.
    pub fn both(&mut self) -> [Output; 2] {
        [false, true].map(|resp3| encode(self.write, resp3))
    }
}

fn encode(write: &dyn Fn(&mut ReplyWriter<'_>), resp3: bool) -> Output {
    let mut out = Output::default();
    write(&mut ReplyWriter::new(&mut out, resp3));
    out
}
