//! Tests the tracker's client with a tracker that loses answers, repeats them, returns errors, and is restarted.

mod fake;

use engines::applications::tracker::announces::{Announces, TrackerTarget, connect};
use engines::client::{Answer, Client};
use model::dataset::{self, DatasetSpec, OriginalTorrents};
use model::writes::{Marks, Model};

use crate::fake::{Fake, Fault};

/// Runs a test with each protocol. Writer 0 writes.
fn over_each(test: impl Fn(&mut Fake, &dyn Client)) {
    let spec = DatasetSpec { profile: "torrust-demo".into(), target_bytes: 1 << 20, seed: 1 };
    let original: Box<dyn OriginalTorrents> = dataset::original_torrents(&spec).unwrap();
    let model = Model {
        marks: Marks::Counts,
        seed: 1,
        writers: 1,
        rows_per_transaction: 1,
        multi_row_share: 0.0,
        torrents: original.torrents(),
    };
    for announces in [Announces::Udp, Announces::Http] {
        let mut fake = Fake::start(announces);
        let target = TrackerTarget { udp_port: fake.port, http_port: fake.port, announces };
        let client = connect(&target, &model, original.as_ref()).unwrap();
        client.read(&original.torrent(1).info_hash).unwrap();
        test(&mut fake, client.as_ref());
        client.close().unwrap();
    }
}

/// Makes a writer's first writes, each with its faults, and returns their outcomes.
fn writes(fake: &Fake, client: &dyn Client, faults: &[[Fault; 2]]) -> Vec<Answer> {
    let mut session = client.session().unwrap();
    let answers = (0..).zip(faults).map(|(index, [started, completed])| {
        fake.next_faults(*started, *completed);
        session.write(0, index)
    });
    answers.collect()
}

use Fault::{Deaf, Error, Forget, Mute, None as Good, Stale, StaleOnly};

#[test]
fn each_write_is_counted_once() {
    over_each(|fake, client| {
        assert_eq!(writes(fake, client, &[[Good, Good]; 20]), [Answer::Acknowledged; 20]);
        assert_eq!(fake.counted(), [1; 20]);
        client.probe().unwrap();
        assert_eq!(fake.counted(), [1; 21]);
    });
}

#[test]
fn a_start_without_an_answer_is_refused_and_nothing_is_counted() {
    over_each(|fake, client| {
        let answers = writes(fake, client, &[[Good, Good], [Mute, Good], [Deaf, Good], [Good, Good]]);
        let (in_, out) = (Answer::Acknowledged, Answer::Refused);
        assert_eq!(answers, [in_, out, out, in_]);
        assert_eq!(fake.counted(), [1, 1]);
    });
}

#[test]
fn a_completion_without_an_answer_is_unknown_and_not_repeated() {
    over_each(|fake, client| {
        let answers = writes(fake, client, &[[Good, Mute], [Good, Deaf], [Good, Good]]);
        assert_eq!(answers, [Answer::None, Answer::None, Answer::Acknowledged]);
        assert_eq!(fake.counted(), [1, 1]);
    });
}

#[test]
fn after_an_error_answer_nothing_was_counted() {
    over_each(|fake, client| {
        let answers = writes(fake, client, &[[Error, Good], [Good, Error], [Good, Good]]);
        assert_eq!(answers, [Answer::Refused, Answer::Refused, Answer::Acknowledged]);
        assert_eq!(fake.counted(), [1]);
    });
}

#[test]
fn answers_to_other_requests_are_ignored() {
    over_each(|fake, client| {
        if fake.announces == Announces::Udp {
            let answers =
                writes(fake, client, &[[Stale, Stale], [Good, StaleOnly], [StaleOnly, Good], [Good, Good]]);
            let acknowledged = Answer::Acknowledged;
            assert_eq!(answers, [acknowledged, Answer::None, Answer::Refused, acknowledged]);
        }
    });
}

#[test]
fn a_tracker_that_forgets_a_peer_cannot_acknowledge_it_by_udp() {
    over_each(|fake, client| {
        if fake.announces == Announces::Udp {
            // Restarted after an answer: earlier connection ids are invalid.
            let answers = writes(fake, client, &[[Forget, Good], [Good, Forget], [Good, Good], [Good, Good]]);
            let (in_, out) = (Answer::Acknowledged, Answer::Refused);
            assert_eq!(answers, [out, in_, out, in_]);
        }
    });
}

#[test]
fn a_session_outlives_the_tracker() {
    over_each(|fake, client| {
        let mut session = client.session().unwrap();
        assert_eq!(session.write(0, 0), Answer::Acknowledged);
        for index in [1, 11] {
            fake.stop();
            assert_eq!(session.write(0, index), Answer::Refused);
            assert_eq!(session.write(0, index + 1), Answer::Refused);
            assert!(client.read(&[b'0'; 40]).is_err());
            fake.start_again();
            assert_eq!(session.write(0, index + 2), Answer::Acknowledged);
        }
        session.close().unwrap();
    });
}
