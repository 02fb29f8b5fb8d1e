//! Files of any size, in small messages.
//!
//! ```sh
//! cargo run -p spanwire-examples --bin files -- server 127.0.0.1:50053 FOLDER
//! cargo run -p spanwire-examples --bin files -- upload 127.0.0.1:50053 photo.jpg
//! cargo run -p spanwire-examples --bin files -- download 127.0.0.1:50053 photo.jpg copy.jpg
//! ```

use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use spanwire::{Channel, Context, Sending, Server, Status, Streaming};
use spanwire_examples::files::v1::upload_part::Part;
use spanwire_examples::files::v1::{
    DownloadRequest, Files, FilesClient, FilesServer, Piece, Stored, UploadPart,
};
use spanwire_examples::{Failure, serve};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

/// Bytes in one message: large enough to cost little, small enough to let other calls pass.
const PIECE: usize = 64 * 1024;

struct Folder(PathBuf);

impl Folder {
    /// The file called `name`, if that is a name and not a way out of the folder.
    fn file(&self, name: &str) -> Result<PathBuf, Status> {
        let plain = Path::new(name).file_name().is_some_and(|plain| plain == name) && !name.starts_with('.');
        if !plain {
            return Err(Status::invalid_argument(format!("{name:?} is no plain file name")));
        }
        Ok(self.0.join(name))
    }
}

/// A file that is not complete yet. Dropping it removes it, and that is what happens to the handler of a call that the
/// client gives up.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // It is gone already when the upload is complete.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Files for Folder {
    async fn upload(
        &self,
        requests: &mut Streaming<UploadPart>,
        _context: &mut Context,
    ) -> Result<Stored, Status> {
        let Some(UploadPart { part: Some(Part::Name(name)) }) = requests.next().await? else {
            return Err(Status::invalid_argument("the first part is not the name"));
        };
        let path = self.file(&name)?;
        let unfinished = Unfinished(self.0.join(format!(".{name}.part")));
        let mut file = File::create_new(&unfinished.0).await.map_err(in_storage)?;
        let mut size = 0;
        while let Some(UploadPart { part }) = requests.next().await? {
            let Some(Part::Data(data)) = part else {
                return Err(Status::invalid_argument("a part after the first has no data"));
            };
            file.write_all(&data).await.map_err(in_storage)?;
            size += data.len() as u64;
        }
        file.sync_all().await.map_err(in_storage)?;
        tokio::fs::rename(&unfinished.0, &path).await.map_err(in_storage)?;
        println!("stored {name}, {size} bytes");
        Ok(Stored { name, size })
    }

    async fn download(
        &self,
        request: DownloadRequest,
        replies: &mut Sending<Piece>,
        context: &mut Context,
    ) -> Result<(), Status> {
        let mut file = File::open(self.file(&request.name)?).await.map_err(in_storage)?;
        let size = file.metadata().await.map_err(in_storage)?.len();
        context.append_header("file-size", &size.to_string())?;
        file.seek(io::SeekFrom::Start(request.offset)).await.map_err(in_storage)?;
        while let Some(data) = next_piece(&mut file).await.map_err(in_storage)? {
            replies.send(Piece { data }).await?;
        }
        Ok(())
    }
}

fn in_storage(error: io::Error) -> Status {
    match error.kind() {
        io::ErrorKind::NotFound => Status::not_found("there is no such file"),
        io::ErrorKind::AlreadyExists => Status::aborted("the same file is being uploaded already"),
        // What went wrong inside is no business of the client's.
        _ => {
            eprintln!("storage: {error}");
            Status::internal("the storage failed")
        }
    }
}

async fn next_piece(file: &mut File) -> io::Result<Option<Bytes>> {
    let mut piece = BytesMut::with_capacity(PIECE);
    let read = file.read_buf(&mut piece).await?;
    Ok((read > 0).then(|| piece.freeze()))
}

async fn upload(target: &str, path: &Path) -> Result<(), Failure> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or("the path has no file name")?;
    let mut file = File::open(path).await?;
    let mut call = FilesClient::new(Channel::new(target)?).upload().await?;
    call.send(UploadPart { part: Some(Part::Name(name.to_owned())) }).await?;
    while let Some(data) = next_piece(&mut file).await? {
        call.send(UploadPart { part: Some(Part::Data(data)) }).await?;
    }
    // Every `?` above drops the call, and that cancels it: the server never takes a part for the whole.
    let stored = call.finish().await?;
    println!("uploaded {}, {} bytes", stored.name, stored.size);
    Ok(())
}

async fn download(target: &str, name: &str, path: &Path) -> Result<(), Failure> {
    // What an earlier download left is not asked for again.
    let mut file = File::options().create(true).append(true).open(path).await?;
    let offset = file.metadata().await?.len();
    let files = FilesClient::new(Channel::new(target)?);
    let mut pieces = files.download(DownloadRequest { name: name.to_owned(), offset }).await?;
    let size: u64 = pieces.headers().await?.get("file-size").unwrap_or_default().parse()?;
    println!("downloading bytes {offset} to {size}");
    while let Some(piece) = pieces.next().await? {
        file.write_all(&piece.data).await?;
    }
    file.sync_all().await?;
    println!("downloaded {}", path.display());
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["server", address, folder] => {
            let folder = Folder(folder.into());
            serve(Server::builder().service(FilesServer::new(folder)), address).await
        }
        ["upload", target, path] => upload(target, Path::new(path)).await,
        ["download", target, name, path] => download(target, name, Path::new(path)).await,
        _ => {
            Err("usage: files server ADDRESS FOLDER | upload TARGET FILE | download TARGET NAME FILE".into())
        }
    }
}
