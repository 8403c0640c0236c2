//! The only table of errors and statuses. A row holds a refusal's number on the wire, its HTTP status and its text.
//! The texts are the protocol's own (docs/rules/protocol.md).

use http::StatusCode;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $status:ident, $text:literal;)+) => {
        /// The kind of a refusal. Numbers are on the wire and in the log's outcomes: never reused, never changed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum ErrorCode {
            $(
                $(#[$doc])*
                #[doc = ""]
                #[doc = concat!("`", stringify!($status), "`: ", $text)]
                $name = $number,
            )+
        }

        impl ErrorCode {
            /// Every row of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The status that a client sees.
            pub fn http_status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)+ }
            }

            /// The body a client sees, unless a detail replaces it.
            pub fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// The code with this number; `None` for one that this program does not know.
            pub fn from_number(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

error_codes! {
    // ---- the cluster's own: only Overloaded, Unavailable and TooManyAttempts reach a client as such ----
    /// This node does not lead the shard; the reply may name who does.
    NotLeader = 1, SERVICE_UNAVAILABLE, "not the leader of this shard";
    /// This node hosts no replica of the shard: the map in use is old.
    WrongReplica = 2, SERVICE_UNAVAILABLE, "no replica of this shard here";
    /// Admission is full; nothing was proposed.
    Overloaded = 3, SERVICE_UNAVAILABLE, "The server is overloaded, retry later";
    /// Anonymous signups and exchanges have their own admission.
    TooManyAttempts = 4, TOO_MANY_REQUESTS, "Rate limit exceeded";
    /// No answer in time, or the leader was lost: the change may or may not have happened.
    Unavailable = 5, SERVICE_UNAVAILABLE, "The shard is unavailable, retry later";
    /// Retried past the deduplication window; nothing was applied.
    RequestExpired = 6, SERVICE_UNAVAILABLE, "The request is too old to be retried";
    /// A guard table of the shard is full; nothing was applied.
    GuardTableFull = 7, SERVICE_UNAVAILABLE, "The server is overloaded, retry later";
    /// A bug or a damaged state. Details are in the logs of the cluster.
    Internal = 8, INTERNAL_SERVER_ERROR, "Internal server error";
    /// A peer speaks another version of the wire contract.
    WrongVersion = 9, SERVICE_UNAVAILABLE, "unsupported wire version";

    // ---- requests ----
    MissingTenant = 20, BAD_REQUEST, "Missing request tenant";
    MissingStoragePath = 21, BAD_REQUEST, "Missing storage path";
    MissingStorageOwnerOrPath = 22, BAD_REQUEST, "Missing storage owner or path";
    InvalidStorageOwner = 23, BAD_REQUEST, "Invalid storage owner public key";
    StoragePathNotUtf8 = 24, BAD_REQUEST, "Storage path is not valid UTF-8";
    /// Detail carries the whole text: `Invalid storage path: ...`.
    InvalidStoragePath = 25, BAD_REQUEST, "Invalid storage path";
    /// Sent without a Content-Type (docs/rules/protocol.md#no-content-type).
    InvalidBoolean = 26, BAD_REQUEST, "Invalid boolean parameter";
    InvalidCursor = 27, BAD_REQUEST, "Invalid cursor";
    TargetMustBeFile = 28, BAD_REQUEST, "Target path must be a file";
    BrokenStream = 29, BAD_REQUEST, "Stream broken";
    BodyTooLarge = 30, PAYLOAD_TOO_LARGE, "Bodies over 65536 bytes are not supported yet";
    MissingHost = 31, BAD_REQUEST, "Header of type `host` was missing";
    RequestTimeout = 32, REQUEST_TIMEOUT, "The request took too long";
    /// The body of a signup, sign-in or exchange. The text is the one clients know from larger bodies.
    AccountBodyTooLarge = 33, PAYLOAD_TOO_LARGE, "Failed to buffer the request body: length limit exceeded";
    /// A route of the protocol that is not there yet.
    NotImplemented = 34, NOT_IMPLEMENTED, "Not Implemented";
    /// A limit counts by user, and the request is about nobody's storage.
    LimitNeedsUser = 38, BAD_REQUEST, "Failed to extract user for rate limiting";

    // ---- authentication ----
    NoSession = 40, UNAUTHORIZED, "No authenticated session found";
    Unauthorized = 41, UNAUTHORIZED, "Unauthorized";
    /// Detail carries the text of the AuthToken's own error.
    InvalidAuthToken = 42, BAD_REQUEST, "Invalid Signature";
    AuthTokenReused = 43, BAD_REQUEST, "AuthToken already used";
    NotFound = 44, NOT_FOUND, "Not Found";
    UserExists = 45, CONFLICT, "User already exists";
    SignupTokenRequired = 46, BAD_REQUEST, "Token required";
    SignupTokenInvalid = 47, UNAUTHORIZED, "Invalid token";
    SignupTokenUsed = 48, UNAUTHORIZED, "Token already used";
    SignupTokenFormat = 49, BAD_REQUEST, "Invalid signup token format: Invalid signup code id";
    SignupTokensNotRequired = 50, BAD_REQUEST, "Signup tokens not required";
    SignupTokenNotFound = 51, NOT_FOUND, "Token not found";

    // ---- grants ----
    GrantFormat = 60, BAD_REQUEST, "Invalid grant: invalid grant format";
    GrantSignature = 61, UNAUTHORIZED, "Invalid grant: invalid grant signature";
    GrantType = 62, BAD_REQUEST, "Invalid grant: invalid grant header type, expected pubky-grant";
    GrantExpiredPresented = 63, UNAUTHORIZED, "Invalid grant: grant has expired";
    GrantRevoked = 64, UNAUTHORIZED, "Grant has been revoked";
    GrantExpired = 65, UNAUTHORIZED, "Grant has expired";
    PopSignature = 66, UNAUTHORIZED, "Invalid PoP proof: invalid PoP signature";
    PopType = 67, UNAUTHORIZED, "Invalid PoP proof: invalid PoP header type, expected pubky-pop";
    PopAudience = 68, UNAUTHORIZED, "Invalid PoP proof: PoP audience mismatch";
    PopGrantId = 69, UNAUTHORIZED, "Invalid PoP proof: PoP grant ID mismatch";
    PopTimestamp = 70, UNAUTHORIZED, "Invalid PoP proof: PoP timestamp out of range";
    PopFormat = 71, UNAUTHORIZED, "Invalid PoP proof: invalid PoP format";
    PopNonceReused = 72, UNAUTHORIZED, "PoP nonce already used";
    GrantNotOwned = 73, FORBIDDEN, "Grant does not belong to authenticated user";
    SignupClientId = 74, BAD_REQUEST, "signup grants must use client_id pubky.signup";
    SignupIatFuture = 75, BAD_REQUEST, "signup grant iat is too far in the future";
    SignupLifetime = 76, BAD_REQUEST, "signup grant lifetime exceeds 5 minutes";
    GrantIdFormat = 78, BAD_REQUEST, "Invalid grant ID format";
    RootRequired = 77, FORBIDDEN, "Root capability required";

    // ---- authorization ----
    WriteOutsideRoots = 90, FORBIDDEN, "Writing to directories other than '/pub/' and '/priv/' is forbidden";
    ReadOutsideRoots = 91, FORBIDDEN, "Reading from directories other than '/pub/' and '/priv/' is forbidden";
    TenantMismatch = 92, FORBIDDEN, "Session user does not match target tenant";
    NoWriteCapability = 93, FORBIDDEN, "Session does not have write access to path";
    NoReadCapability = 94, FORBIDDEN, "Session does not have read access to path";
    ReadNeedsAuth = 95, UNAUTHORIZED, "Authentication required to read private storage";
    UserDisabled = 96, FORBIDDEN, "User is disabled";
    WritePathNotAllowed = 97, FORBIDDEN, "Write to this path is not allowed";

    // ---- the operator's API ----
    /// Detail says what is wrong with it.
    InvalidQuota = 140, UNPROCESSABLE_ENTITY, "Invalid quota";
    InvalidPublicKey = 141, BAD_REQUEST, "Invalid public key";
    UnknownCursor = 142, BAD_REQUEST, "Unknown cursor";
    /// Detail says which parameter, and why.
    InvalidParameter = 143, BAD_REQUEST, "Invalid parameter";
    /// Detail says why: the meta group's own words.
    SettingRefused = 144, BAD_REQUEST, "Setting refused";

    // ---- collections, for the operator ----
    PathExists = 150, METHOD_NOT_ALLOWED, "There is something at this path already";
    NoParent = 151, CONFLICT, "There is no collection above this path";
    DestinationExists = 152, PRECONDITION_FAILED, "There is something at the destination already";
    MoveIntoItself = 153, FORBIDDEN, "Nothing can be moved onto or into itself";
    /// Nothing was changed. Its parts can be moved or removed one by one.
    CollectionTooLarge = 154, FORBIDDEN, "The collection holds too much to be changed at once";
    PreconditionFailed = 155, PRECONDITION_FAILED, "Precondition Failed";
    /// The destination of a move or copy lies on another server, or is another user's.
    ForeignDestination = 156, BAD_GATEWAY, "The destination is on another server";
    OutsideDrive = 157, FORBIDDEN, "The destination must lie below /pub/ or /priv/ of the same user";
    MissingDestination = 158, BAD_REQUEST, "Missing or malformed Destination header";
    InvalidDepth = 159, BAD_REQUEST, "Invalid Depth header";
    InvalidXml = 160, BAD_REQUEST, "The body is no XML of this method";
    NotForCollections = 161, METHOD_NOT_ALLOWED, "This method is not for collections";
    UnsupportedBody = 162, UNSUPPORTED_MEDIA_TYPE, "This method has no body";

    // ---- event streams ----
    TooManyUsers = 170, BAD_REQUEST, "Too many users. Maximum allowed: 50";
    UserRequired = 171, BAD_REQUEST, "user parameter is required";
    /// Detail carries the whole text: `Invalid limit: ...`.
    InvalidLimit = 172, BAD_REQUEST, "Invalid limit";
    LimitTooSmall = 173, BAD_REQUEST, "limit must be at least 1";
    LiveReverse = 174, BAD_REQUEST, "Cannot use live mode with reverse ordering";
    /// Detail carries the whole text: `Invalid path: ...`.
    InvalidEventPath = 175, BAD_REQUEST, "Invalid path";

    // ---- locks and conditions ----
    Locked = 180, LOCKED, "Resource is locked";
    LockTokenMismatch = 181, PRECONDITION_FAILED, "The If header does not name the live lock on this path";
    NoSuchLock = 182, CONFLICT, "No lock with this token on this path";
    InvalidLockToken = 183, BAD_REQUEST, "Missing or malformed Lock-Token header";
    UnsupportedLock = 184, BAD_REQUEST, "Only exclusive write locks are supported";
    LockInfoTooLarge = 185, PAYLOAD_TOO_LARGE, "lockinfo body too large";
    /// A user holds a bounded number of locks. Abandoned ones expire.
    TooManyLocks = 186, TOO_MANY_REQUESTS, "Too many locks at once, retry later";
    InvalidCondition = 187, BAD_REQUEST, "Malformed If-Match or If-None-Match header";

    // ---- websites ----
    WebsitePathNotUtf8 = 190, BAD_REQUEST, "Website path is not valid UTF-8";
    /// Detail carries the whole text: `Invalid website path: ...`.
    InvalidWebsitePath = 191, BAD_REQUEST, "Invalid website path";

    // ---- storage ----
    DirectoryNotFound = 110, NOT_FOUND, "Directory Not Found";
    PathCollision = 111, CONFLICT, "File/folder path collision";
    QuotaExceeded = 112, INSUFFICIENT_STORAGE, "Disk space quota exceeded";
    DiskFull = 113, INSUFFICIENT_STORAGE, "The server is out of disk space, retry later";
    /// The object is not staged: it was never begun, or its time is over. Nothing was changed.
    UploadExpired = 114, REQUEST_TIMEOUT, "The upload took too long";
    /// No majority of the shard's disks holds the body.
    TooFewCopies = 115, SERVICE_UNAVAILABLE, "Too few disks took the body, retry later";
    /// A body's chunks are on no replica that answers.
    BodyUnavailable = 116, SERVICE_UNAVAILABLE, "The body cannot be read now, retry later";
    /// Old versions and uploads count too; some of them go when their grace is over.
    TooMuchStored = 117, INSUFFICIENT_STORAGE, "Too many bytes wait to be erased, retry later";
    /// A user has a bounded number of uploads under way. Abandoned ones expire.
    TooManyUploads = 118, TOO_MANY_REQUESTS, "Too many uploads at once, retry later";
}

impl ErrorCode {
    /// The number on the wire, never 0.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// Whether the reason may pass without anybody's doing. The response then carries Retry-After.
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::NotLeader
                | Self::WrongReplica
                | Self::Overloaded
                | Self::TooManyAttempts
                | Self::Unavailable
                | Self::RequestExpired
                | Self::GuardTableFull
                | Self::WrongVersion
                | Self::TooFewCopies
                | Self::BodyUnavailable
                | Self::TooManyUploads
                | Self::TooManyLocks
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_are_unique_and_round_trip() {
        let numbers: BTreeSet<u32> = ErrorCode::ALL.iter().map(|code| code.number()).collect();
        assert_eq!(numbers.len(), ErrorCode::ALL.len());
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_number(code.number()), Some(*code));
        }
        assert_eq!(ErrorCode::from_number(0), None);
    }
}
