//! `age`: encrypts for X25519 keys in the format of the `age` command (age-encryption.org/v1).

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret;
use age::x25519::{Identity, Recipient};
use age::{DecryptError, Decryptor, Encryptor, IdentityFile};
use machine::error::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::content::{PIECE_BYTES, cannot, copy};
use crate::settings::SettingDoc;
use crate::transform::configured::TransformEntry;
use crate::transform::contract::{Definition, Keys, Transform};

inventory::submit! { TransformEntry::of::<Age>() }

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Age {
    recipients: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_file: Option<PathBuf>,
}

impl Definition for Age {
    const NAME: &'static str = "age";
    const SUMMARY: &'static str = "encrypts and authenticates, in the format of the age command";
    const SUFFIX: &'static str = "age";
    const SETTINGS: &'static [SettingDoc] = &[
        SettingDoc {
            name: "recipients",
            kind: "list of strings",
            default: "[]",
            meaning: "public keys (age1...), each of which can decrypt; without any, those of identity_file, or of a \
                      key pair that is generated",
        },
        SettingDoc {
            name: "identity_file",
            kind: "path",
            default: "a generated key pair",
            meaning: "file with secret keys (AGE-SECRET-KEY-1...) as age-keygen writes it, to decrypt",
        },
    ];

    fn validate(&self) -> Result<(), String> {
        self.recipients.iter().try_for_each(|text| recipient(text).map(drop))
    }
}

impl Transform for Age {
    fn apply(&self, keys: Keys, input: &mut dyn Read, output: &mut dyn Write) -> anyhow::Result<()> {
        let recipients = self.recipients(keys)?;
        let recipients = recipients.iter().map(|recipient| &**recipient as &dyn age::Recipient);
        let encryptor = Encryptor::with_recipients(recipients)?;
        let mut writer = encryptor.wrap_output(output)?;
        copy(input, &mut writer)?;
        writer.finish()?;
        Ok(())
    }

    fn revert(&self, keys: Keys, input: &mut dyn Read, output: &mut dyn Write) -> anyhow::Result<()> {
        let file = match &self.identity_file {
            Some(file) => file,
            None if self.recipients.is_empty() => keys.identity_file,
            None => {
                let message = "settings.identity_file of the transform 'age' is required to decrypt what was \
                               encrypted for settings.recipients";
                return Err(Error::Input(message.to_owned()).into());
            }
        };
        let identities = identities(file)?;
        let identities = identities.into_identities()?;
        let identities = identities.iter().map(|identity| &**identity as &dyn age::Identity);
        let decryptor = Decryptor::new_buffered(BufReader::with_capacity(PIECE_BYTES, input))?;
        let mut reader = decryptor.decrypt(identities).map_err(|error| explained(error, file))?;
        copy(&mut reader, output)?;
        Ok(())
    }

    fn check(&self) -> Result<()> {
        self.identity_file.as_ref().map_or(Ok(()), |file| identities(file).map(drop))
    }
}

impl Age {
    fn recipients(&self, keys: Keys) -> Result<Vec<Box<dyn age::Recipient + Send>>> {
        if !self.recipients.is_empty() {
            let parsed = self.recipients.iter().map(|text| {
                let recipient = recipient(text).map_err(Error::Input)?;
                Ok(Box::new(recipient) as Box<dyn age::Recipient + Send>)
            });
            return parsed.collect();
        }
        let file = self.identity_file.as_deref().unwrap_or(keys.identity_file);
        if self.identity_file.is_none() && !file.exists() {
            generate(file)?;
        }
        let recipients = identities(file)?.to_recipients();
        recipients.map_err(|_| Error::Input(format!("there is no secret key in {}", file.display())))
    }
}

fn recipient(text: &str) -> Result<Recipient, String> {
    text.parse()
        .map_err(|error| format!("recipients: '{text}' is not a public key of age (age1...): {error}"))
}

fn identities(file: &Path) -> Result<IdentityFile<age::NoCallbacks>> {
    let opened = File::open(file).map_err(|error| cannot("read the secret key", file, &error))?;
    // The error of a line that is no key does not contain the line.
    IdentityFile::from_buffer(BufReader::new(opened)).map_err(|error| {
        Error::Input(format!(
            "{} is not a file of secret keys as age-keygen writes it: {error}",
            file.display()
        ))
    })
}

/// Writes a new key pair as `age-keygen` does.
fn generate(file: &Path) -> Result<()> {
    let identity = Identity::generate();
    let failed = |error| cannot("write the secret key", file, &error);
    let mut created = File::options().write(true).create_new(true).mode(0o600).open(file).map_err(failed)?;
    let secret = identity.to_string();
    let text = format!("# public key: {}\n{}\n", identity.to_public(), secret.expose_secret());
    created.write_all(text.as_bytes()).and_then(|()| created.sync_all()).map_err(failed)
}

fn explained(error: DecryptError, file: &Path) -> anyhow::Error {
    match error {
        DecryptError::NoMatchingKeys => Error::Environment(format!(
            "the backup cannot be decrypted: it is encrypted for other keys than that in {}",
            file.display()
        ))
        .into(),
        error => error.into(),
    }
}
