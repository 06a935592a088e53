//! Every transform, and chains of them, there and back.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::{ConfiguredTransform, Direction, Keys, registry};
use crate::settings::Settings;

fn transform(name: &str, settings: &str) -> ConfiguredTransform {
    registry::named(name).unwrap().configure(&settings.parse::<Settings>().unwrap()).unwrap()
}

/// Transforms bytes; no file may be left when that fails.
fn run(
    directory: &Path,
    transform: &ConfiguredTransform,
    direction: Direction,
    bytes: &[u8],
) -> machine::error::Result<Vec<u8>> {
    let (from, to) = (directory.join("from"), directory.join("to"));
    fs::write(&from, bytes).unwrap();
    let keys = Keys { identity_file: &directory.join("key") };
    let done = transform.run(direction, keys, &from, &to, &mut |_| ());
    assert_eq!(done.is_ok(), to.exists(), "{done:?}");
    let content = done?;
    let bytes = fs::read(&to).unwrap();
    assert_eq!(content, crate::content::Content::of_file(&to).unwrap());
    fs::remove_file(&to).unwrap();
    Ok(bytes)
}

/// Bytes that can be compressed, and then others.
fn sample() -> Vec<u8> {
    let mut bytes = vec![7; 300_000];
    bytes.extend((0..50_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()));
    bytes
}

#[test]
fn each_transform_gives_back_what_it_got() {
    for entry in registry::all() {
        let directory = tempfile::tempdir().unwrap();
        let transform = entry.configure(&Settings::new()).unwrap();
        for bytes in [Vec::new(), b"x".to_vec(), sample()] {
            let there = run(directory.path(), &transform, Direction::Apply, &bytes).unwrap();
            assert_ne!(there, bytes);
            let back = run(directory.path(), &transform, Direction::Revert, &there).unwrap();
            assert!(back == bytes, "{}", entry.name);
        }
    }
}

#[test]
fn every_truncation_is_an_error() {
    for entry in registry::all() {
        let directory = tempfile::tempdir().unwrap();
        let transform = entry.configure(&Settings::new()).unwrap();
        let there = run(directory.path(), &transform, Direction::Apply, &sample()).unwrap();
        for length in [0, 1, 20, there.len() / 2, there.len() - 1] {
            let error = run(directory.path(), &transform, Direction::Revert, &there[..length]).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("from is damaged: ") && text.contains(entry.name), "{text}");
        }
        let longer = [&there[..], b"more"].concat();
        run(directory.path(), &transform, Direction::Revert, &longer).unwrap_err();
    }
}

#[test]
fn a_generated_key_is_private_and_another_one_decrypts_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let transform = transform("age", "");
    let there = run(directory.path(), &transform, Direction::Apply, b"secret").unwrap();
    assert!(there.starts_with(b"age-encryption.org/v1\n"));
    let key = directory.path().join("key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&key).unwrap();
    // A second use takes the same key.
    run(directory.path(), &transform, Direction::Apply, b"secret").unwrap();
    assert_eq!(fs::read_to_string(&key).unwrap(), text);
    fs::remove_file(&key).unwrap();
    run(directory.path(), &transform, Direction::Apply, b"other").unwrap();
    let error = run(directory.path(), &transform, Direction::Revert, &there).unwrap_err().to_string();
    assert!(error.starts_with("the backup cannot be decrypted: it is encrypted for other keys"), "{error}");
    fs::write(&key, "no key\n").unwrap();
    let error = run(directory.path(), &transform, Direction::Revert, &there).unwrap_err().to_string();
    assert!(error.contains("is not a file of secret keys") && !error.contains("no key\n"), "{error}");
    fs::remove_file(&key).unwrap();
    let error = run(directory.path(), &transform, Direction::Revert, &there).unwrap_err().to_string();
    assert!(error.starts_with("cannot read the secret key "), "{error}");
}

#[test]
fn recipients_and_identity_file_are_used() {
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), &transform("age", ""), Direction::Apply, b"").unwrap();
    let key = directory.path().join("mine");
    fs::rename(directory.path().join("key"), &key).unwrap();
    let text = fs::read_to_string(&key).unwrap();
    let recipient = text.lines().next().unwrap().strip_prefix("# public key: ").unwrap();
    let for_recipient = transform("age", &format!("recipients = ['{recipient}']"));
    let there = run(directory.path(), &for_recipient, Direction::Apply, b"secret").unwrap();
    let error = run(directory.path(), &for_recipient, Direction::Revert, &there).unwrap_err().to_string();
    assert!(error.starts_with("settings.identity_file of the transform 'age' is required"), "{error}");
    let by_file = transform("age", &format!("identity_file = '{}'", key.display()));
    by_file.check().unwrap();
    assert_eq!(run(directory.path(), &by_file, Direction::Revert, &there).unwrap(), b"secret");
    let there = run(directory.path(), &by_file, Direction::Apply, b"by file").unwrap();
    assert_eq!(run(directory.path(), &by_file, Direction::Revert, &there).unwrap(), b"by file");
    assert!(!directory.path().join("key").exists());
    transform("age", "identity_file = '/no/such/file'").check().unwrap_err();
}

#[test]
fn bad_settings_are_the_users_errors() {
    let wrong = |name: &str, settings: &str| {
        let configured = registry::named(name).unwrap().configure(&settings.parse().unwrap());
        configured.unwrap_err().to_string()
    };
    let errors = [
        wrong("zstd", "level = 0"),
        wrong("zstd", "lavel = 3"),
        wrong("gzip", "level = 'high'"),
        wrong("age", "recipients = ['nobody']"),
        registry::named("bzip2").err().unwrap().to_string(),
    ];
    insta::assert_snapshot!(errors.join("\n"));
}

fn chains() -> impl Strategy<Value = Vec<ConfiguredTransform>> {
    let all: Vec<ConfiguredTransform> = vec![
        transform("zstd", "level = 1"),
        transform("zstd", ""),
        transform("gzip", "level = 1"),
        transform("age", ""),
    ];
    prop::collection::vec(prop::sample::select(all), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_chain_gives_back_what_it_got(chain in chains(), bytes in prop::collection::vec(any::<u8>(), 0..100_000)) {
        let directory = tempfile::tempdir().unwrap();
        let mut there = bytes.clone();
        for transform in &chain {
            there = run(directory.path(), transform, Direction::Apply, &there).unwrap();
        }
        for transform in chain.iter().rev() {
            there = run(directory.path(), transform, Direction::Revert, &there).unwrap();
        }
        prop_assert!(there == bytes);
    }

    #[test]
    fn every_changed_byte_of_an_encrypted_file_is_noticed(
        bytes in prop::collection::vec(any::<u8>(), 0..70_000),
        place in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let transform = transform("age", "");
        let mut there = run(directory.path(), &transform, Direction::Apply, &bytes).unwrap();
        let place = place.index(there.len());
        there[place] ^= flip;
        prop_assert!(run(directory.path(), &transform, Direction::Revert, &there).is_err());
    }

    #[test]
    fn foreign_bytes_are_an_error_and_no_panic(
        head in prop::sample::select(vec![&b""[..], b"age-encryption.org/v1\n-> X25519 ", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"]),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let directory = tempfile::tempdir().unwrap();
        run(directory.path(), &transform("age", ""), Direction::Apply, b"").unwrap();
        for entry in registry::all() {
            let transform = entry.configure(&Settings::new()).unwrap();
            // A few random bytes may be a valid frame; they are no encrypted file.
            let read = run(directory.path(), &transform, Direction::Revert, &[head, &bytes[..]].concat());
            prop_assert!(read.is_err() || entry.name != "age");
        }
    }
}
