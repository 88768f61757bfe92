//! Building blocks of the typed values.
pub mod corrupt;
pub mod element;
pub mod intset;
pub mod listpack;
pub mod quicklist;
