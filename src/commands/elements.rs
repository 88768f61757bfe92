//! Elements of collections as replies, alone and in a row.

use crate::ds::parts::element::{Element, Visit};
use crate::resp::bulks::Bulks;
use crate::resp::reply::ReplyWriter;

/// Answers an element as a bulk string.
#[inline]
pub fn bulk(reply: &mut ReplyWriter<'_>, element: Element<'_>) {
    match element {
        Element::Int(n) => reply.bulk_integer(n),
        Element::Str(text) => reply.bulk(text),
    }
}

/// Answers elements as bulk strings in a row; the last of them leave when it is dropped. HGETALL of fifty fields takes a tenth
/// less by it and ZRANGE a sixth, while SMEMBERS of a large set and SUNION, which wait for memory, took a tenth more.
pub struct Row<'w, 'a>(Bulks<'w, 'a>);

impl<'w, 'a> Row<'w, 'a> {
    /// None so far.
    #[inline]
    pub fn new(reply: &'w mut ReplyWriter<'a>) -> Self {
        Row(Bulks::new(reply))
    }

    /// One bulk string more.
    #[inline(always)]
    pub fn push(&mut self, element: Element<'_>) {
        match element {
            Element::Int(n) => self.0.push_integer(n),
            Element::Str(text) => self.0.push(text),
        }
    }
}

impl Visit for Row<'_, '_> {
    #[inline(always)]
    fn element(&mut self, element: Element<'_>) {
        self.push(element);
    }

    #[inline(always)]
    fn texts<'t, const N: usize>(&mut self, next: impl FnMut() -> Option<(&'t [u8; N], usize)>) {
        self.0.push_padded(next);
    }
}
