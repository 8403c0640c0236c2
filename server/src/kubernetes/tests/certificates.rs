//! The CA, and certificates of processes.

use std::time::{Duration, SystemTime};

use axum::http::Method;
use rowhouse_peer::{Authority, Issued, Role};

use super::fake_api::FakeApi;
use crate::error::EXIT_USAGE;
use crate::kubernetes::access::ApiArgs;
use crate::kubernetes::api_error::ApiError;
use crate::kubernetes::authority::{AUTHORITY_DAYS, STEP_PAUSE};
use crate::kubernetes::certificates::{CertificatesArgs, keep, run};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn args(api: &FakeApi, nodes: &[&str]) -> CertificatesArgs {
    CertificatesArgs {
        api: ApiArgs {
            namespace: "pubky".into(),
            api_server: Some(api.url.clone()),
            service_account: "/nowhere".into(),
        },
        cluster: "main".into(),
        ca_secret: "ca".into(),
        node_secret: Some("nodes".into()),
        gateway_secret: Some("gateways".into()),
        ctl_secret: Some("ctls".into()),
        nodes: nodes.iter().map(|name| (*name).to_owned()).collect(),
        gateways: vec!["gateway".into()],
        ctls: vec!["admin".into()],
        days: 365,
        renew_before_days: 30,
    }
}

async fn keep_at(args: &CertificatesArgs, now: SystemTime) -> Result<String, ApiError> {
    keep(&args.api.api().unwrap(), args, now).await
}

fn ca(api: &FakeApi) -> Authority {
    let pem = api.text("ca", "ca.pem").unwrap();
    Authority::open("main", &pem, &api.text("ca", "ca.key").unwrap()).unwrap()
}

fn pair(api: &FakeApi, secret: &str, name: &str) -> Issued {
    let text = |kind: &str| api.text(secret, &format!("{name}.{kind}")).unwrap();
    Issued { certificate_pem: text("pem"), key_pem: text("key") }
}

fn certificates(pem: &str) -> usize {
    pem.matches("BEGIN CERTIFICATE").count()
}

thread_local! {
    /// Keys of all CAs that a test saw: they tell which CA made a certificate.
    static KEYS: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

fn note_keys(api: &FakeApi) {
    let keys = ["ca.key", "next.key"].into_iter().filter_map(|key| api.text("ca", key));
    KEYS.with_borrow_mut(|known| known.extend(keys));
}

/// Who somebody is and whom it trusts, as its pod has it at a moment.
struct Process {
    role: Role,
    name: &'static str,
    bundle: String,
    pair: Issued,
}

impl Process {
    fn all(api: &FakeApi) -> Vec<Self> {
        let all = [
            ("nodes", Role::Node, "n-0"),
            ("gateways", Role::Gateway, "gateway"),
            ("ctls", Role::Ctl, "admin"),
        ];
        let read = |(secret, role, name)| {
            let bundle = api.text(secret, "ca.pem").unwrap();
            Self { role, name, bundle, pair: pair(api, secret, name) }
        };
        all.map(read).into()
    }

    fn accepts(&self, other: &Self, now: SystemTime) -> bool {
        self.bundle.split_inclusive("-----END CERTIFICATE-----").any(|pem| {
            KEYS.with_borrow(|keys| {
                keys.iter().any(|key| {
                    let made = |ca: Authority| ca.expiry_of(other.role, other.name, &other.pair, now);
                    Authority::open("main", pem, key).ok().and_then(made).is_some()
                })
            })
        })
    }
}

#[tokio::test]
async fn certificates_are_made_kept_added_and_renewed() {
    let api = FakeApi::start().await;
    let now = SystemTime::now();
    let said = run(&args(&api, &["n-0", "n-1"])).await.unwrap();
    assert!(
        said.contains("Secret ca made") && said.contains("Secret nodes made: n-0 added, n-1 added"),
        "{said}"
    );
    assert!(api.text("nodes", "ca.key").is_none(), "pods never see the CA's key");
    for (secret, role, name) in
        [("nodes", Role::Node, "n-0"), ("gateways", Role::Gateway, "gateway"), ("ctls", Role::Ctl, "admin")]
    {
        let expires = ca(&api).expiry_of(role, name, &pair(&api, secret, name), SystemTime::now()).unwrap();
        let left = expires.duration_since(now).unwrap();
        assert!(left > DAY * 364 && left < DAY * 366, "{name}: {left:?}");
        assert_eq!(api.text(secret, "ca.pem"), api.text("ca", "ca.pem"));
    }

    let writes = api.with(|store| store.writes);
    assert_eq!(run(&args(&api, &["n-0", "n-1"])).await.unwrap(), "all certificates are as they should be");
    assert_eq!(api.with(|store| store.writes), writes);

    let before = pair(&api, "nodes", "n-0").certificate_pem;
    let said = run(&args(&api, &["n-0", "n-1", "n-2"])).await.unwrap();
    assert_eq!(said, "Secret nodes changed: n-2 added");
    assert_eq!(pair(&api, "nodes", "n-0").certificate_pem, before);

    let late = now + DAY * 340;
    let said = keep_at(&args(&api, &["n-0", "n-1"]), late).await.unwrap();
    assert!(said.contains("Secret nodes changed: n-0 renewed, n-1 renewed"), "{said}");
    assert_ne!(pair(&api, "nodes", "n-0").certificate_pem, before);
    assert!(api.text("nodes", "n-2.pem").is_some(), "a node that is taken out may still run");
}

#[tokio::test]
async fn what_does_not_fit_is_made_anew() {
    let api = FakeApi::start().await;
    let args = args(&api, &["n-0", "n-1"]);
    run(&args).await.unwrap();
    let foreign = Authority::create("main", SystemTime::now() - DAY..SystemTime::now() + DAY * 900).unwrap();
    let of_other_ca =
        foreign.issue(Role::Node, "n-0", SystemTime::now() - DAY..SystemTime::now() + DAY * 900).unwrap();
    let ca_pem = api.text("ca", "ca.pem").unwrap();
    let good = pair(&api, "nodes", "n-1");
    for (certificate, key) in [
        (of_other_ca.certificate_pem.as_str(), of_other_ca.key_pem.as_str()),
        (&good.certificate_pem, &of_other_ca.key_pem),
        (&good.certificate_pem, &good.key_pem),
        ("nonsense", &good.key_pem),
    ] {
        api.with(|store| {
            let texts = [
                ("ca.pem", ca_pem.as_str()),
                ("n-0.pem", certificate),
                ("n-0.key", key),
                ("n-1.pem", &good.certificate_pem),
                ("n-1.key", &good.key_pem),
            ];
            store.put_texts("nodes", &texts);
        });
        assert_eq!(run(&args).await.unwrap(), "Secret nodes changed: n-0 renewed");
        assert!(
            ca(&api).expiry_of(Role::Node, "n-0", &pair(&api, "nodes", "n-0"), SystemTime::now()).is_some()
        );
    }
}

#[tokio::test]
async fn a_lost_or_foreign_ca_is_refused_loudly() {
    let api = FakeApi::start().await;
    run(&args(&api, &["n-0"])).await.unwrap();
    let kept = api.with(|store| store.secrets.remove("ca").unwrap());
    let error = run(&args(&api, &["n-0"])).await.unwrap_err();
    assert_eq!(error.exit_code(), EXIT_USAGE, "{error}");
    assert!(error.to_string().contains("Bring it back"), "{error}");
    assert!(api.with(|store| !store.secrets.contains_key("ca")));
    api.with(|store| store.put("ca", kept));
    let other = CertificatesArgs { cluster: "other".into(), ..args(&api, &["n-0"]) };
    assert!(run(&other).await.unwrap_err().to_string().contains("no CA of cluster other"));
    api.with(|store| store.put_texts("ca", &[("ca.pem", "x")]));
    assert!(run(&args(&api, &["n-0"])).await.unwrap_err().to_string().contains("no ca.key"));
}

#[tokio::test]
async fn senseless_flags_are_refused() {
    let api = FakeApi::start().await;
    let good = args(&api, &["n-0"]);
    for wrong in [
        CertificatesArgs { node_secret: Some("ca".into()), ..good.clone() },
        CertificatesArgs { node_secret: Some("gateways".into()), ..good.clone() },
        CertificatesArgs { nodes: Vec::new(), ..good.clone() },
        CertificatesArgs { nodes: vec!["ca".into()], ..good.clone() },
        CertificatesArgs { nodes: vec!["n".into(), "n".into()], ..good.clone() },
        CertificatesArgs { renew_before_days: 365, ..good.clone() },
        CertificatesArgs { cluster: "no/name".into(), ..good.clone() },
    ] {
        assert_eq!(run(&wrong).await.unwrap_err().exit_code(), EXIT_USAGE, "{wrong:?}");
    }
    assert_eq!(api.with(|store| store.writes), 0);
}

#[tokio::test]
async fn runs_at_the_same_time_agree() {
    let api = FakeApi::start().await;
    let (one, other) = (args(&api, &["n-0", "n-1"]), args(&api, &["n-0", "n-1", "n-2"]));
    let (one, other) = tokio::join!(run(&one), run(&other));
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    for name in ["n-0", "n-1", "n-2"] {
        assert!(
            ca(&api).expiry_of(Role::Node, name, &pair(&api, "nodes", name), SystemTime::now()).is_some(),
            "{name}"
        );
    }

    // Somebody adds a key to a Secret between our reading and our writing: it is not lost.
    api.with(|store| {
        store.interference = Some((
            Method::PUT,
            Box::new(|store| {
                let mut nodes = store.secrets["nodes"].clone();
                nodes["data"]["theirs"] = "YQ==".into();
                store.put("nodes", nodes);
            }),
        ));
    });
    let said = run(&args(&api, &["n-0", "n-1", "n-2", "n-3"])).await.unwrap();
    assert_eq!(said, "Secret nodes changed: n-3 added");
    assert_eq!(api.text("nodes", "theirs").as_deref(), Some("a"));
}

#[tokio::test]
async fn a_run_by_an_older_ca_writes_nothing() {
    let api = FakeApi::start().await;
    run(&args(&api, &["n-0"])).await.unwrap();
    api.with(|store| drop(store.secrets.remove("gateways")));
    // The CA changes after it was read: by the first GET of a Secret that comes later, which is the missing one.
    let newer = Authority::create("main", SystemTime::now() - DAY..SystemTime::now() + DAY * 3000).unwrap();
    let (pem, key) = (newer.certificate_pem().to_owned(), newer.key_pem());
    let attempt = args(&api, &["n-0", "n-1"]);
    let client = attempt.api.api().unwrap();
    let reads = std::sync::atomic::AtomicUsize::new(0);
    api.with(|store| {
        store.on_read = Some(Box::new(move |store| {
            if reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 2 {
                store.put_texts("ca", &[("ca.pem", &pem), ("ca.key", &key)]);
            }
        }));
    });
    let writes = api.with(|store| store.writes);
    let done = keep(&client, &attempt, SystemTime::now()).await;
    assert!(matches!(done, Err(ApiError::Conflict(_))), "{done:?}");
    assert_eq!(api.with(|store| store.writes), writes);
    api.with(|store| store.on_read = None);
    run(&attempt).await.unwrap();
    assert!(newer.expiry_of(Role::Node, "n-1", &pair(&api, "nodes", "n-1"), SystemTime::now()).is_some());
}

#[tokio::test]
async fn a_ca_is_replaced_in_three_steps_and_nobody_is_cut_off() {
    let api = FakeApi::start().await;
    let args = args(&api, &["n-0"]);
    // A CA made long ago: it has less than two years left now, and certificates are judged by the machine's clock.
    let now = SystemTime::now();
    let old = Authority::create("main", now - DAY * (AUTHORITY_DAYS - 700)..now + DAY * 700).unwrap();
    api.with(|store| store.put_texts("ca", &[("ca.pem", old.certificate_pem()), ("ca.key", &old.key_pem())]));
    // With short validities it is long enough for now.
    keep_at(&CertificatesArgs { days: 100, ..args.clone() }, now).await.unwrap();
    let steps = [
        ("the next one is trusted beside it", 2),
        ("the next CA signs", 2),
        ("the old CA is trusted no more", 1),
    ];
    note_keys(&api);
    for (number, (step, trusted)) in (0u32..).zip(steps) {
        let at = now + STEP_PAUSE * number;
        let mut processes = Process::all(&api);
        let said = keep_at(&args, at).await.unwrap();
        assert!(said.contains(step), "{said}");
        note_keys(&api);
        let after = Process::all(&api);
        assert!(after.iter().all(|process| certificates(&process.bundle) == trusted), "{step}");
        // Some have what this step left, and some still what was before it.
        processes.extend(after);
        for (one, other) in processes.iter().flat_map(|one| processes.iter().map(move |other| (one, other))) {
            assert!(one.accepts(other, at), "{} cuts off {} in step {number}", one.name, other.name);
        }
        let early = keep_at(&args, at + STEP_PAUSE - Duration::from_secs(1)).await.unwrap();
        assert_eq!(early, "all certificates are as they should be");
    }
    assert!(old.expiry_of(Role::Node, "n-0", &pair(&api, "nodes", "n-0"), SystemTime::now()).is_none());
    assert!(ca(&api).expires_at().unwrap() > now + DAY * (AUTHORITY_DAYS - 1));
    assert!(api.text("ca", "next.key").is_none());
    let settled = keep_at(&args, now + STEP_PAUSE * 9).await.unwrap();
    assert_eq!(settled, "all certificates are as they should be");
}

#[tokio::test]
async fn a_step_waits_for_secrets_that_missed_the_last_one() {
    let api = FakeApi::start().await;
    let args = args(&api, &["n-0"]);
    let now = SystemTime::now();
    let old = Authority::create("main", now - DAY..now + DAY * 700).unwrap();
    api.with(|store| store.put_texts("ca", &[("ca.pem", old.certificate_pem()), ("ca.key", &old.key_pem())]));
    keep_at(&args, now).await.unwrap();
    let behind = pair(&api, "nodes", "n-0");
    api.with(|store| {
        let texts = [
            ("ca.pem", old.certificate_pem()),
            ("n-0.pem", &behind.certificate_pem),
            ("n-0.key", &behind.key_pem),
        ];
        store.put_texts("nodes", &texts);
    });
    // The pause is long over, and yet: the nodes do not trust the next CA.
    let said = keep_at(&args, now + STEP_PAUSE * 3).await.unwrap();
    assert_eq!(said, "Secret nodes changed: its CA");
    let said = keep_at(&args, now + STEP_PAUSE * 3 + DAY / 4).await.unwrap();
    assert_eq!(said, "all certificates are as they should be");
    let said = keep_at(&args, now + STEP_PAUSE * 4).await.unwrap();
    assert!(said.contains("the next CA signs"), "{said}");
}

#[tokio::test]
async fn a_ca_with_secrets_of_others_is_not_replaced() {
    let api = FakeApi::start().await;
    let args = CertificatesArgs { ctl_secret: None, ..args(&api, &["n-0"]) };
    let now = SystemTime::now();
    let old = Authority::create("main", now - DAY..now + DAY * 700).unwrap();
    api.with(|store| store.put_texts("ca", &[("ca.pem", old.certificate_pem()), ("ca.key", &old.key_pem())]));
    keep_at(&args, now).await.unwrap();
    assert_eq!(certificates(&api.text("nodes", "ca.pem").unwrap()), 1);
}
