use std::time::Duration;

use super::{Absent, Gives, Hidden, Kind, seconds};

crate::section! {
    /// One key of each form that a row can have.
    pub struct Trial: "trial" {
        folder: String = "/example".into(), Kind::Path, "A folder.", required(), flag("--folder");
        /// A reason.
        pause_s: Duration as "seconds" = Duration::from_secs(7), Kind::seconds(1, 60), "A pause.";
        size_bytes: u64 = 1 << 20, Kind::bytes(0, 1 << 30), "A size.", flag_mib("--size-mib");
        open: bool = true, Kind::Bool, "Whether it is open.", flag_off("--closed");
        password: Option<Hidden> = None, Kind::Secret, "A secret.", unset("nobody is asked");
    }
}

#[test]
fn a_row_gives_field_default_and_description() {
    let Trial { folder, pause_s, size_bytes, open, password } = Trial::default();
    assert_eq!((folder.as_str(), pause_s.as_secs(), size_bytes, open), ("/example", 7, 1 << 20, true));
    assert_eq!(password, None);
    let [folder, pause, size, open, password] = Trial::KEYS else { panic!("five rows") };
    assert_eq!((folder.path, folder.section(), folder.name()), ("trial.folder", "trial", "folder"));
    assert_eq!(folder.absent, Absent::Refused);
    assert_eq!(
        (pause.absent, pause.meaning, pause.kind.unit()),
        (Absent::Default, "A pause.", Some("seconds"))
    );
    assert_eq!(pause.variable(), "ROWHOUSE_TRIAL__PAUSE_S");
    let flags = [folder, size, open].map(|key| key.flag.map(|flag| (flag.name, flag.gives)));
    let expected = [("--folder", Gives::Value), ("--size-mib", Gives::Mib), ("--closed", Gives::False)];
    assert_eq!(flags, expected.map(Some));
    assert_eq!(password.absent, Absent::Means("nobody is asked"));
}

#[test]
fn durations_are_whole_seconds_and_secrets_are_not_shown() {
    let told = r#"{ "pause_s": 9, "password": "hunter2" }"#;
    let trial: Trial = serde_json::from_str(told).expect("a part of the section");
    assert_eq!((trial.pause_s, trial.size_bytes), (Duration::from_secs(9), 1 << 20));
    assert_eq!(trial.password.as_ref().map(Hidden::expose), Some("hunter2"));
    let shown = format!("{trial:?}{}", serde_json::to_string(&trial).expect("plain values"));
    assert!(shown.contains("\"pause_s\":9") && !shown.contains("hunter2"), "{shown}");
    assert!(serde_json::from_str::<Trial>(r#"{ "zebra": 1 }"#).is_err(), "an unknown key");
}
