#!/usr/bin/env bash
# Copies the files of a live SQLite database while one read transaction is open. backup.sh sources this file. The sqlite3
# shell that holds the transaction executes it, because the process that holds it must not be the one that copies: when a
# process closes any descriptor of a file, it loses all its POSIX locks on that file.

LIVE_COPY=$(realpath -- "${BASH_SOURCE[0]}")
WAL_HEADER_BYTES=32

# The copy must not fill the memory with pages that are not on disk yet: an application that calls fsync would wait for
# them. Not every file system allows direct writes. Then each block is synchronised before the next one is written.
choose_output_flag() {
    output_flag=direct
    dd if=/dev/zero of=direct-probe bs=4096 count=1 oflag=direct status=none 2>/dev/null || output_flag=dsync
    rm -f -- direct-probe
}

# Copies as much as the file has now. A log may grow as fast as it is copied; what is appended from now on was committed
# after the transaction began.
copy_file() {
    local size
    size=$(stat --format=%s -- "$1")
    dd if="$1" of="$2" bs=16M count="$size" iflag=fullblock,count_bytes oflag="$output_flag" status=none
}

# If all of the log was in the database file when the transaction began, the transaction does not prevent that the log is
# reset and written from its beginning. Frames copied before the reset must not be applied: they hold older pages than
# the database file. A frame counts only if it matches the header, so the header is copied last, when no frame is copied
# any more. Without a complete header, there is no frame.
copy_log() {
    copy_file "$SQLITE_DATABASE-wal" database.db-wal
    head --bytes="$WAL_HEADER_BYTES" -- "$SQLITE_DATABASE-wal" >log-header
    if [[ $(stat --format=%s -- log-header) == "$WAL_HEADER_BYTES" ]]; then
        dd if=log-header of=database.db-wal conv=notrunc status=none
    else
        : >database.db-wal
    fi
}

# Without a log, the database is in a rollback-journal mode, and nothing can change in its file. The last file tells
# that all are complete: the sqlite3 shell ignores that a command fails.
copy_files() {
    choose_output_flag
    copy_file "$SQLITE_DATABASE" database.db
    if [[ -e $SQLITE_DATABASE-wal ]]; then
        copy_log
    fi
    : >files-copied
}

# What is said here about the log holds for one log. In wal2 mode there are two.
refuse_wal2() {
    local read_version
    read_version=$(sqlite_read_version) || return 1
    if [[ -e $SQLITE_DATABASE-wal2 ]] || [[ $read_version -eq 3 ]]; then
        log "failed: $SQLITE_DATABASE is in wal2 mode, which cannot be copied; use another SQLITE_MODE"
        return 1
    fi
}

# BEGIN alone locks nothing: the transaction begins with the first read of a table. The second read fails if the first
# one's lock was lost. The quotes are for the command's shell: sqlite3 removes only the outer ones.
hold_transaction_and_copy() {
    SQLITE_DATABASE=$SQLITE_DATABASE LIVE_COPY=$LIVE_COPY sqlite_reader BEGIN 'SELECT count(*) FROM sqlite_schema' \
        ".system '\"\$LIVE_COPY\"'" 'SELECT count(*) FROM sqlite_schema' COMMIT "SELECT 'committed'" \
        >transaction 2>transaction-errors
    local status=$?
    cat transaction-errors >&2
    [[ ! -s transaction ]] && grep -q 'database is locked' transaction-errors &&
        log "failed: $SQLITE_DATABASE stayed locked; with locking_mode=EXCLUSIVE, no other process can read it"
    return "$status"
}

# Applies the copied log to the copied file, which keeps its journal mode. The three numbers mean: not blocked, and
# nothing left in the log.
fold_log() {
    if [[ -s database.db-wal ]]; then
        run_tool sqlite3 -batch -bail database.db 'PRAGMA wal_checkpoint(TRUNCATE)' >folded || return 1
        [[ $(<folded) == '0|0|0' && ! -e database.db-wal ]]
    else
        rm -f -- database.db-wal
    fi
}

# Makes database.db. If the file was replaced meanwhile, the transaction did not protect the one that was copied.
copy_live() {
    local inode
    refuse_wal2 && inode=$(stat --format=%i -- "$SQLITE_DATABASE") && hold_transaction_and_copy || return 1
    if ! ends_with_line transaction '^committed$' || [[ ! -e files-copied ]] ||
        [[ $(stat --format=%i -- "$SQLITE_DATABASE") != "$inode" ]]; then
        log "failed: the files of $SQLITE_DATABASE were not copied in one transaction; the copy is discarded"
        return 1
    fi
    fold_log
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    set -eu -o pipefail
    copy_files
fi
