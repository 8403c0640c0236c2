//! A signup's steps over two groups, as gateways take them (docs/rules/consensus.md#a-signup-token-is-spent-once). Its
//! gateway dies after each step, leaders die between them, and many users want few tokens.

use std::collections::BTreeSet;

use bytes::Bytes;
use rowhouse_peer::Dialer;
use rowhouse_proto::ErrorCode::{self, SignupTokenUsed, UserExists};
use rowhouse_proto::domain::slot::Slot;
use rowhouse_proto::wire::account::SignupAdmission;
use rowhouse_proto::wire::account::signup_admission::Verdict;
use rowhouse_proto::wire::meta::{
    AccountSettings, AdmitSignup, AdmittedSignup, CreateSignupToken, GetAccountSettings, HeldToken,
    ListSignupTokens, SettleSignupToken, SignupToken, meta_execute_reply, meta_execute_request,
    meta_query_reply, meta_query_request,
};
use rowhouse_proto::wire::shard::{
    GetUser, SettleSignup, execute_reply, execute_request, query_reply, query_request,
};

use super::client::{Client, User, request_id};
use super::harness::{Cluster, SHARDS, wait_for};

/// A gateway that somebody drives by hand.
pub struct Gateway {
    pub client: Client,
    pub cluster_id: Bytes,
}

impl Gateway {
    /// Asks this node first.
    pub fn at(cluster: &Cluster, n: usize) -> Self {
        let mut addresses: Vec<String> =
            (0..cluster.nodes.len()).map(|n| cluster.address(n).to_owned()).collect();
        addresses.rotate_left(n);
        let known = || cluster.running().map(|node| node.map().cluster_id).find(|id| !id.is_empty());
        let cluster_id = wait_for("the map", known);
        Self { client: Client::new(addresses, Dialer::plaintext(), Dialer::plaintext()), cluster_id }
    }

    pub fn create_token(&self, token: &str) {
        let id = request_id();
        let op = CreateSignupToken { token: token.to_owned(), id, quota: None };
        let op = meta_execute_request::Op::CreateSignupToken(op);
        self.client.meta_execute(&self.cluster_id, op).expect("made");
    }

    /// The first step.
    pub fn admit(&self, user: &User, token: &str) -> AdmittedSignup {
        let op = AdmitSignup { user: user.tenant(), token: token.to_owned(), ..AdmitSignup::default() };
        let op = meta_execute_request::Op::AdmitSignup(op);
        match self.client.meta_execute(&self.cluster_id, op) {
            Ok(meta_execute_reply::Result::AdmittedSignup(admitted)) => admitted,
            other => panic!("no word on a signup: {other:?}"),
        }
    }

    /// The second step; `None`: the user is made.
    pub fn create(&self, user: &User, admission: SignupAdmission) -> Option<ErrorCode> {
        let op = Client::signup_op(user, Some(admission));
        let refused = self.client.execute(user.shard(), request_id(), op).err()?;
        Some(ErrorCode::from_number(refused.code).expect("a known code"))
    }

    /// The last step.
    fn settle_token(&self, token: &str, number: u64, spent: bool) {
        let op = SettleSignupToken { token: token.to_owned(), number, spent };
        let op = meta_execute_request::Op::SettleSignupToken(op);
        self.client.meta_execute(&self.cluster_id, op).expect("heard");
    }

    /// What became of a reservation: whether its token is spent. It makes no user from here on.
    fn ask_shard(&self, held: &HeldToken) -> bool {
        let user = held.user[..].try_into().expect("a key");
        let shard = Slot::of_key(&user).shard(SHARDS);
        let op = SettleSignup { tenant: held.user.clone(), token: held.token.clone(), number: held.number };
        match self.client.execute(shard, request_id(), execute_request::Op::SettleSignup(op)) {
            Ok(execute_reply::Result::SignupSettled(settled)) => settled.spent,
            other => panic!("not settled: {other:?}"),
        }
    }

    fn settle(&self, held: &HeldToken) {
        let spent = self.ask_shard(held);
        self.settle_token(&held.token, held.number, spent);
    }

    /// All steps, as `gateway/src/signup.rs` takes them. Another user's reservation is given up at once.
    pub fn sign_up(&self, user: &User, token: &str) -> Option<ErrorCode> {
        let mut admitted = self.admit(user, token);
        if let Some(held) = admitted.held {
            self.settle(&held);
            admitted = self.admit(user, token);
        }
        let admission = admitted.admission.expect("a word");
        let number = number(&admission);
        let refused = self.create(user, admission);
        match (refused, number) {
            (None, Some(number)) => self.settle_token(token, number, true),
            (Some(UserExists | SignupTokenUsed), Some(number)) => self.settle(&held(user, token, number)),
            _ => {}
        }
        refused
    }

    fn exists(&self, user: &User) -> bool {
        match self.client.query(user.shard(), query_request::Op::GetUser(GetUser { tenant: user.tenant() })) {
            Ok(query_reply::Result::Account(_)) => true,
            Err(failure) if failure.code == ErrorCode::NotFound.number() => false,
            other => panic!("neither an account nor none: {other:?}"),
        }
    }

    fn tokens(&self) -> Vec<SignupToken> {
        let op = ListSignupTokens { limit: 1000, ..ListSignupTokens::default() };
        match self.client.meta_query(&self.cluster_id, meta_query_request::Op::ListSignupTokens(op)) {
            Ok(meta_query_reply::Result::SignupTokenPage(page)) => page.tokens,
            other => panic!("no tokens: {other:?}"),
        }
    }

    pub fn settings(&self) -> AccountSettings {
        let op = meta_query_request::Op::GetAccountSettings(GetAccountSettings {});
        match self.client.meta_query(&self.cluster_id, op) {
            Ok(meta_query_reply::Result::AccountSettings(settings)) => settings,
            other => panic!("no settings: {other:?}"),
        }
    }

    /// Once all is settled: no token is lost, none was used twice, and no user is there without a spent one.
    fn assert_tokens_and_users_agree(&self, tokens: &[String], users: &[User]) {
        for held in self.settings().held {
            self.settle(&held);
        }
        let rows = self.tokens();
        let known: BTreeSet<&str> = rows.iter().map(|row| row.token.as_str()).collect();
        assert_eq!(known, tokens.iter().map(String::as_str).collect(), "no token is lost");
        assert!(rows.iter().all(|row| row.reserved_by.is_empty()), "all is settled");
        let used: Vec<Bytes> =
            rows.iter().map(|row| row.used_by.clone()).filter(|user| !user.is_empty()).collect();
        let users: BTreeSet<Bytes> =
            users.iter().filter(|user| self.exists(user)).map(User::tenant).collect();
        assert_eq!(used.iter().cloned().collect::<BTreeSet<_>>(), users, "who used one, and who exists");
        assert_eq!(used.len(), users.len(), "each used one");
        let settings = self.settings();
        let totals = (settings.signup_tokens, settings.spent_signup_tokens, settings.held.len());
        assert_eq!(totals, (tokens.len() as u64, users.len() as u64, 0));
    }
}

fn number(admission: &SignupAdmission) -> Option<u64> {
    match &admission.verdict {
        Some(Verdict::Reserved(reservation)) => Some(reservation.number),
        _ => None,
    }
}

fn held(user: &User, token: &str, number: u64) -> HeldToken {
    HeldToken { token: token.to_owned(), user: user.tenant(), number, age_ms: 0 }
}

/// Where a gateway dies.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Death {
    Reserved,
    Created,
    Settled,
    /// Another gateway gave the reservation up at the user's shard, and died before the meta group heard.
    GivenUp,
}

const DEATHS: [Death; 4] = [Death::Reserved, Death::Created, Death::Settled, Death::GivenUp];

/// A gateway's steps up to its death; the word it had on the signup.
fn die_at(gateway: &Gateway, user: &User, token: &str, death: Death) -> SignupAdmission {
    let admission = gateway.admit(user, token).admission.expect("a word");
    let number = number(&admission).expect("reserved");
    match death {
        Death::Reserved => {}
        Death::GivenUp => assert!(!gateway.ask_shard(&held(user, token, number))),
        Death::Created | Death::Settled => {
            assert_eq!(gateway.create(user, admission.clone()), None);
            if death == Death::Settled {
                gateway.settle_token(token, number, true);
            }
        }
    }
    admission
}

fn with_tokens(count: usize) -> (Cluster, Gateway, Vec<String>) {
    let cluster = Cluster::started(3);
    cluster.initialize_as("token_required").expect("initializes");
    let gateway = Gateway::at(&cluster, 0);
    let tokens: Vec<String> = (0..count).map(|nth| format!("AAAA-BBBB-{nth:04}")).collect();
    for token in &tokens {
        gateway.create_token(token);
    }
    (cluster, gateway, tokens)
}

#[test]
fn a_signup_left_half_way_is_ended_by_the_same_user() {
    let (cluster, gateway, tokens) = with_tokens(DEATHS.len());
    let users: Vec<User> = (100..).take(DEATHS.len()).map(User::new).collect();
    for ((death, user), token) in DEATHS.into_iter().zip(&users).zip(&tokens) {
        die_at(&gateway, user, token, death);
        let expected: &[Option<ErrorCode>] = match death {
            Death::Reserved => &[None],
            Death::Created | Death::Settled => &[Some(UserExists)],
            Death::GivenUp => &[Some(SignupTokenUsed), None],
        };
        for expected in expected {
            assert_eq!(gateway.sign_up(user, token), *expected, "{death:?}");
        }
        let row = gateway.tokens().into_iter().find(|row| row.token == *token).expect("there");
        assert_eq!((row.used_by, row.reserved_by), (user.tenant(), Bytes::new()), "{death:?}");
    }
    gateway.assert_tokens_and_users_agree(&tokens, &users);
    cluster.assert_converged();
}

#[test]
fn a_token_left_half_way_goes_to_another_user_unless_it_is_spent() {
    let (cluster, gateway, tokens) = with_tokens(DEATHS.len());
    let users: Vec<User> = (110..).take(2 * DEATHS.len()).map(User::new).collect();
    for ((death, pair), token) in DEATHS.into_iter().zip(users.chunks(2)).zip(&tokens) {
        let [first, second] = pair else { panic!("two") };
        let admission = die_at(&gateway, first, token, death);
        let is_spent = [Death::Created, Death::Settled].contains(&death);
        let expected = is_spent.then_some(SignupTokenUsed);
        assert_eq!(gateway.sign_up(second, token), expected, "{death:?}");
        // The dead gateway's command was on its way all the time.
        let late = if is_spent { UserExists } else { SignupTokenUsed };
        assert_eq!(gateway.create(first, admission), Some(late), "{death:?}");
        assert_eq!(gateway.sign_up(first, token), Some(late), "{death:?}");
        assert_eq!((gateway.exists(first), gateway.exists(second)), (is_spent, !is_spent), "{death:?}");
    }
    gateway.assert_tokens_and_users_agree(&tokens, &users);
    cluster.assert_converged();
}

#[test]
fn a_user_of_another_token_gives_the_second_one_back() {
    let (_cluster, gateway, tokens) = with_tokens(2);
    let users = [User::new(130), User::new(131)];
    let words: Vec<SignupAdmission> =
        tokens.iter().map(|token| gateway.admit(&users[0], token).admission.expect("a word")).collect();
    assert_eq!(gateway.create(&users[0], words[1].clone()), None);
    assert_eq!(gateway.create(&users[0], words[0].clone()), Some(UserExists));
    assert_eq!(gateway.sign_up(&users[1], &tokens[1]), Some(SignupTokenUsed));
    assert_eq!(gateway.sign_up(&users[1], &tokens[0]), None, "that one was not spent");
    gateway.assert_tokens_and_users_agree(&tokens, &users);
}

#[test]
fn a_leader_lost_between_the_steps_loses_no_token_and_spends_none_twice() {
    let deaths = [Death::Reserved, Death::Created, Death::GivenUp];
    let (mut cluster, gateway, tokens) = with_tokens(2 * deaths.len());
    let users: Vec<User> = (140..).take(4 * deaths.len()).map(User::new).collect();
    for (nth, (pair, token)) in users.chunks(2).zip(&tokens).enumerate() {
        let [first, second] = pair else { panic!("two") };
        let death = deaths[nth / 2];
        let admission = die_at(&gateway, first, token, death);
        let lost = if nth % 2 == 0 { cluster.meta_leader() } else { cluster.leader_of(first.shard()) };
        cluster.kill(lost);
        // Another user first, or the same gateway goes on, or the same user asks again.
        match death {
            Death::Reserved if nth % 2 == 0 => assert_eq!(gateway.create(first, admission), None),
            Death::Reserved | Death::GivenUp => assert_eq!(gateway.sign_up(second, token), None),
            _ => assert_eq!(gateway.sign_up(second, token), Some(SignupTokenUsed)),
        }
        cluster.restart(lost);
        let late = gateway.sign_up(first, token).expect("decided before");
        assert_eq!(late, if gateway.exists(first) { UserExists } else { SignupTokenUsed }, "{death:?}");
        assert_ne!(gateway.exists(first), gateway.exists(second), "one of them has it: {death:?}");
    }
    gateway.assert_tokens_and_users_agree(&tokens, &users);
    cluster.assert_converged();
}

/// More than the race needs; a reservation that is given up at once makes both try again.
const ATTEMPTS_MAX: usize = 50;

/// Until the user is there, or every token is spent.
fn compete(gateway: &Gateway, user: &User, tokens: &[String]) -> bool {
    for _ in 0..ATTEMPTS_MAX {
        for token in tokens {
            match gateway.sign_up(user, token) {
                None => return true,
                Some(refused) => assert_eq!(refused, SignupTokenUsed),
            }
        }
        if gateway.tokens().iter().all(|row| !row.used_by.is_empty()) {
            return false;
        }
    }
    panic!("tokens are left, and nobody gets one")
}

#[test]
fn of_many_users_as_many_sign_up_as_there_are_tokens() {
    let (cluster, gateway, tokens) = with_tokens(3);
    let users: Vec<User> = (160..168).map(User::new).collect();
    let winners: Vec<bool> = std::thread::scope(|scope| {
        let threads: Vec<_> = users
            .iter()
            .enumerate()
            .map(|(nth, user)| {
                let gateway = Gateway::at(&cluster, nth % 3);
                let mut tokens = tokens.clone();
                tokens.rotate_left(nth % 3);
                scope.spawn(move || compete(&gateway, user, &tokens))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(winners.iter().filter(|has_won| **has_won).count(), 3);
    let exist: Vec<bool> = users.iter().map(|user| gateway.exists(user)).collect();
    assert_eq!(exist, winners, "who was told so");
    gateway.assert_tokens_and_users_agree(&tokens, &users);
    cluster.assert_converged();
}
