//! segment_rm.
