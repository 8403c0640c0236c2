//! Handshakes in memory, between all kinds of right and wrong certificates.

use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use tempfile::TempDir;

use super::certificates::{client_config, server_config};
use super::verify::NodeVerifier;
use super::*;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// More flights than any handshake has.
const FLIGHTS_MAX: usize = 10;

fn now_valid() -> Range<SystemTime> {
    SystemTime::now() - DAY..SystemTime::now() + DAY
}

fn authority() -> Authority {
    Authority::create("main", now_valid()).expect("a CA")
}

/// One process's three files.
struct Process {
    folder: TempDir,
}

impl Process {
    fn new(issued: &Issued, trusted: &[&Authority]) -> Self {
        let process = Self { folder: tempfile::tempdir().expect("a folder") };
        process.replace(issued, trusted);
        process
    }

    fn of(authority: &Authority, role: Role, name: &str) -> Self {
        Self::new(&authority.issue(role, name, now_valid()).expect("issued"), &[authority])
    }

    fn replace(&self, issued: &Issued, trusted: &[&Authority]) {
        self.write("p.pem", &issued.certificate_pem);
        self.write("p.key", &issued.key_pem);
        self.trust(trusted);
    }

    fn trust(&self, trusted: &[&Authority]) {
        self.write("ca.pem", &trusted.iter().map(|ca| ca.certificate_pem()).collect::<String>());
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("private");
    }

    fn files(&self) -> CertificateFiles {
        CertificateFiles::in_folder(self.folder.path(), "p")
    }

    fn open(&self) -> Certificates {
        Certificates::open(self.files()).expect("good certificates")
    }

    /// Its configurations, without asking whether the certificate is any good.
    fn unchecked(&self) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
        let files = self.files();
        let parsed = files.parse(&files.read().expect("readable")).expect("PEM");
        let subject = Subject::of_certificate(&parsed.chain[0]).expect("a subject");
        let provider = Arc::new(ring::default_provider());
        let roots = Arc::new(parsed.roots);
        let key = parsed.key.clone_key();
        let server = server_config(&provider, &subject, &roots, &parsed.chain, key).expect("a server");
        let client = client_config(&provider, &subject, roots, parsed.chain, parsed.key).expect("a client");
        (server, client)
    }
}

/// Who refused, and why; or both ends after a handshake.
fn shake(
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
) -> Result<(Connection, Connection), (&'static str, String)> {
    let name = ServerName::try_from("any").expect("a name");
    let mut server = Connection::from(ServerConnection::new(server).expect("a server"));
    let mut client = Connection::from(ClientConnection::new(client, name).expect("a client"));
    for _ in 0..FLIGHTS_MAX {
        pass(&mut client, &mut server).map_err(|error| ("node", error))?;
        pass(&mut server, &mut client).map_err(|error| ("caller", error))?;
        if !client.is_handshaking() && !server.is_handshaking() {
            return Ok((server, client));
        }
    }
    panic!("the handshake never ended");
}

fn pass(from: &mut Connection, to: &mut Connection) -> Result<(), String> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).expect("memory");
    }
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        to.read_tls(&mut rest).expect("memory");
        to.process_new_packets().map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn meet(node: &Certificates, caller: &Certificates) -> Result<(), (&'static str, String)> {
    shake(node.server(), caller.client()).map(drop)
}

#[test]
fn every_role_of_the_cluster_reaches_a_node() {
    let ca = authority();
    let node = Process::of(&ca, Role::Node, "n1").open();
    for (role, name) in [(Role::Node, "n2"), (Role::Gateway, "g1"), (Role::Ctl, "admin")] {
        let caller = Process::of(&ca, role, name).open();
        assert_eq!(meet(&node, &caller), Ok(()), "{role}");
        let (server, _) = shake(node.server(), caller.client()).expect("again");
        let shown = server.peer_certificates().expect("shown");
        let subject = Subject::of_certificate(&shown[0]).expect("named");
        assert_eq!((subject.role(), subject.name(), subject.cluster()), (role, name, "main"));
        assert_eq!(server.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        assert_eq!(server.alpn_protocol(), Some(&b"h2"[..]));
    }
}

#[test]
fn another_ca_is_refused_from_both_ends() {
    let (ours, theirs) = (authority(), authority());
    let node = Process::of(&ours, Role::Node, "n1").open();
    let stranger = Process::of(&theirs, Role::Gateway, "g1").open();
    let (who, why) = meet(&node, &stranger).expect_err("the caller does not know this CA");
    assert_eq!(who, "caller");
    assert!(why.contains("UnknownIssuer") || why.contains("BadSignature"), "{why}");
    // It trusts us, and we do not trust it.
    let issued = theirs.issue(Role::Gateway, "g1", now_valid()).expect("issued");
    let one_sided = Process::new(&issued, &[&theirs, &ours]).open();
    let (who, why) = meet(&node, &one_sided).expect_err("the node does not know this CA");
    assert_eq!(who, "node");
    assert!(why.contains("UnknownIssuer") || why.contains("BadSignature"), "{why}");
}

#[test]
fn another_cluster_under_the_same_ca_is_refused_from_both_ends() {
    let ca = authority();
    let usages = vec![ServerAuth, ClientAuth];
    let issued = ca.sign("n1", &["rowhouse://other/node/n1"], usages, now_valid()).expect("signed");
    let foreign = Process::new(&issued, &[&ca]);
    let (node, gateway) =
        (Process::of(&ca, Role::Node, "n2").open(), Process::of(&ca, Role::Gateway, "g1").open());
    let (who, why) = meet(&foreign.open(), &gateway).expect_err("a node of the other cluster");
    assert_eq!((who, why.contains("of cluster main is needed")), ("caller", true), "{why}");
    // With its certificate, but content with our nodes.
    let parsed = foreign.files().parse(&foreign.files().read().expect("readable")).expect("PEM");
    let posing = Subject::new("main", Role::Node, "n1").expect("a subject");
    let (provider, roots) = (Arc::new(ring::default_provider()), Arc::new(parsed.roots));
    let client = client_config(&provider, &posing, roots, parsed.chain, parsed.key).expect("a client");
    let (who, why) = shake(node.server(), client).expect_err("a caller of the other cluster");
    assert_eq!((who, why.contains("of cluster main is needed")), ("node", true), "{why}");
}

#[test]
fn certificates_out_of_their_time_are_refused() {
    let ca = authority();
    let now = SystemTime::now();
    let (node, gateway) =
        (Process::of(&ca, Role::Node, "n1").open(), Process::of(&ca, Role::Gateway, "g1").open());
    for (valid, word) in [(now - 2 * DAY..now - DAY, "expired"), (now + DAY..now + 2 * DAY, "not valid yet")]
    {
        let caller = Process::new(&ca.issue(Role::Gateway, "g1", valid.clone()).expect("issued"), &[&ca]);
        let error = Certificates::open(caller.files()).err().expect("useless to its own process");
        assert!(matches!(error, TlsError::Untrusted { .. }), "{error}");
        let (who, why) = shake(node.server(), caller.unchecked().1).expect_err("a caller");
        assert_eq!((who, why.contains(word)), ("node", true), "{why}");
        let late = Process::new(&ca.issue(Role::Node, "n1", valid).expect("issued"), &[&ca]);
        let (who, why) = shake(late.unchecked().0, gateway.client()).expect_err("a node");
        assert_eq!((who, why.contains(word)), ("caller", true), "{why}");
    }
}

#[test]
fn only_a_node_is_taken_for_a_node() {
    let ca = authority();
    let caller = Process::of(&ca, Role::Node, "n2").open();
    for role in [Role::Gateway, Role::Ctl] {
        let posing = Process::of(&ca, role, "n1").unchecked().0;
        let (who, _) = shake(posing, caller.client()).expect_err("not for servers");
        assert_eq!(who, "caller");
        // From a CA that cares nothing for usages.
        let uri = format!("rowhouse://main/{role}/n1");
        let issued = ca.sign("n1", &[&uri], vec![ServerAuth, ClientAuth], now_valid()).expect("signed");
        let posing = Process::new(&issued, &[&ca]).open();
        let (who, why) = meet(&posing, &caller).expect_err("not a node");
        assert_eq!((who, why.contains("which is no node")), ("caller", true), "{why}");
    }
}

#[test]
fn a_caller_without_certificate_or_without_tls_is_refused() {
    let ca = authority();
    let process = Process::of(&ca, Role::Node, "n1");
    let (node, files) = (process.open(), process.files());
    let provider = Arc::new(ring::default_provider());
    let roots = files.parse(&files.read().expect("readable")).expect("PEM").roots;
    let verifier = NodeVerifier {
        roots: Arc::new(roots),
        algorithms: provider.signature_verification_algorithms,
        cluster: "main".to_owned(),
    };
    let mut anonymous = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    anonymous.alpn_protocols = vec![b"h2".to_vec()];
    let (who, why) = shake(node.server(), Arc::new(anonymous)).expect_err("no certificate");
    assert_eq!((who, why.contains("no certificates")), ("node", true), "{why}");

    let mut server = ServerConnection::new(node.server()).expect("a server");
    let mut preface = &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..];
    server.read_tls(&mut preface).expect("memory");
    server.process_new_packets().expect_err("not TLS");
}

#[test]
fn a_certificate_names_exactly_one_subject() {
    let ca = authority();
    for uris in [&[][..], &["https://main/node/n1"], &["rowhouse://main/node/n1", "rowhouse://main/node/n2"]]
    {
        let issued = ca.sign("n1", uris, vec![ServerAuth, ClientAuth], now_valid()).expect("signed");
        let error = Certificates::open(Process::new(&issued, &[&ca]).files()).err().expect("refused");
        assert!(matches!(error, TlsError::NoSubject), "{uris:?}: {error}");
    }
}

#[test]
fn a_new_certificate_serves_new_connections_and_the_old_ones_go_on() {
    let ca = authority();
    let process = Process::of(&ca, Role::Node, "n1");
    let node = process.open();
    let caller = Process::of(&ca, Role::Gateway, "g1").open();
    let shown = |client: &Connection| client.peer_certificates().expect("shown")[0].clone();
    let (mut server, mut client) = shake(node.server(), caller.client()).expect("a handshake");
    let first = shown(&client);
    assert!(!node.refresh().expect("unchanged"));

    let until = SystemTime::now() + 3 * DAY;
    let next = ca.issue(Role::Node, "n1", SystemTime::now() - DAY..until).expect("issued");
    process.replace(&next, &[&ca]);
    assert!(node.refresh().expect("replaced"));
    assert!(!node.refresh().expect("once"));
    let off = until.duration_since(node.expires_at()).expect("whole seconds");
    assert!(off < Duration::from_secs(1), "{off:?}");
    let (_, second) = shake(node.server(), caller.client()).expect("a handshake");
    assert_ne!(shown(&second), first);
    std::io::Write::write_all(&mut client.writer(), b"on").expect("memory");
    pass(&mut client, &mut server).expect("the old connection lives");
    let mut read = [0; 2];
    std::io::Read::read_exact(&mut server.reader(), &mut read).expect("what was written");
    assert_eq!(&read, b"on");
}

#[test]
fn a_ca_is_replaced_through_a_bundle_of_both() {
    let (old, new) = (authority(), authority());
    let processes = [Process::of(&old, Role::Node, "n1"), Process::of(&old, Role::Gateway, "g1")];
    let [node, gateway] = [processes[0].open(), processes[1].open()];
    let step = |index: usize, issued: Option<&Issued>, trusted: &[&Authority]| {
        match issued {
            Some(issued) => processes[index].replace(issued, trusted),
            None => processes[index].trust(trusted),
        }
        assert!([&node, &gateway][index].refresh().expect("a good step"));
        assert_eq!(meet(&node, &gateway), Ok(()), "no step cuts anybody off");
    };
    for index in 0..2 {
        step(index, None, &[&old, &new]);
    }
    step(0, Some(&new.issue(Role::Node, "n1", now_valid()).expect("issued")), &[&old, &new]);
    step(1, Some(&new.issue(Role::Gateway, "g1", now_valid()).expect("issued")), &[&old, &new]);
    for index in 0..2 {
        step(index, None, &[&new]);
    }
    let left_behind = Process::of(&old, Role::Gateway, "g2");
    left_behind.trust(&[&old, &new]);
    let (who, _) = meet(&node, &left_behind.open()).expect_err("the old CA is trusted no more");
    assert_eq!(who, "node");
}

#[test]
fn what_is_broken_or_of_another_replaces_nothing() {
    let (ca, other) = (authority(), authority());
    let process = Process::of(&ca, Role::Node, "n1");
    let node = process.open();
    let caller = Process::of(&ca, Role::Gateway, "g1").open();
    let good = ca.issue(Role::Node, "n1", now_valid()).expect("issued");
    let refused = |what: &str, files: &dyn Fn(&Path)| {
        process.replace(&good, &[&ca]);
        node.refresh().expect("good");
        let before = node.server();
        files(process.folder.path());
        let error = node.refresh().expect_err(what).to_string();
        assert!(error.contains(&process.folder.path().display().to_string()), "{what}: {error}");
        assert!(Arc::ptr_eq(&before, &node.server()), "{what}");
        assert_eq!(meet(&node, &caller), Ok(()), "{what}");
    };
    let put = |name: &'static str, text: String| {
        move |folder: &Path| std::fs::write(folder.join(name), &text).expect("written")
    };
    refused("garbage", &put("p.pem", "garbage".into()));
    refused("half a certificate", &put("p.pem", good.certificate_pem[..200].into()));
    refused("no key", &put("p.key", good.certificate_pem.clone()));
    refused("no CA", &put("ca.pem", String::new()));
    refused("too large", &put("ca.pem", "x".repeat(300 * 1024)));
    refused("another CA", &put("ca.pem", other.certificate_pem().into()));
    refused("gone", &|folder: &Path| std::fs::remove_file(folder.join("p.pem")).expect("removed"));
    refused("an open key", &|folder: &Path| {
        std::fs::set_permissions(folder.join("p.key"), PermissionsExt::from_mode(0o644)).expect("opened");
    });
    let issue = |role, name, valid| ca.issue(role, name, valid).expect("issued");
    let now = SystemTime::now();
    for (what, issued) in [
        ("another node", issue(Role::Node, "n2", now_valid())),
        ("another role", issue(Role::Gateway, "n1", now_valid())),
        ("expired", issue(Role::Node, "n1", now - 2 * DAY..now - DAY)),
    ] {
        refused(what, &|_: &Path| process.replace(&issued, &[&ca]));
    }
    // Between the two writes of a replacement: the new certificate with the old key.
    process.replace(&good, &[&ca]);
    node.refresh().expect("good");
    let next = issue(Role::Node, "n1", now_valid());
    process.write("p.pem", &next.certificate_pem);
    node.refresh().expect_err("a certificate and a foreign key");
    assert_eq!(meet(&node, &caller), Ok(()));
    process.write("p.key", &next.key_pem);
    assert!(node.refresh().expect("whole again"));
}

#[test]
fn an_authority_goes_on_with_its_files_and_with_no_others() {
    let ca = authority();
    let again = Authority::open("main", ca.certificate_pem(), &ca.key_pem()).expect("its own files");
    let node = Process::of(&ca, Role::Node, "n1").open();
    let issued = again.issue(Role::Gateway, "g1", now_valid()).expect("issued");
    assert_eq!(meet(&node, &Process::new(&issued, &[&ca]).open()), Ok(()));
    let other = authority();
    for (cluster, certificate, key) in [
        ("other", ca.certificate_pem(), ca.key_pem()),
        ("main", ca.certificate_pem(), other.key_pem()),
        ("main", "garbage", ca.key_pem()),
        ("main", ca.certificate_pem(), "garbage".to_owned()),
        ("no name", ca.certificate_pem(), ca.key_pem()),
    ] {
        assert!(Authority::open(cluster, certificate, &key).is_err(), "{cluster}");
    }
}
