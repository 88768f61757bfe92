//! Lists: one listpack while small, a quicklist when large.
//!
//! When a list changes its encoding is part of what clients see (OBJECT ENCODING, and what is saved), so the two moments are
//! those of the original: a listpack gives way *before* elements are added whose text would take it past the limit, even if
//! they are then not added; a quicklist goes back only when, after a removal, one node below half of the limit is left, so
//! that a list that swings about the limit is not rebuilt every time.

mod codec;
#[cfg(test)]
mod tests;

use super::object::{Big, Limits, Object, Typed, ValueType, thin};
use super::parts::element::{Each, Element, Visit};
use super::parts::listpack::{Direction, Listpack};
use super::parts::quicklist::{self, Quicklist};
use crate::raw::entry::{FromValue, Value};

/// A list in either encoding.
pub enum List {
    Packed(Listpack),
    Quick(Big<Quicklist>),
}

/// One of the two ends of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Front,
    Back,
}

#[expect(clippy::len_without_is_empty, reason = "it has one, from Typed")]
impl List {
    /// A list in the encoding that becomes a long one, to be filled and then given to [`List::pack`].
    pub fn long(limits: &Limits) -> List {
        List::Quick(Big::new(Quicklist::new(quick_limits(limits))))
    }

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            List::Packed(pack) => pack.len(),
            List::Quick(quick) => quick.len(),
        }
    }

    /// Readies the list for `count` more elements with `bytes` of text: a listpack that would get too large becomes a
    /// quicklist. To be called once before each command's additions.
    #[inline]
    pub fn grow(&mut self, bytes: usize, count: usize, limits: &Limits) {
        match self {
            List::Quick(quick) => quick.set_large_min(large_min(limits)),
            List::Packed(pack) => {
                let within = match size_limit(limits) {
                    Some(most) => pack.bytes().saturating_add(bytes) <= most,
                    None => {
                        pack.bytes().saturating_add(bytes) <= COUNTED_BYTES_MAX
                            && (pack.len() + count) as u64 <= count_limit(limits)
                    }
                };
                if !within {
                    let pack = std::mem::take(pack);
                    *self = List::Quick(Big::new(Quicklist::from_listpack(pack, quick_limits(limits))));
                }
            }
        }
    }

    /// Makes a quicklist of one small node a listpack. To be called after each command's removals.
    #[inline]
    pub fn shrink(&mut self, limits: &Limits) {
        if matches!(self, List::Quick(_)) {
            self.pack_below(limits, 2);
        }
    }

    /// Makes a list that was built as a long one a listpack if it is within the limits.
    pub fn pack(&mut self, limits: &Limits) {
        self.pack_below(limits, 1);
    }

    fn pack_below(&mut self, limits: &Limits, divisor: usize) {
        let List::Quick(quick) = self else { return };
        let Some(bytes) = quick.single_listpack_bytes() else { return };
        let fits = match size_limit(limits) {
            Some(most) => bytes <= most / divisor,
            None => quick.len() as u64 <= count_limit(limits) / divisor as u64,
        };
        if fits && let Some(pack) = quick.take_single_listpack() {
            *self = List::Packed(pack);
        }
    }

    /// Adds an element at an end.
    #[inline]
    pub fn push(&mut self, end: End, element: Element<'_>) {
        match (self, end) {
            (List::Packed(pack), End::Front) => {
                pack.push_front(element);
            }
            (List::Packed(pack), End::Back) => {
                pack.push_back(element);
            }
            (List::Quick(quick), End::Front) => quick.push_front(element),
            (List::Quick(quick), End::Back) => quick.push_back(element),
        }
    }

    /// Takes the element at an end away, after `f` has seen it.
    #[inline]
    pub fn pop<R>(&mut self, end: End, f: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        match (self, end) {
            (List::Packed(pack), _) => {
                let pos = if end == End::Front { pack.first() } else { pack.last() }?;
                let result = f(pack.get(pos));
                pack.delete(pos);
                Some(result)
            }
            (List::Quick(quick), End::Front) => quick.pop_front(f),
            (List::Quick(quick), End::Back) => quick.pop_back(f),
        }
    }

    /// Lends the element at an index (negative: from the end) to `f`.
    pub fn get<R>(&self, index: i64, f: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        match self {
            List::Packed(pack) => Some(f(pack.get(pack.seek(index)?))),
            List::Quick(quick) => quick.get(index, f),
        }
    }

    /// Replaces the element at an index (negative: from the end); false if there is none.
    pub fn set(&mut self, index: i64, element: Element<'_>) -> bool {
        match self {
            List::Packed(pack) => pack.seek(index).map(|pos| pack.replace(pos, element)).is_some(),
            List::Quick(quick) => quick.set(index, element),
        }
    }

    /// Inserts before or after the first element equal to `pivot`; false if there is none.
    pub fn insert_beside(&mut self, pivot: Element<'_>, after: bool, element: Element<'_>) -> bool {
        match self {
            List::Packed(pack) => {
                let Some(pos) = pack.find(pivot, 0) else { return false };
                if after {
                    pack.insert_after(pos, element);
                } else {
                    pack.insert_before(pos, element);
                }
                true
            }
            List::Quick(quick) => quick.insert_at_pivot(pivot, after, element),
        }
    }

    /// Removes elements equal to `value`: the first `count`, the last `-count`, or all when 0. Returns how many.
    pub fn remove(&mut self, value: Element<'_>, count: i64) -> usize {
        match self {
            List::Packed(pack) => {
                let direction = if count < 0 { Direction::Backward } else { Direction::Forward };
                let limit = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
                pack.remove_value(value, limit, direction)
            }
            List::Quick(quick) => quick.remove_value(value, count),
        }
    }

    /// Removes up to `count` elements from an end.
    pub fn cut(&mut self, end: End, count: usize) {
        match self {
            List::Packed(pack) => {
                let start = if end == End::Front { 0 } else { pack.len().saturating_sub(count) };
                pack.delete_range(start as i64, count);
            }
            List::Quick(quick) => {
                let start = if end == End::Front { 0 } else { quick.len().saturating_sub(count) };
                quick.delete_range(start, count);
            }
        }
    }

    /// Lends up to `count` elements to `f`, from an index towards the back.
    #[inline]
    pub fn for_range(&self, start: usize, count: usize, f: impl FnMut(Element<'_>)) {
        self.visit_range(start, count, &mut Each(f));
    }

    /// As above, where short texts may be taken in another way.
    #[inline]
    pub fn visit_range(&self, start: usize, count: usize, visit: &mut impl Visit) {
        match self {
            List::Packed(pack) => {
                if let Some(pos) = pack.seek(start as i64) {
                    pack.visit(pos, count, visit);
                }
            }
            List::Quick(quick) => quick.visit_range(start, count, visit),
        }
    }

    /// Lends up to `count` elements to `f`, from an index towards the front.
    pub fn for_range_back(&self, start: usize, count: usize, mut f: impl FnMut(Element<'_>)) {
        match self {
            List::Packed(pack) => {
                let mut next = pack.seek(start as i64);
                for _ in 0..count {
                    let Some(pos) = next else { return };
                    f(pack.get(pos));
                    next = pack.prev(pos);
                }
            }
            List::Quick(quick) => {
                let mut cursor = quick.cursor(start as i64, Direction::Backward);
                for _ in 0..count {
                    let Some(element) = cursor.next_element() else { return };
                    f(element);
                }
            }
        }
    }

    /// Calls `f` with the indices of elements equal to `value`, from `end` on, after leaving out the first `skip` of them
    /// and looking at no more than `compare_max` elements, until `f` returns false.
    pub fn positions(&self, value: Element<'_>, end: End, mut skip: usize, compare_max: usize, mut f: impl FnMut(usize) -> bool) {
        let direction = if end == End::Front { Direction::Forward } else { Direction::Backward };
        let pack = match self {
            List::Packed(pack) => pack,
            List::Quick(quick) => return quick.positions(value, direction, skip, compare_max, f),
        };
        let value = value.canonical();
        let mut see = |index: usize, element: Element<'_>| {
            if !element.matches(value) {
                return true;
            }
            if skip > 0 {
                skip -= 1;
                return true;
            }
            f(index)
        };
        let len = pack.len();
        let compared = compare_max.min(len);
        match end {
            End::Front => pack.iter().take(compared).enumerate().all(|(i, element)| see(i, element)),
            End::Back => pack.iter().rev().take(compared).enumerate().all(|(i, element)| see(len - 1 - i, element)),
        };
    }
}

/// Most bytes of a listpack whose limit is a number of elements.
const COUNTED_BYTES_MAX: usize = 8192;

/// Most bytes of a listpack, if the limit is one of bytes.
#[inline]
fn size_limit(limits: &Limits) -> Option<usize> {
    match limits.list_fill {
        0.. => None,
        -1 => Some(4 << 10),
        -2 => Some(8 << 10),
        -3 => Some(16 << 10),
        -4 => Some(32 << 10),
        _ => Some(64 << 10),
    }
}

/// Most elements of a listpack, if the limit is a number of elements.
fn count_limit(limits: &Limits) -> u64 {
    limits.list_fill.max(1) as u64
}

fn large_min(limits: &Limits) -> Option<usize> {
    (limits.list_packed_threshold > 0).then_some(limits.list_packed_threshold)
}

/// The limits of a new quicklist. It keeps them in fields of 16 bits in the original, which saturate.
fn quick_limits(limits: &Limits) -> quicklist::Limits {
    quicklist::Limits {
        fill: limits.list_fill.clamp(-5, i64::from(i16::MAX)) as i32,
        compress_depth: limits.list_compress_depth.min(usize::from(u16::MAX)),
        codec: Some(codec::LZF),
        large_min: large_min(limits),
    }
}

impl FromValue<Object> for List {
    fn from_value(value: Value<Object>) -> Result<Self, Value<Object>> {
        match value {
            Value::Thin(thin::LIST, bytes) => Ok(List::Packed(Listpack::from_thin(bytes))),
            Value::Boxed(kind, object) => Big::from_box(object).map(List::Quick).map_err(|o| Value::Boxed(kind, o)),
            other => Err(other),
        }
    }
}

impl Typed for List {
    const TYPE: ValueType = ValueType::List;

    fn empty(_: &Limits) -> Self {
        List::Packed(Listpack::new())
    }

    fn is_empty(&self) -> bool {
        match self {
            List::Packed(pack) => pack.is_empty(),
            List::Quick(quick) => quick.is_empty(),
        }
    }

    fn into_value(self) -> Value<Object> {
        match self {
            List::Packed(pack) => Value::Thin(thin::LIST, pack.into_thin()),
            List::Quick(quick) => quick.into_value(),
        }
    }

    fn duplicate(&self) -> Self {
        match self {
            List::Packed(pack) => List::Packed(pack.clone()),
            List::Quick(quick) => List::Quick(Big::new((**quick).clone())),
        }
    }

    fn encoding(&self) -> &'static str {
        match self {
            List::Packed(_) => "listpack",
            List::Quick(_) => "quicklist",
        }
    }

    fn memory_bytes(&self, _samples: usize) -> usize {
        match self {
            List::Packed(pack) => pack.memory_bytes(),
            List::Quick(quick) => quick.memory_bytes(),
        }
    }

    fn free_effort(&self) -> usize {
        match self {
            List::Packed(_) => 1,
            List::Quick(quick) => quick.node_count(),
        }
    }
}
