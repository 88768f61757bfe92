//! One node of a quicklist: a listpack, by itself, with room around it or held compressed, or a single large element.

use crate::ds::parts::element::Element;
use crate::ds::parts::listpack::{Listpack, Roomy, View};
use crate::raw::relocate::{Relocate, Tally};
use crate::raw::thin::{HEADER_LEN, ThinBytes};

/// Listpacks below this size in bytes are not worth compressing.
const PACK_BYTES_MIN: usize = 48;

/// Fewest bytes compression has to save.
const PACK_GAIN_MIN: usize = 8;

/// How inner nodes are compressed. Both functions are pure, and the second undoes the first.
#[derive(Clone, Copy, Debug)]
pub struct Codec {
    /// The compressed bytes; `None` when they would not be shorter.
    pub compress: fn(&[u8]) -> Option<Vec<u8>>,
    /// The plain bytes, given how many they are; `None` when the input is not what `compress` made.
    pub expand: fn(&[u8], usize) -> Option<Vec<u8>>,
}

/// What a node holds, for saving and for reports.
#[derive(Clone, Copy, Debug)]
pub enum NodeView<'a> {
    /// A listpack of `count` elements.
    Pack { pack: View<'a>, count: usize },
    /// One large element.
    Plain(&'a [u8]),
    /// A compressed listpack of `count` elements and `plain_len` bytes.
    Packed { data: &'a [u8], plain_len: usize, count: usize },
}

impl NodeView<'_> {
    /// Size of the listpack or text, uncompressed.
    pub fn plain_bytes(&self) -> usize {
        match self {
            NodeView::Pack { pack, .. } => pack.as_bytes().len(),
            NodeView::Plain(text) => text.len(),
            NodeView::Packed { plain_len, .. } => *plain_len,
        }
    }
}

/// Two words wide, because a long list has many.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Pack(Listpack),
    /// The first node, once elements came or went at its front.
    Roomy(Box<Roomy>),
    /// The text, behind the buffer's own header.
    Plain(ThinBytes),
    Packed(Box<Packed>),
}

const _: () = assert!(size_of::<Node>() == 16);

#[derive(Clone, Debug)]
pub(super) struct Packed {
    /// The one that made it: the list's limits may name another by now.
    codec: Codec,
    plain_len: usize,
    data: Box<[u8]>,
}

impl Relocate for Node {
    fn relocate(&mut self, tally: &mut Tally) {
        match self {
            Node::Pack(pack) => pack.relocate(tally),
            Node::Plain(thin) => thin.relocate(tally),
            // Made anew whenever their list is edited there, or soon by pushes and pops.
            Node::Roomy(_) | Node::Packed(_) => {}
        }
    }
}

impl Node {
    pub(super) fn plain(element: Element<'_>) -> Node {
        let mut thin = ThinBytes::new(HEADER_LEN).expect("short");
        element.with_text(|text| thin.append(text)).expect("callers check the text's length");
        Node::Plain(thin)
    }

    /// Lends the element at an index to `f`.
    pub(super) fn with<R, F: FnOnce(Element<'_>) -> R>(&self, offset: usize, f: F) -> Option<R> {
        let index = i64::try_from(offset).ok()?;
        let in_pack = |pack: View<'_>, f: F| Some(f(pack.get(pack.seek(index)?)));
        match self {
            Node::Pack(pack) => in_pack(pack.view(), f),
            Node::Roomy(roomy) => in_pack(roomy.view(), f),
            Node::Packed(packed) => in_pack(packed.expand().view(), f),
            Node::Plain(thin) => (offset == 0).then(|| f(plain_element(thin))),
        }
    }

    /// Index of the first element equal to a canonical needle.
    pub(super) fn find(&self, needle: Element<'_>) -> Option<usize> {
        let in_pack = |pack: View<'_>| pack.iter().position(|element| element.matches(needle));
        match self {
            Node::Pack(pack) => in_pack(pack.view()),
            Node::Roomy(roomy) => in_pack(roomy.view()),
            Node::Packed(packed) => in_pack(packed.expand().view()),
            Node::Plain(thin) => plain_element(thin).matches(needle).then_some(0),
        }
    }

    /// Size of the listpack or text, uncompressed.
    pub(super) fn plain_bytes(&self) -> usize {
        match self {
            Node::Pack(pack) => pack.bytes(),
            Node::Roomy(roomy) => roomy.view().as_bytes().len(),
            Node::Plain(thin) => thin.len() - HEADER_LEN,
            Node::Packed(packed) => packed.plain_len,
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Node::Pack(pack) => pack.memory_bytes(),
            Node::Roomy(roomy) => size_of::<Roomy>() + roomy.memory_bytes(),
            Node::Plain(thin) => thin.memory_bytes(),
            Node::Packed(packed) => size_of::<Packed>() + packed.data.len(),
        }
    }

    pub(super) fn view(&self, count: usize) -> NodeView<'_> {
        match self {
            Node::Pack(pack) => NodeView::Pack { pack: pack.view(), count },
            Node::Roomy(roomy) => NodeView::Pack { pack: roomy.view(), count },
            Node::Plain(thin) => NodeView::Plain(&thin.as_slice()[HEADER_LEN..]),
            Node::Packed(packed) => NodeView::Packed { data: &packed.data, plain_len: packed.plain_len, count },
        }
    }

    /// A listpack of `count` elements, less than [`Roomy::LEN_MAX`], with room around it. `None` for a node of another kind.
    #[inline]
    pub(super) fn make_roomy(&mut self, count: usize) -> Option<&mut Roomy> {
        if let Node::Pack(pack) = self {
            *self = Node::Roomy(Box::new(Roomy::new(pack, count)));
        }
        self.as_roomy()
    }

    /// The listpack with room around it, if it is one.
    #[inline]
    pub(super) fn as_roomy(&mut self) -> Option<&mut Roomy> {
        if let Node::Roomy(roomy) = self { Some(roomy) } else { None }
    }

    /// Gives up the room around a listpack.
    pub(super) fn tighten(&mut self) {
        if let Node::Roomy(roomy) = self {
            *self = Node::Pack(roomy.to_listpack());
        }
    }

    /// Compresses a listpack if that pays.
    pub(super) fn pack(&mut self, codec: Codec) {
        self.tighten();
        let Node::Pack(pack) = self else { return };
        let plain_len = pack.bytes();
        if plain_len < PACK_BYTES_MIN {
            return;
        }
        let data = (codec.compress)(pack.as_bytes());
        if let Some(data) = data.filter(|data| data.len() + PACK_GAIN_MIN < plain_len) {
            *self = Node::Packed(Box::new(Packed { codec, plain_len, data: data.into_boxed_slice() }));
        }
    }

    /// Makes a listpack of what is not a single large element; returns whether it was compressed.
    pub(super) fn unpack(&mut self) -> bool {
        self.tighten();
        let Node::Packed(packed) = self else {
            return false;
        };
        *self = Node::Pack(packed.expand());
        true
    }
}

impl Packed {
    pub(super) fn expand(&self) -> Listpack {
        let plain = (self.codec.expand)(&self.data, self.plain_len).filter(|plain| plain.len() == self.plain_len);
        let plain = plain.expect("expands what the same codec compressed");
        Listpack::from_thin(ThinBytes::from_slice(&plain).expect("as long as before"))
    }
}

pub(super) fn plain_element(thin: &ThinBytes) -> Element<'_> {
    Element::Str(&thin.as_slice()[HEADER_LEN..])
}
