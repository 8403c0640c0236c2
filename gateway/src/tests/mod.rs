//! The gateway from outside: raw HTTP against a running one, whose nodes answer by script.

mod account;
mod admin;
mod admin_audit;
mod admin_tokens;
mod admin_users;
mod bandwidth;
mod dav;
mod dav_changes;
mod feed_admin;
mod feed_global;
mod feed_live;
mod feed_pages;
mod feed_users;
mod fuzz;
mod limits;
mod locks;
mod mtls;
mod object_read;
mod object_write;
mod rate_limits;
mod read;
mod retries;
mod routes;
mod transport;
mod websites;
mod write;
