//! The macro behind every table of settings.

/// One section of the configuration: a struct and the description of its keys, from one row a key.
///
/// ```
/// use std::time::Duration;
///
/// use rowhouse_proto::settings::{Kind, seconds};
///
/// rowhouse_proto::section! {
///     /// What a cache may hold.
///     pub struct CacheLimits: "cache" {
///         /// A comment says why the default is what it is.
///         entries_max: u32 = 1_000, Kind::number("entries", 1, 1 << 20),
///             "Entries held at once.", flag("--cache-entries-max");
///         lifetime_s: Duration as "seconds" = Duration::from_secs(60), Kind::seconds(1, 3600),
///             "How long an entry is used.";
///     }
/// }
///
/// assert_eq!(CacheLimits::default().entries_max, 1_000);
/// assert_eq!(CacheLimits::KEYS[1].variable(), "ROWHOUSE_CACHE__LIFETIME_S");
/// ```
///
/// A row is: field, type, default, [`Kind`], meaning, and what else holds of the [`Key`]: `required()`,
/// `unset("…")`, `flag("…")`, `flag_mib("…")`, `flag_off("…")`. A type that serde cannot write as the key needs it
/// is followed by `as` and the module that can.
/// The default of a required key is an example, which is shown and never used.
///
/// [`Key`]: crate::settings::Key
/// [`Kind`]: crate::settings::Kind
#[macro_export]
macro_rules! section {
    ($(#[$of_section:meta])* pub struct $section:ident: $name:literal { $(
        $(#[$why:meta])* $key:ident: $type:ty $(as $form:literal)? = $default:expr, $kind:expr,
            $meaning:literal $(, $property:ident($($argument:literal)?))*;
    )+ }) => {
        $(#[$of_section])*
        #[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $section { $(
            #[doc = $meaning]
            $(#[$why])*
            $(#[serde(with = $form)])?
            pub $key: $type,
        )+ }

        impl Default for $section {
            fn default() -> Self {
                Self { $($key: $default,)+ }
            }
        }

        impl $section {
            /// The keys of this section, in the order of the reference page.
            pub const KEYS: &'static [$crate::settings::Key] = &[$(
                $crate::settings::Key::new(concat!($name, ".", stringify!($key)), $kind, $meaning)
                    $(.$property($($argument)?))*,
            )+];
        }
    };
}
