//! Calls that production code never makes, and where the exceptions live.

use super::sources::Source;

struct Rule {
    /// Any of these texts in a line of production code is an offence.
    calls: &'static [&'static str],
    /// Only below these paths; empty: everywhere.
    within: &'static [&'static str],
    /// Except below these.
    except: &'static [&'static str],
    why: &'static str,
}

/// The clock of the runtime, which simulation owns: allowed wherever a runtime is at hand.
const RUNTIME_CLOCK: &str = "R::Instant::now";

const RULES: [Rule; 6] = [
    Rule {
        calls: &[
            "unbounded_channel(",
            "UnboundedSender",
            "mpsc::channel()",
            "futures::channel::mpsc::unbounded",
        ],
        within: &[],
        except: &[],
        why: "every queue has a bound",
    },
    Rule {
        calls: &["tokio::spawn(", "tokio::task::spawn(", "thread::spawn("],
        within: &[],
        except: &["raft/src/runtime/", "node/src/actor/"],
        why: "tasks belong to an actor, a JoinSet or a runtime adapter",
    },
    Rule {
        calls: &[
            "SystemTime",
            "Instant::now",
            "tokio::time",
            "tokio::task",
            "thread::spawn",
            "thread::sleep",
            "thread::Builder",
        ],
        within: &["raft/src/"],
        except: &["raft/src/runtime/"],
        why: "time and tasks come from the runtime, so that simulation can own them",
    },
    Rule {
        calls: &[
            "SystemTime",
            "Instant::now",
            "rand::",
            "getrandom",
            "HashMap",
            "HashSet",
            "tokio::",
            "Uuid::new",
        ],
        within: &["node/src/apply/"],
        except: &[],
        why: "replicas must compute the same from the same log",
    },
    Rule {
        calls: &["todo!(", "unimplemented!(", "dbg!(", "todo!{", "dbg!{"],
        within: &[],
        except: &["chaos-tests/tests/tidy/"],
        why: "finished code only",
    },
    Rule { calls: &[".unwrap()"], within: &[], except: &[], why: "an error is handled or told" },
];

pub fn offences(sources: &[Source]) -> Vec<String> {
    let mut offences = Vec::new();
    for rule in &RULES {
        for source in sources.iter().filter(|source| rule.applies_to(&source.path)) {
            for (number, line) in source.production() {
                let line = line.replace(RUNTIME_CLOCK, "");
                if let Some(call) = rule.calls.iter().find(|call| line.contains(*call)) {
                    offences.push(format!("{}:{number}: {call} ({})", source.path, rule.why));
                }
            }
        }
    }
    offences
}

impl Rule {
    fn applies_to(&self, path: &str) -> bool {
        let below = |prefixes: &[&str]| prefixes.iter().any(|prefix| path.starts_with(prefix));
        (self.within.is_empty() || below(self.within)) && !below(self.except)
    }
}

#[test]
fn offences_are_found_where_the_rule_holds() {
    let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    let planted = [
        source("node/src/peers.rs", "//! x\nlet (a, b) = mpsc::unbounded_channel();\n"),
        source("gateway/src/x.rs", "//! x\ntokio::spawn(async {});\n"),
        source("node/src/actor/kit.rs", "//! x\ntokio::spawn(async {});\n"),
        source("raft/src/host.rs", "//! x\nlet now = Instant::now();\nlet now = R::Instant::now();\n"),
        source("raft/src/runtime/production.rs", "//! x\nlet now = Instant::now();\n"),
        source("node/src/apply/put.rs", "//! x\nlet now = SystemTime::now();\nlet map = HashMap::new();\n"),
        source(
            "server/src/main.rs",
            "//! x\n#[cfg(test)]\nmod tests {\n  fn a() { b.unwrap() }\n}\nc.unwrap();\n",
        ),
    ];
    let found = offences(&planted);
    let paths: Vec<&str> = found.iter().filter_map(|offence| offence.split(": ").next()).collect();
    let expected = [
        "node/src/peers.rs:2",
        "gateway/src/x.rs:2",
        "raft/src/host.rs:2",
        "node/src/apply/put.rs:2",
        "node/src/apply/put.rs:3",
        "server/src/main.rs:6",
    ];
    assert_eq!(paths, expected, "{found:?}");
}
