// Backs up $DRILL_SOURCE to $DRILL_DESTINATION/copy.db with the backup call of Go's driver mattn/go-sqlite3, in one step.
// Used in scenarios/libraries.toml.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/mattn/go-sqlite3"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "--version" {
		version, _, _ := sqlite3.Version()
		fmt.Println("SQLite", version)
		return
	}
	if err := backUp(os.Getenv("DRILL_SOURCE"), os.Getenv("DRILL_DESTINATION")+"/copy.db"); err != nil {
		log.Fatal(err)
	}
}

func backUp(from, to string) error {
	source, err := connect(from)
	if err != nil {
		return err
	}
	target, err := connect(to)
	if err != nil {
		return err
	}
	err = target.Raw(func(to any) error {
		return source.Raw(func(from any) error {
			return step(to.(*sqlite3.SQLiteConn), from.(*sqlite3.SQLiteConn))
		})
	})
	if err != nil {
		return err
	}
	return target.Close()
}

func connect(path string) (*sql.Conn, error) {
	database, err := sql.Open("sqlite3", path)
	if err != nil {
		return nil, err
	}
	return database.Conn(context.Background())
}

func step(to, from *sqlite3.SQLiteConn) error {
	backup, err := to.Backup("main", from, "main")
	if err != nil {
		return err
	}
	isDone, err := backup.Step(-1)
	if err != nil {
		return err
	}
	if !isDone {
		return errors.New("one step did not copy everything")
	}
	return backup.Finish()
}
