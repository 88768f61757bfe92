//! The one home of unsafe memory layouts. Imports nothing from the rest of the crate.
#![allow(unsafe_code)]

pub mod simd;
