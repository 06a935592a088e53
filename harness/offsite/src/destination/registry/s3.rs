//! `s3`: a bucket of Amazon S3, or of a server that speaks its protocol.

use std::ops::Range;
use std::path::Path;

use machine::error::Result;
use serde::{Deserialize, Serialize};

use crate::destination::configured::DestinationEntry;
use crate::destination::contract::{Definition, Destination, Listing, Moved, Operation, Upload};
use crate::destination::name::ObjectName;
use crate::destination::s3::client::{Bucket, Client};
use crate::destination::s3::{download, upload};
use crate::settings::SettingDoc;

inventory::submit! { DestinationEntry::of::<S3>() }

/// Its settings are those of the bucket.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct S3(pub(crate) Bucket);

impl Definition for S3 {
    const NAME: &'static str = "s3";
    const SUMMARY: &'static str = "a bucket of Amazon S3 or of a compatible server; credentials only from AWS_ACCESS_KEY_ID \
                                   and AWS_SECRET_ACCESS_KEY, or a profile of ~/.aws";
    const SETTINGS: &'static [SettingDoc] = &[
        SettingDoc { name: "bucket", kind: "string", default: "required", meaning: "name of the bucket" },
        SettingDoc {
            name: "endpoint",
            kind: "string",
            default: "Amazon S3",
            meaning: "URL of the server, with http:// or https://",
        },
        SettingDoc {
            name: "region",
            kind: "string",
            default: "AWS_REGION, the profile's, or us-east-1",
            meaning: "region of the bucket",
        },
        SettingDoc {
            name: "prefix",
            kind: "string",
            default: "none",
            meaning: "what the key of every object begins with, without the slash that follows",
        },
        SettingDoc {
            name: "credentials_file",
            kind: "path",
            default: "the environment's credentials, AWS_SHARED_CREDENTIALS_FILE, or ~/.aws/credentials",
            meaning: "file of credentials in the format of ~/.aws/credentials; it comes before the environment",
        },
        SettingDoc {
            name: "profile",
            kind: "string",
            default: "the environment's credentials, AWS_PROFILE, or default",
            meaning: "profile in that file; it comes before the environment",
        },
        SettingDoc {
            name: "part_mib",
            kind: "integer",
            default: "16",
            meaning: "size of the parts of uploads and downloads in MiB, from 5 to 1024; larger for files of more than \
                      10,000 parts",
        },
        SettingDoc {
            name: "parallel",
            kind: "integer",
            default: "4",
            meaning: "parts that are transferred at the same time, from 1 to 64; each needs the memory of a part",
        },
        SettingDoc {
            name: "retries",
            kind: "integer",
            default: "5",
            meaning: "how often a request is repeated after an error of the server or the network, from 0 to 20",
        },
    ];

    fn validate(&self) -> Result<(), String> {
        self.0.validate()
    }
}

impl Destination for S3 {
    fn place(&self) -> String {
        self.0.place()
    }

    fn put(&self, upload: &Upload, operation: &mut Operation) -> Result<Moved> {
        let client = Client::connect(&self.0)?;
        let bytes = upload::put(&client, upload, operation)?;
        Ok(client.moved(bytes))
    }

    fn list(&self, operation: &mut Operation) -> Result<Listing> {
        let client = Client::connect(&self.0)?;
        let found = client.list(&operation.launcher.cancel)?;
        Ok(Listing::of(found, client.moved(0).requests))
    }

    fn get(&self, name: &ObjectName, to: &Path, operation: &mut Operation) -> Result<Moved> {
        let client = Client::connect(&self.0)?;
        let bytes = download::get(&client, name, to, operation)?;
        Ok(client.moved(bytes))
    }

    fn get_range(
        &self,
        name: &ObjectName,
        range: Range<u64>,
        operation: &mut Operation,
    ) -> Result<(Vec<u8>, Moved)> {
        let client = Client::connect(&self.0)?;
        let part = download::get_range(&client, name, range, &operation.launcher.cancel)?;
        let moved = client.moved(part.len() as u64);
        Ok((part, moved))
    }

    fn delete(&self, name: &ObjectName, operation: &mut Operation) -> Result<Moved> {
        let client = Client::connect(&self.0)?;
        client.delete(name, &operation.launcher.cancel)?;
        Ok(client.moved(0))
    }
}
