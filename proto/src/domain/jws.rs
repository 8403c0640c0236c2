//! Verification of grants and proofs of possession.
