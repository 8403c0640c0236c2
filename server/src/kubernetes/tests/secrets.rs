//! The homeserver's key and the admin password.

use axum::http::{Method, StatusCode};

use super::fake_api::FakeApi;
use crate::error::{EXIT_NOT_YET, EXIT_USAGE, Error};
use crate::kubernetes::access::ApiArgs;
use crate::kubernetes::secrets::{SecretsArgs, run};

fn args(api: &FakeApi) -> SecretsArgs {
    SecretsArgs {
        api: ApiArgs {
            namespace: "pubky".into(),
            api_server: Some(api.url.clone()),
            service_account: "/nowhere".into(),
        },
        homeserver_secret: Some("homeserver".into()),
        admin_secret: Some("admin".into()),
    }
}

fn refused(done: Result<String, Error>) -> String {
    let error = done.unwrap_err();
    assert_eq!(error.exit_code(), EXIT_USAGE, "{error}");
    error.to_string()
}

#[tokio::test]
async fn secrets_are_made_once_and_never_again() {
    let api = FakeApi::start().await;
    let first = run(&args(&api)).await.unwrap();
    let (key, password) = (api.text("homeserver", "homeserver.secret"), api.text("admin", "admin.password"));
    let key = key.unwrap();
    assert_eq!(hex::decode(&key).unwrap().len(), 32);
    assert!(password.as_deref().is_some_and(|password| password.len() >= 32 && password != key));
    let secret: [u8; 32] = hex::decode(&key).unwrap().try_into().unwrap();
    let z32 = pkarr::Keypair::from_secret_key(&secret).public_key().to_z32();
    assert!(first.ends_with(&format!("Secret homeserver made\nhomeserver {z32}")), "{first}");

    let again = run(&args(&api)).await.unwrap();
    assert!(again.contains("there already") && again.ends_with(&z32), "{again}");
    assert_eq!(
        (api.text("homeserver", "homeserver.secret"), api.text("admin", "admin.password")),
        (Some(key), password)
    );
    assert_eq!(api.with(|store| store.writes), 2);
}

#[tokio::test]
async fn a_secret_of_the_users_is_taken_and_one_that_is_malformed_stops_everything() {
    let api = FakeApi::start().await;
    let key = "07".repeat(32);
    api.with(|store| {
        store.put_texts("homeserver", &[("homeserver.secret", &format!("{key}\n")), ("note", "mine")])
    });
    let said = run(&SecretsArgs { admin_secret: None, ..args(&api) }).await.unwrap();
    assert!(said.starts_with("Secret homeserver is there already"), "{said}");
    for texts in [&[("homeserver.secret", "07")][..], &[("other", "x")], &[("homeserver.secret", "")]] {
        api.with(|store| store.put_texts("homeserver", texts));
        let text = refused(run(&args(&api)).await);
        assert!(text.contains("homeserver.secret") && !text.contains("07"), "{text}");
        assert!(api.text("admin", "admin.password").is_none(), "nothing is left half done");
    }
    api.with(|store| store.put_texts("homeserver", &[("homeserver.secret", &key)]));
    api.with(|store| store.put_texts("admin", &[("admin.password", "two\nlines")]));
    assert!(refused(run(&args(&api)).await).contains("admin.password"));
    assert_eq!(api.with(|store| store.writes), 0);
}

#[tokio::test]
async fn another_run_that_is_faster_wins() {
    let api = FakeApi::start().await;
    let theirs = "07".repeat(32);
    let text = theirs.clone();
    api.with(|store| {
        store.interference = Some((
            Method::POST,
            Box::new(move |store| store.put_texts("homeserver", &[("homeserver.secret", &text)])),
        ));
    });
    let only = SecretsArgs { admin_secret: None, ..args(&api) };
    let said = run(&only).await.unwrap();
    assert!(said.starts_with("Secret homeserver is there already"), "{said}");
    assert_eq!(api.text("homeserver", "homeserver.secret"), Some(theirs));

    let api = FakeApi::start().await;
    let (one, other) = (args(&api), args(&api));
    let (one, other) = tokio::join!(run(&one), run(&other));
    assert_eq!(one.unwrap().lines().last(), other.unwrap().lines().last());
}

#[tokio::test]
async fn refusals_say_what_to_do_and_trouble_passes() {
    let api = FakeApi::start().await;
    api.with(|store| store.refused = Some((Method::POST, StatusCode::FORBIDDEN)));
    assert!(refused(run(&args(&api)).await).contains("Role must allow"));
    api.with(|store| store.refused = Some((Method::GET, StatusCode::UNAUTHORIZED)));
    assert!(refused(run(&args(&api)).await).contains("token"));
    api.with(|store| store.refused = None);
    let mut elsewhere = args(&api);
    elsewhere.api.namespace = "elsewhere".into();
    assert!(refused(run(&elsewhere).await).contains("no namespace elsewhere"));
    let same = SecretsArgs { admin_secret: Some("homeserver".into()), ..args(&api) };
    assert!(refused(run(&same).await).contains("a Secret each"));
    assert!(
        refused(run(&SecretsArgs { homeserver_secret: None, admin_secret: None, ..args(&api) }).await)
            .contains("name")
    );

    api.with(|store| store.troubled = 3);
    assert!(run(&args(&api)).await.unwrap().contains("made"));
}

#[tokio::test(start_paused = true)]
async fn an_api_server_in_lasting_trouble_is_given_up() {
    let api = FakeApi::start().await;
    api.with(|store| store.troubled = usize::MAX);
    let error = run(&args(&api)).await.unwrap_err();
    assert_eq!(error.exit_code(), EXIT_NOT_YET, "{error}");
    assert!(error.to_string().contains("503"), "{error}");
}
