//! What S3's errors mean, and what to do about them.

use std::error::Error as StdError;

use machine::error::Error;
use object_store::Error as StoreError;
use reports::printable;

/// Causes by S3's code, with what to do.
const CAUSES: [(&str, &str); 17] = [
    ("NoSuchBucket", "the bucket does not exist: create it, or correct settings.bucket"),
    ("InvalidBucketName", "this cannot be the name of a bucket: correct settings.bucket"),
    ("PermanentRedirect", "the bucket is in another region: correct settings.region or settings.endpoint"),
    ("AuthorizationHeaderMalformed", "the bucket is in another region: correct settings.region"),
    ("IllegalLocationConstraintException", "the bucket is in another region: correct settings.region"),
    (
        "InvalidAccessKeyId",
        "the server does not know the access key: correct AWS_ACCESS_KEY_ID or the profile",
    ),
    ("NotSignedUp", "the server does not know the access key: correct AWS_ACCESS_KEY_ID or the profile"),
    ("SignatureDoesNotMatch", "the secret key is wrong: correct AWS_SECRET_ACCESS_KEY or the profile"),
    ("ExpiredToken", "the credentials have expired: get new ones"),
    ("TokenRefreshRequired", "the credentials have expired: get new ones"),
    ("InvalidToken", "the session token is wrong or has expired: get new credentials"),
    ("AccessDenied", "access denied: allow these credentials to read, write, list and delete in the bucket"),
    ("RequestTimeTooSkewed", "this machine's clock differs from the server's: set it"),
    ("NoSuchKey", "there is no such object"),
    ("NoSuchUpload", "the server has removed the parts of the upload: upload it again"),
    ("EntityTooLarge", "the object is too large for the server"),
    ("QuotaExceeded", "the destination is full: remove old backups"),
];

/// The error of an operation such as "upload 'name' to s3://bucket".
pub(super) fn explained(operation: &str, error: &StoreError, retries: usize) -> Error {
    Error::Environment(format!("cannot {operation}: {}", cause(error, retries)))
}

fn cause(error: &StoreError, retries: usize) -> String {
    let text = error.to_string();
    let code = between(&text, "<Code>", "</Code>");
    let message = between(&text, "<Message>", "</Message>");
    let message = message.map(|text| printable(text.trim_start_matches("<![CDATA[").trim_end_matches("]]>")));
    if let Some((code, meaning)) = code.and_then(|code| CAUSES.iter().find(|(known, _)| *known == code)) {
        return format!("{meaning} ({code})");
    }
    if text.contains("redirect without LOCATION") {
        return "the bucket is in another region: correct settings.region or settings.endpoint".to_owned();
    }
    let status = status(&text);
    match (status, code) {
        (Some(status), _) if status >= 500 => {
            let said = code.map_or_else(String::new, |code| format!(" {code}"));
            format!("the server answered {status}{said}, also to {retries} repetitions: try again later")
        }
        (Some(status), Some(code)) => {
            format!("the server answered {status} {code}: {}", message.unwrap_or_default())
        }
        (Some(403), None) => "access denied: check the credentials and what they may do (403)".to_owned(),
        (Some(404), None) => "there is no such bucket or object (404)".to_owned(),
        (Some(status), None) => format!("the server answered {status}"),
        (None, _) => {
            let root = printable(&root(error));
            format!(
                "{root}; no answer, also to {retries} repetitions: check settings.endpoint and the network"
            )
        }
    }
}

/// The status of an answer that is not a success.
fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once("status code: ").or_else(|| text.split_once("HTTP status "))?;
    rest.get(..3)?.parse().ok()
}

/// The message of the innermost cause: the operating system's.
fn root(error: &dyn StdError) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    Some(rest.split_once(end)?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> StoreError {
        StoreError::Generic { store: "S3", source: text.to_owned().into() }
    }

    #[test]
    fn each_cause_is_named_with_its_cure() {
        let denied = "Server returned non-2xx status code: 403 Forbidden: <Error><Code>SignatureDoesNotMatch</Code>\
                      <Message>m</Message></Error>";
        let odd = "Server returned non-2xx status code: 400 Bad Request: <Error><Code>InvalidPart</Code>\
                   <Message>no\u{1b}[31m part</Message></Error>";
        let told = [denied, odd, "status code: 503 Service Unavailable: busy", "connection refused"]
            .map(|text| explained("list s3://b", &generic(text), 5).to_string());
        insta::assert_snapshot!(told.join("\n"), @"
        cannot list s3://b: the secret key is wrong: correct AWS_SECRET_ACCESS_KEY or the profile (SignatureDoesNotMatch)
        cannot list s3://b: the server answered 400 InvalidPart: no part
        cannot list s3://b: the server answered 503, also to 5 repetitions: try again later
        cannot list s3://b: connection refused; no answer, also to 5 repetitions: check settings.endpoint and the network
        ");
    }
}
