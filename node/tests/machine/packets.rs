//! Users' packets in their shard: only what the user signed is believed, only what is newer counts, and who left stays
//! away.

use crate::machine_fixture;

use bytes::Bytes;
use machine_fixture::packet::*;
use machine_fixture::*;
use proptest::prelude::*;
use rowhouse_node::read;
use rowhouse_node::state::tables;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{GetPacket, ListLeft};
use rowhouse_proto::wire::state::{PacketPass, Shard, UserPacket};

const USER: u8 = 1;

struct Run {
    replica: Replica,
    number: u64,
}

impl Run {
    /// A shard with one user.
    fn new() -> Self {
        let mut run = Self { replica: Replica::default(), number: 0 };
        assert_eq!(run.apply(create_user(USER, auth_token(0, 0), 1)), None);
        run
    }

    fn apply(&mut self, body: rowhouse_proto::wire::command::command::Body) -> Option<ErrorCode> {
        self.number += 1;
        self.replica.refusal(&command(self.number, self.number, body))
    }

    fn see(&mut self, us: u64, homeserver: Option<[u8; 32]>) {
        assert_eq!(self.apply(note(USER, signed(USER, us, homeserver))), None);
    }

    fn row(&self) -> UserPacket {
        self.replica.row(&tables::user_packet(&key_bytes(USER))).unwrap_or_default()
    }

    /// Kept and left users, as the shard counts them.
    fn counted(&self) -> (u64, u64) {
        let shard: Shard = self.replica.row(&[tables::SHARD]).expect("a shard");
        (shard.kept_packets, shard.left_users)
    }
}

#[test]
fn a_packet_is_kept_while_it_points_here_and_dropped_when_a_newer_one_does_not() {
    let mut run = Run::new();
    run.see(5, Some(homeserver()));
    assert_eq!((run.row().packet, run.row().newest_us), (signed(USER, 5, Some(homeserver())), 5));
    assert_eq!(run.counted(), (1, 0));
    run.see(7, Some(key_bytes(50)));
    let row = run.row();
    assert_eq!((row.packet.len(), row.newest_us), (0, 7));
    assert_eq!(row.left.expect("left").homeserver, key_of(50));
    assert_eq!(run.counted(), (0, 1));
    // Old packets are still about.
    for us in [4, 5, 6, 7] {
        run.see(us, Some(homeserver()));
        assert_eq!((run.row().packet.len(), run.counted()), (0, (0, 1)), "{us}");
    }
    run.see(8, Some(homeserver()));
    assert_eq!((run.row().left, run.counted()), (None, (1, 0)), "the user is back");
    run.see(9, None);
    assert_eq!(run.row().left.expect("it names nobody").homeserver.len(), 0);
}

#[test]
fn what_the_user_did_not_sign_is_refused_whoever_proposes_it() {
    let mut run = Run::new();
    let good = signed(USER, 5, Some(homeserver()));
    let mut forged = good.to_vec();
    forged[100] ^= 1;
    let of_another = signed(2, 5, Some(homeserver()));
    for packet in [Bytes::new(), forged.into(), of_another, good.slice(..50)] {
        assert_eq!(run.apply(note(USER, packet)), Some(ErrorCode::Internal));
    }
    assert_eq!(run.apply(note(2, signed(2, 5, Some(homeserver())))), Some(ErrorCode::NotFound), "no user");
    assert_eq!(run.row(), UserPacket::default());
}

#[test]
fn operators_see_who_left_page_by_page() {
    let mut run = Run::new();
    for user in 2..=6 {
        assert_eq!(run.apply(create_user(user, auth_token(0, u64::from(user)), user)), None);
        let packet = signed(user, 5, Some(key_bytes(if user == 6 { 99 } else { 50 })));
        assert_eq!(run.apply(note(user, packet)), None);
    }
    let (mut found, mut after) = (Vec::new(), Bytes::new());
    loop {
        let page = read::list_left(&run.replica.view(), &ListLeft { after, limit: 3 }).expect("readable");
        found.extend(page.users.iter().map(|left| left.user.clone()));
        if page.users.len() < 3 {
            break;
        }
        after = found.last().cloned().unwrap_or_default();
    }
    let mut left: Vec<Bytes> = (2..=5).map(key_of).collect();
    left.sort();
    assert_eq!(found, left);
    let of = |user| read::get_packet(&run.replica.view(), &GetPacket { tenant: key_of(user) });
    assert_eq!(of(2).expect("a user").left.expect("left").signed_us, 5);
    assert!(!of(6).expect("a user").packet.is_empty());
    assert_eq!(of(USER).expect("a user").newest_us, 0);
    assert!(of(7).is_err());
}

#[test]
fn the_pass_is_remembered() {
    let mut run = Run::new();
    assert_eq!(run.apply(mark(77, Some(3), false)), None);
    let row: PacketPass = run.replica.row(&[tables::PACKET_PASS]).expect("marked");
    assert_eq!((row.began_ms, row.after, row.ended), (77, key_of(3), false));
}

proptest! {
    /// In whatever order packets are seen, and seen again, the newest one decides.
    #[test]
    fn the_newest_packet_decides_in_every_order(seen in prop::collection::vec((1u64..12, 0u8..3), 1..40)) {
        let mut run = Run::new();
        let mut newest = (0, 0);
        for (us, to) in seen {
            let target = [Some(homeserver()), Some(key_bytes(50)), None][usize::from(to)];
            run.see(us, target);
            if us > newest.0 {
                newest = (us, to);
            }
            let row = run.row();
            prop_assert_eq!(row.newest_us, newest.0);
            prop_assert_eq!(row.left.is_none(), newest.1 == 0);
            prop_assert_eq!(!row.packet.is_empty(), newest.1 == 0);
            prop_assert_eq!(run.counted(), if newest.1 == 0 { (1, 0) } else { (0, 1) });
        }
    }
}
