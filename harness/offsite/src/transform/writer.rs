//! Writes and hashes in a thread of its own, while the transform works on what follows.

use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::content::{Content, ContentHasher, PIECE_BYTES};

/// Pieces that wait to be written, at most.
const PIECES_MAX: usize = 4;

/// The end of the transform: what is written to it goes to the thread.
pub(super) struct PieceWriter {
    piece: Vec<u8>,
    sender: SyncSender<Vec<u8>>,
}

/// A writer, and the pieces that [`write_pieces`] takes from it.
pub(super) fn piece_writer() -> (PieceWriter, Receiver<Vec<u8>>) {
    let (sender, receiver) = sync_channel(PIECES_MAX);
    (PieceWriter { piece: Vec::with_capacity(PIECE_BYTES), sender }, receiver)
}

impl Write for PieceWriter {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let taken = data.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(&data[..taken]);
        if self.piece.len() == PIECE_BYTES {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        if piece.is_empty() {
            return Ok(());
        }
        // The thread ends early only with an error, which is the one that is reported.
        self.sender.send(piece).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Writes all pieces to a file, and returns their content.
pub(super) fn write_pieces(pieces: &Receiver<Vec<u8>>, mut file: &File) -> io::Result<Content> {
    let mut hasher = ContentHasher::default();
    for piece in pieces {
        hasher.add(&piece);
        file.write_all(&piece)?;
    }
    Ok(hasher.finish())
}
