//! WebDAV for the operator: `/dav` on the admin listener shows all users and their files, private ones too
//! (docs/webdav.md).
//!
//! Reads, writes and moves go through the same functions as those of clients, so that a file has one way in and one way
//! out. Locks and dead properties are `dav-server`'s, which fakes both: LOCK succeeds and nothing is locked. Listings
//! are written here, because they must be whole, streamed, and right for every legal name.

mod delete;
mod destination;
mod headers;
mod locking;
mod make;
mod member;
mod multistatus;
mod options;
mod pages;
mod place;
mod properties;
mod propfind;
mod relocate;
mod request;
mod transfer;
mod xml_body;

#[cfg(fuzzing)]
pub use multistatus::document;
#[cfg(fuzzing)]
pub use place::Place;
#[cfg(fuzzing)]
pub use properties::{Resource, Wanted};
pub use request::router;
#[cfg(fuzzing)]
pub use xml_body::elements;
