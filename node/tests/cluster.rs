//! Whole nodes over loopback, with real stores: initialization, requests, losses, restarts.

mod cluster {
    mod balance;
    mod client;
    mod founding;
    mod harness;
    mod identity;
    mod losses;
    mod packet;
    mod refusals;
}
