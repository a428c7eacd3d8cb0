//! Notices against a real store.
