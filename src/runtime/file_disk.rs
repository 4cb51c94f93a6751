//! The machine's own file system as a `Disk`.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::posix_fallocate;

use super::{Disk, DiskFile};

/// Files are readable by their owner alone, as PostgreSQL's are.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

#[derive(Debug, Clone, Copy, Default)]
pub struct FileDisk;

impl DiskFile for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        File::sync_data(self)
    }
}

impl Disk for FileDisk {
    type File = File;

    fn create(&self, path: &Path, len: u64) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(FILE_MODE);
        let file = options.open(path)?;
        if len > 0 {
            let length = i64::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
            posix_fallocate(&file, 0, length)?;
        }
        Ok(file)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut paths = Vec::new();
        for entry in entries {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                paths.push(entry.path());
            }
        }
        paths.sort();
        Ok(paths)
    }

    fn create_dir(&self, directory: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        File::open(directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_live_through_create_write_rename_remove() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("a/b");
        assert_eq!(FileDisk.list(&home).unwrap(), Vec::<PathBuf>::new());
        FileDisk.create_dir(&home).unwrap();
        FileDisk.create_dir(&home).unwrap();
        let (old, new) = (home.join("x.new"), home.join("x"));
        let mut file = FileDisk.create(&old, 8192).unwrap();
        assert_eq!(DiskFile::len(&file).unwrap(), 8192);
        assert_eq!(FileDisk.create(&old, 1).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        DiskFile::write_all_at(&mut file, b"hello", 4090).unwrap();
        DiskFile::sync_data(&mut file).unwrap();
        FileDisk.rename(&old, &new).unwrap();
        FileDisk.sync_dir(&home).unwrap();
        assert_eq!(FileDisk.list(&home).unwrap(), vec![new.clone()]);
        let mut bytes = [1; 8];
        let opened = FileDisk.open(&new).unwrap();
        assert_eq!(DiskFile::read_at(&opened, &mut bytes, 4089).unwrap(), 8);
        assert_eq!(&bytes, b"\0hello\0\0");
        assert_eq!(DiskFile::read_at(&opened, &mut bytes, 8192).unwrap(), 0);
        FileDisk.remove(&new).unwrap();
        assert_eq!(FileDisk.open(&new).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
