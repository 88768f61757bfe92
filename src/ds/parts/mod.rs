//! Building blocks of the typed values.
