//! Rules over several keys.

use super::{GATEWAY, NODE, Told, assert_says};
use crate::settings::{GatewaySettings, NodeSettings};

#[test]
fn rules_over_several_keys_are_kept() {
    let node = |raft: &str| Told::by(&format!("{NODE}[raft]\n{raft}\n"), &[]).refused::<NodeSettings>();
    assert_says(
        &node("heartbeat_ms = 300"),
        &["`raft.election_min_ms` is 400", "2 times `raft.heartbeat_ms`"],
    );
    assert_says(
        &node("election_max_ms = 400"),
        &["`raft.election_max_ms` is 400", "more than `raft.election_min_ms`"],
    );
    assert_says(
        &node("heartbeat_ms = 20\nelection_min_ms = 45\nelection_max_ms = 150"),
        &["`raft.election_max_ms`", "from 400 to 60000"],
    );
    let gateway = |admin: &str| Told::by(&format!("{GATEWAY}[admin]\n{admin}\n"), &[]);
    assert_says(
        &gateway("listen = \"127.0.0.1:9\"").refused::<GatewaySettings>(),
        &["127.0.0.1:9 has no password", "--admin-password-file", "ROWHOUSE_ADMIN__PASSWORD"],
    );
    let both = "password = \"a\"\npassword_file = \"b\"";
    assert_says(&gateway(both).refused::<GatewaySettings>(), &["both set; remove one"]);
    gateway("listen = \"127.0.0.1:9\"\npassword_file = \"/password\"").accepted::<GatewaySettings>();
    let none = GATEWAY.replace("[\"127.0.0.1:3\"]", "[]");
    assert_says(
        &Told::by(&none, &[]).refused::<GatewaySettings>(),
        &["`gateway.nodes` is not set: give --node,"],
    );
}

#[test]
fn peers_beyond_loopback_need_certificates_and_half_of_them_are_refused() {
    const FILES: &str = "[tls]\ncert = \"c\"\nkey = \"k\"\nca = \"a\"\n";
    let next_step = ["rowhouse ctl certs create", "--tls-cert, --tls-key, --tls-ca", "loopback"];
    let node = NODE.replace("127.0.0.1:1", "0.0.0.0:1");
    let message = Told::by(&node, &[]).refused::<NodeSettings>();
    assert_says(&message, &["`node.listen` is 0.0.0.0:1"]);
    assert_says(&message, &next_step);
    Told::by(&format!("{node}{FILES}"), &[]).accepted::<NodeSettings>();
    let half = [("ROWHOUSE_TLS__CERT", "c")];
    assert_says(
        &Told::by(NODE, &half).refused::<NodeSettings>(),
        &["[tls] lacks `tls.key` and `tls.ca`: set all three"],
    );
    let half_of_it = Told::by(&node, &half).refused::<NodeSettings>();
    assert!(!half_of_it.contains("`node.listen`"), "one advice at a time: {half_of_it}");
    let wrong = Told::by(&format!("{NODE}[tls]\ncerts = \"c\"\n"), &[]).refused::<NodeSettings>();
    assert_says(&wrong, &["unknown key `tls.certs`", "did you mean `tls.cert`?"]);
}

#[test]
fn clients_may_be_met_beyond_loopback_and_the_admin_listener_only_behind_a_proxy() {
    for own in ["127.0.0.1:1", "127.0.0.1:2"] {
        let gateway = GATEWAY.replace(own, "192.0.2.1:7");
        Told::by(&gateway, &[]).accepted::<GatewaySettings>();
        Told::by(&gateway.replace("192.0.2.1", "0.0.0.0"), &[]).accepted::<GatewaySettings>();
    }
    const FILES: &str = "[tls]\ncert = \"c\"\nkey = \"k\"\nca = \"a\"\n";
    let admin = format!("{GATEWAY}[admin]\nlisten = \"[::]:9\"\npassword = \"p\"\n");
    for text in [admin.clone(), format!("{admin}{FILES}")] {
        let message = Told::by(&text, &[]).refused::<GatewaySettings>();
        assert_says(
            &message,
            &["`admin.listen` is [::]:9", "proxy with TLS", "--admin-behind-proxy", "loopback"],
        );
    }
    Told::by(&admin, &[("ROWHOUSE_ADMIN__BEHIND_PROXY", "true")]).accepted::<GatewaySettings>();
    Told::by(&admin.replace("[::]", "127.0.0.1"), &[]).accepted::<GatewaySettings>();
}

#[test]
fn tables_come_from_a_file_and_as_toml_from_a_variable_and_are_judged() {
    const TABLE: &str =
        "[[limits.rate_limits]]\npath = \"/session\"\nmethod = \"POST\"\nquota = \"20r/m\"\nkey = \"ip\"\n";
    const VARIABLE: &str = "ROWHOUSE_LIMITS__RATE_LIMITS";
    let file = format!("{GATEWAY}{TABLE}");
    let limits = |variables: &[(&str, &str)]| {
        Told::by(&file, variables).accepted::<GatewaySettings>().limits.rate_limits
    };
    let from_file = limits(&[]);
    assert_eq!((from_file.len(), from_file[0].quota.as_str()), (1, "20r/m"), "in place of the default");
    assert_eq!(limits(&[(VARIABLE, "[]")]), []);
    let inline = r#"[{ path = "/x", method = "GET", quota = "1r/s", key = "user", burst = 3 }]"#;
    assert_eq!(limits(&[(VARIABLE, inline)])[0].burst, Some(3));

    let refused = |variables: &[(&str, &str)]| Told::by(&file, variables).refused::<GatewaySettings>();
    assert_says(&refused(&[(VARIABLE, "10r/m")]), &[VARIABLE, "\"10r/m\"", "a list of up to 32 tables"]);
    assert_says(&refused(&[(VARIABLE, &inline.replace("burst", "bursts"))]), &["bursts"]);
    let zero = Told::by(&file.replace("20r/m", "0r/m"), &[]).refused::<GatewaySettings>();
    assert_says(&zero, &["`limits.rate_limits[0]`: \"0r/m\" is no quota such as"]);
    let rate = Told::by(&format!("{GATEWAY}[limits]\nunauthenticated_ip_rate_read = \"1r/s\"\n"), &[]);
    assert_says(&rate.refused::<GatewaySettings>(), &["`limits.unauthenticated_ip_rate_read`", "no rate"]);

    let printed =
        Told::by(&file, &[]).load::<GatewaySettings>(super::Layer::flags()).unwrap().text().unwrap();
    let again = Told::by(&printed, &[]).accepted::<GatewaySettings>();
    assert_eq!(again.limits.rate_limits, from_file, "what is printed says the same");
}
