//! Packing and unpacking, there and back.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use proptest::prelude::*;
use walkdir::WalkDir;

use super::unpack;
use crate::pack::{Packed, pack};

fn packed(directory: &Path, tar: &Path) -> Packed {
    pack(directory, tar, &mut |_| ()).unwrap()
}

fn unpacked(tar: &Path, directory: &Path, packed: &Packed) -> machine::error::Result<u64> {
    unpack(tar, directory, Some(&packed.files), &mut |_| ())
}

/// Everything below a directory: type, mode, modification time in seconds, and content or target.
fn tree(directory: &Path) -> BTreeMap<String, (u32, i64, Vec<u8>)> {
    let entries = WalkDir::new(directory).min_depth(1).into_iter().map(Result::unwrap);
    let described = entries.map(|entry| {
        let path = entry.path();
        let metadata = path.symlink_metadata().unwrap();
        let (content, time) = if metadata.is_symlink() {
            (path.read_link().unwrap().as_os_str().as_bytes().to_vec(), 0)
        } else if metadata.is_file() {
            (fs::read(path).unwrap(), metadata.mtime())
        } else {
            (Vec::new(), metadata.mtime())
        };
        let name = path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
        (name, (metadata.mode(), time, content))
    });
    described.collect()
}

#[test]
fn everything_comes_back() {
    let place = tempfile::tempdir().unwrap();
    let (from, to, tar) = (place.path().join("from"), place.path().join("to"), place.path().join("tar"));
    let deep = from.join("a/b").join("long".repeat(50)).join("name".repeat(50));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), "deep").unwrap();
    fs::write(from.join("empty"), "").unwrap();
    fs::create_dir(from.join("empty directory")).unwrap();
    fs::write(from.join("n\u{e4}me \u{2603}"), vec![3; 600_000]).unwrap();
    fs::write(from.join("script"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(from.join("script"), PermissionsExt::from_mode(0o4750)).unwrap();
    symlink("a/b", from.join("link")).unwrap();
    symlink("/nowhere/".repeat(20), from.join("broken link")).unwrap();
    fs::hard_link(from.join("empty"), from.join("again")).unwrap();
    let _socket = UnixListener::bind(from.join("socket")).unwrap();
    fs::set_permissions(from.join("a"), PermissionsExt::from_mode(0o555)).unwrap();
    let made = packed(&from, &tar);
    assert_eq!(made.content, crate::content::Content::of_file(&tar).unwrap());
    let names: Vec<&str> = made.files.iter().map(|file| file.path.as_str()).collect();
    assert!(names.is_sorted() && names.len() == 5, "{names:?}");
    assert_eq!(unpacked(&tar, &to, &made).unwrap(), 600_000 + 4 + 10);
    fs::remove_file(from.join("socket")).unwrap();
    assert_eq!(tree(&to), tree(&from));
}

#[test]
fn a_sparse_file_stays_sparse() {
    // Not in the temporary directory, whose file system may have no holes.
    let place = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
    let (from, to, tar) = (place.path().join("from"), place.path().join("to"), place.path().join("tar"));
    fs::create_dir(&from).unwrap();
    let file = File::create(from.join("sparse")).unwrap();
    file.set_len(8 << 20).unwrap();
    file.write_all_at(b"middle", 4 << 20).unwrap();
    drop(file);
    let made = packed(&from, &tar);
    assert!(made.files[0].is_sparse);
    unpacked(&tar, &to, &made).unwrap();
    assert_eq!(tree(&to), tree(&from));
    assert!(to.join("sparse").metadata().unwrap().blocks() * 512 < 1 << 20);
}

#[test]
fn what_cannot_be_packed_is_an_error_and_leaves_no_file() {
    let place = tempfile::tempdir().unwrap();
    let (from, tar) = (place.path().join("from"), place.path().join("tar"));
    let error = |from: &Path| {
        let error = pack(from, &tar, &mut |_| ()).unwrap_err().to_string();
        assert!(!tar.exists());
        error.replace(&place.path().display().to_string(), "PLACE")
    };
    let missing = error(&from);
    fs::create_dir(&from).unwrap();
    nix::unistd::mkfifo(&from.join("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    let pipe = error(&from);
    fs::remove_file(from.join("pipe")).unwrap();
    fs::write(from.join(OsStr::from_bytes(b"not \xff UTF-8")), "").unwrap();
    insta::assert_snapshot!([missing, pipe, error(&from)].join("\n"));
}

#[test]
fn what_does_not_fit_the_list_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let (from, tar) = (place.path().join("from"), place.path().join("tar"));
    fs::create_dir(&from).unwrap();
    fs::write(from.join("one"), "1").unwrap();
    fs::write(from.join("two"), "2").unwrap();
    let made = packed(&from, &tar);
    let mut number = 0;
    let mut error = |change: &dyn Fn(&mut Packed)| {
        let mut changed = made.clone();
        change(&mut changed);
        number += 1;
        let to = place.path().join(format!("to {number}"));
        let error = unpacked(&tar, &to, &changed).unwrap_err().to_string();
        error.replace(&place.path().display().to_string(), "PLACE")
    };
    let errors = [
        error(&|packed| packed.files.truncate(1)),
        error(&|packed| {
            let mut third = packed.files[0].clone();
            third.path = "three".to_owned();
            packed.files.push(third);
        }),
        error(&|packed| packed.files[0].bytes = 2),
        error(&|packed| packed.files[0].blake3 = packed.files[1].blake3),
    ];
    insta::assert_snapshot!(errors.join("\n"));
    let full = unpacked(&tar, &from, &made).unwrap_err().to_string();
    assert!(full.ends_with("is not empty: choose another directory"), "{full}");
}

#[test]
fn nothing_is_written_outside() {
    let place = tempfile::tempdir().unwrap();
    let tar = place.path().join("tar");
    for (number, name) in ["../outside", "/outside", "a/../../outside", "."].iter().enumerate() {
        let mut builder = tar::Builder::new(File::create(&tar).unwrap());
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(0o644);
        header.set_size(1);
        header.set_cksum();
        builder.append(&header, &b"x"[..]).unwrap();
        builder.into_inner().unwrap();
        let to = place.path().join(format!("to {number}"));
        unpack(&tar, &to, None, &mut |_| ()).unwrap_err();
        assert!(!place.path().join("outside").exists() && !Path::new("/outside").exists());
    }
    // A link to the outside, and a file behind it.
    let mut builder = tar::Builder::new(File::create(&tar).unwrap());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    header.set_mode(0o777);
    builder.append_link(&mut header, "link", place.path()).unwrap();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(1);
    builder.append_data(&mut header, "link/outside", &b"x"[..]).unwrap();
    builder.into_inner().unwrap();
    unpack(&tar, &place.path().join("to"), None, &mut |_| ()).unwrap_err();
    assert!(!place.path().join("outside").exists());
}

type Files = Vec<(Vec<String>, Vec<u8>, u32)>;

fn files() -> impl Strategy<Value = Files> {
    let name = prop::sample::select(vec!["a", "b", " c", "d.db-wal", "\u{e9}"]).prop_map(str::to_owned);
    let file = (
        prop::collection::vec(name, 1..4),
        prop::collection::vec(any::<u8>(), 0..5000),
        prop::sample::select(vec![0o600, 0o644, 0o755, 0o400]),
    );
    prop::collection::vec(file, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn packing_and_unpacking_is_the_identity(files in files()) {
        let place = tempfile::tempdir().unwrap();
        let (from, to, tar) = (place.path().join("from"), place.path().join("to"), place.path().join("tar"));
        fs::create_dir(&from).unwrap();
        for (names, bytes, mode) in files {
            let path = from.join(names.join("/"));
            // A name may be a file's and a directory's.
            if fs::create_dir_all(path.parent().unwrap()).is_ok() && fs::write(&path, bytes).is_ok() {
                fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            }
        }
        let made = packed(&from, &tar);
        unpacked(&tar, &to, &made).unwrap();
        prop_assert_eq!(tree(&to), tree(&from));
    }

    #[test]
    fn foreign_bytes_are_no_panic(
        place_of in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let place = tempfile::tempdir().unwrap();
        let (from, tar) = (place.path().join("from"), place.path().join("tar"));
        fs::create_dir(&from).unwrap();
        fs::write(from.join("file"), vec![1; 2000]).unwrap();
        symlink("file", from.join("link")).unwrap();
        let made = packed(&from, &tar);
        let mut all = fs::read(&tar).unwrap();
        let start = place_of.index(all.len());
        let end = all.len().min(start + bytes.len());
        all[start..end].copy_from_slice(&bytes[..end - start]);
        fs::write(&tar, &all).unwrap();
        let _ = unpacked(&tar, &place.path().join("to"), &made);
        let _ = unpack(&tar, &place.path().join("to too"), None, &mut |_| ());
        fs::write(&tar, &bytes).unwrap();
        let _ = unpack(&tar, &place.path().join("to as well"), None, &mut |_| ());
    }
}
