//! Whole nodes over loopback, with real stores: initialization, requests, losses, restarts.

mod cluster {
    mod accounts;
    mod balance;
    mod certificates;
    mod client;
    mod dht;
    mod feed;
    mod founding;
    mod harness;
    mod identity;
    mod limits;
    mod losses;
    mod moves;
    mod mtls;
    mod objects;
    mod packet;
    mod packet_kills;
    mod refusals;
    mod relays;
    mod settings;
    mod signup;
    mod time;
    mod user_packets;
    mod versions;
}
