//! Algorithms on bytes and numbers.
