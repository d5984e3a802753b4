//! The wire of rankmill.
//!
//! `.proto` files stand in `proto/`; generated code is private and re-exported as [`pb`]. The
//! conversions to the nouns of `rankmill-common` are in [`convert`], the mapping between error
//! kinds and gRPC status in [`status`]. [`Coordinators`] finds the one that leads.

// Closed enums are matched without a catch-all, so that the compiler walks whoever adds a variant
// through the house.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod convert;
mod coordinators;
pub mod status;

pub use coordinators::{Coordinators, Tried};

mod generated {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::all,
        clippy::pedantic,
        clippy::restriction
    )]
    tonic::include_proto!("rankmill.v1");
}

/// Messages, clients and servers of package `rankmill.v1`.
pub mod pb {
    pub use crate::generated::*;
}

/// The largest control message: descriptors of a stage's inputs, never matrix data.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;
