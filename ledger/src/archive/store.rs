//! Where archive files are: a directory or an object store that speaks S3, named by a URL. Credentials, region and
//! endpoint of object stores come from the environment: `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT` and their like.

use std::{path::Path as FilePath, sync::Arc};

use bytes::Bytes;
use events::id::{OrgId, Seq};
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt, ObjectStoreScheme, WriteMultipart, local::LocalFileSystem,
    path::Path,
};
use url::Url;
use uuid::Uuid;

use super::FileError;

/// Parts of a file that are on their way to the store at a time.
const UPLOADS_MAX: usize = 4;

/// A place that no archive can be in.
#[derive(Debug, thiserror::Error)]
#[error("{place:?} is no place for an archive: {why}; give a directory, or a URL such as s3://bucket/archive")]
pub struct InvalidPlace {
    place: String,
    why: String,
}

/// A directory, or its like in an object store, that holds archives: `<org_id>/<first>-<last>.parquet`.
#[derive(Clone, Debug)]
pub struct Directory {
    url: Url,
}

impl Directory {
    /// The directory at a path of this machine or at a URL. Nothing is looked at yet.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(place: &str) -> Result<Self, InvalidPlace> {
        let invalid = |why: String| InvalidPlace { place: place.to_owned(), why };
        let url = if place.contains("://") {
            let mut url = Url::parse(place).map_err(|error| invalid(error.to_string()))?;
            if url.query().is_some() || url.fragment().is_some() {
                return Err(invalid("it has more than a path".to_owned()));
            }
            if !url.path().ends_with('/') {
                url.set_path(&format!("{}/", url.path()));
            }
            url
        } else {
            let path = std::path::absolute(place).map_err(|error| invalid(error.to_string()))?;
            if path.exists() && !path.is_dir() {
                return Err(invalid("it is a file".to_owned()));
            }
            Url::from_directory_path(path).map_err(|()| invalid("it has no absolute path".to_owned()))?
        };
        Stored::open(&url).map_err(|error| invalid(error.to_string()))?;
        Ok(Self { url })
    }

    /// The URL of the file that holds these events.
    pub(crate) fn file(&self, org_id: OrgId, first: Seq, last: Seq) -> String {
        format!("{}{org_id}/{first}-{last}.parquet", self.url)
    }
}

/// A file of a store, which need not exist.
pub(crate) struct Stored {
    location: String,
    store: Arc<dyn ObjectStore>,
    path: Path,
}

impl Stored {
    pub(crate) fn new(location: &str) -> Result<Self, FileError> {
        let opened = Url::parse(location).map_err(Into::into).and_then(|url| Self::open(&url));
        let (store, path) = opened.map_err(|error| unreadable(location, error))?;
        Ok(Self { location: location.to_owned(), store, path })
    }

    fn open(url: &Url) -> Result<(Arc<dyn ObjectStore>, Path), Box<dyn std::error::Error + Send + Sync>> {
        match ObjectStoreScheme::parse(url)? {
            // What was archived is dropped later, so it must be on the disk.
            (ObjectStoreScheme::Local, path) => Ok((Arc::new(LocalFileSystem::new().with_fsync(true)), path)),
            _ => {
                // Fails where it is said already.
                let _ = rustls::crypto::ring::default_provider().install_default();
                let settings = std::env::vars_os()
                    .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
                // How S3 itself puts a copy only where nothing is; other stores have settings of their own.
                let conditional_copy = ("AWS_COPY_IF_NOT_EXISTS".to_owned(), "multipart".to_owned());
                let settings = [conditional_copy].into_iter().chain(settings);
                let (store, path) = object_store::parse_url_opts(url, settings)?;
                Ok((store.into(), path))
            }
        }
    }

    /// How large it is; none if it is not there.
    pub(crate) async fn size(&self) -> Result<Option<u64>, FileError> {
        match self.store.head(&self.path).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.unreadable(error)),
        }
    }

    /// The name under which it is written: it gets its own when it is whole.
    pub(crate) fn unfinished(&self) -> Result<Self, FileError> {
        self.remove_leavings();
        // Another ledger may be writing a file of this name too.
        Self::new(&format!("{}.{}.part", self.location, Uuid::new_v4().simple()))
    }

    /// Begins to write it.
    pub(crate) async fn write(&self) -> Result<Upload, FileError> {
        let upload = self.store.put_multipart(&self.path).await.map_err(|error| self.unreadable(error))?;
        Ok(Upload { location: self.location.clone(), parts: WriteMultipart::new(upload) })
    }

    /// Gives it another name, and is true; unless a file of that name stands there, which is left as it is.
    pub(crate) async fn copy_to(&self, to: &Self) -> Result<bool, FileError> {
        match self.store.copy_if_not_exists(&self.path, &to.path).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(to.unreadable(error)),
        }
    }

    /// At worst it stays, under a name that nobody reads.
    pub(crate) async fn remove(&self) {
        let _ = self.store.delete(&self.path).await;
    }

    /// What a killed process has left of an attempt to write this file. Of a ledger, one process alone archives an
    /// org; if one of another ledger writes a file of the same name just now, it fails and is run again.
    fn remove_leavings(&self) {
        let Ok(path) = Url::parse(&self.location).map_err(drop).and_then(|url| url.to_file_path()) else { return };
        let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
            return;
        };
        let Ok(entries) = FilePath::read_dir(directory) else { return };
        for entry in entries.flatten() {
            let rest = entry.file_name().to_str().and_then(|entry| entry.strip_prefix(name).map(str::to_owned));
            if rest.is_some_and(|rest| is_leaving(&rest)) {
                // At worst it stays where it is, under a name that nobody reads.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// Its last bytes, so many at most, and how large it is.
    pub(crate) async fn end(&self, bytes_max: u64) -> Result<(Bytes, u64), FileError> {
        let options = GetOptions { range: Some(GetRange::Suffix(bytes_max)), ..GetOptions::default() };
        let read = async {
            let result = self.store.get_opts(&self.path, options).await?;
            let size = result.meta.size;
            Ok((result.bytes().await?, size))
        };
        read.await.map_err(|error: object_store::Error| self.unreadable(error))
    }

    pub(crate) async fn range(&self, range: std::ops::Range<u64>) -> Result<Bytes, FileError> {
        self.store.get_range(&self.path, range).await.map_err(|error| self.unreadable(error))
    }

    pub(crate) fn location(&self) -> &str {
        &self.location
    }

    fn unreadable(&self, error: object_store::Error) -> FileError {
        unreadable(&self.location, error.into())
    }
}

fn unreadable(location: &str, error: Box<dyn std::error::Error + Send + Sync>) -> FileError {
    FileError::Unreadable { location: location.to_owned(), error }
}

/// A file that is being written.
pub(crate) struct Upload {
    location: String,
    parts: WriteMultipart,
}

impl Upload {
    pub(crate) async fn put(&mut self, bytes: Vec<u8>) -> Result<(), FileError> {
        self.parts.put(bytes.into());
        let room = self.parts.wait_for_capacity(UPLOADS_MAX).await;
        room.map_err(|error| unreadable(&self.location, error.into()))
    }

    /// Now the file is there, whole.
    pub(crate) async fn finish(self) -> Result<(), FileError> {
        self.parts.finish().await.map_err(|error| unreadable(&self.location, error.into()))?;
        Ok(())
    }

    pub(crate) async fn abort(self) {
        // Whatever stays is removed by the next attempt, or by the store's own rules.
        let _ = self.parts.abort().await;
    }
}

/// Whether a file whose name goes on like this behind an archive's is what an attempt to write that has left:
/// `.<id>.part`, and what the store itself appends to a name, `#<number>`. Anything else is somebody's own.
fn is_leaving(rest: &str) -> bool {
    let (rest, number) = rest.split_once('#').unwrap_or((rest, "0"));
    let id = rest.strip_prefix('.').and_then(|rest| rest.strip_suffix(".part"));
    number.bytes().all(|byte| byte.is_ascii_digit())
        && (rest.is_empty() || id.is_some_and(|id| Uuid::try_parse(id).is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_attempt_has_left_is_removed() {
        let part = format!(".{}.part", Uuid::new_v4().simple());
        for leaving in ["#1", &part, &format!("{part}#2")] {
            assert!(is_leaving(leaving), "{leaving}");
        }
        for own in [".old", ".bak", ".sha256", ".part", ".1.part", "#a", &format!("{part}.old"), ".parquet#x"] {
            assert!(!is_leaving(own), "{own}");
        }
    }
}
