//! Interrupted writes are answered correctly, and writers continue without help.

use std::thread;
use std::time::Duration;

use engines::client::Answer;
use engines::mysql::connection::column;
use model::ledger::Outcome;

use crate::fixture::{Trial, servers, write};

#[test]
fn writers_continue_after_their_connections_are_killed_and_answer_correctly() {
    for engine in servers() {
        let trial = Trial::new(engine, "killed", 3);
        trial.run_while(|| {
            let mut server = trial.server();
            let others =
                "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND ID <> CONNECTION_ID()";
            for _ in 0..150 {
                for row in server.query(others).unwrap() {
                    let id: u64 = column(&row, 0).unwrap();
                    // The connection may already be closed.
                    let _ = server.execute(&format!("KILL {id}"));
                }
                thread::sleep(Duration::from_millis(10));
            }
        });
        trial.run(50);
        assert!(trial.count(|outcome| matches!(outcome, Outcome::Refused(_))) > 20);
        trial.assert_right();
    }
}

#[test]
fn statements_that_are_killed_are_refused_and_the_connection_stays() {
    for engine in servers() {
        let trial = Trial::new(engine, "queries", 3);
        trial.run_while(|| {
            let mut server = trial.server();
            let others =
                "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND ID <> CONNECTION_ID()";
            for _ in 0..300 {
                for row in server.query(others).unwrap() {
                    let id: u64 = column(&row, 0).unwrap();
                    let _ = server.execute(&format!("KILL QUERY {id}"));
                }
                thread::sleep(Duration::from_millis(3));
            }
        });
        trial.assert_right();
    }
}

#[test]
fn a_write_that_is_blocked_by_a_lock_is_refused_and_the_next_one_succeeds() {
    for engine in servers() {
        let trial = Trial::new(engine, "locked", 1);
        let client = trial.client();
        let mut session = client.session().unwrap();
        let mut ledger = trial.ledger_writer(0);
        assert_eq!(write(session.as_mut(), &mut ledger, 0), Answer::Acknowledged);
        let mut other = trial.server();
        for (lock, unlock) in [("LOCK TABLES torrents READ", "UNLOCK TABLES"), ("BEGIN", "ROLLBACK")] {
            other.execute(lock).unwrap();
            other.query("SELECT COUNT(*) FROM torrents LOCK IN SHARE MODE").unwrap();
            assert_eq!(write(session.as_mut(), &mut ledger, 0), Answer::Refused, "{lock}");
            other.execute(unlock).unwrap();
            assert_eq!(write(session.as_mut(), &mut ledger, 0), Answer::Acknowledged);
        }
        trial.assert_right();
    }
}
