//! What trials say about a claim.

/// The result of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The answer.
    pub answer: Answer,
    /// The numbers that the answer is based on, and the conditions, as one line of text.
    pub measured: String,
}

/// Whether trials confirm a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The trials confirm the claim.
    Confirmed,
    /// The trials confirm the claim under some conditions, which the text names.
    ConfirmedUnderConditions,
    /// The trials show the opposite.
    Refuted,
    /// No trial tests the claim.
    NotTested,
}

impl Answer {
    /// The text for people.
    pub fn text(self) -> &'static str {
        match self {
            Answer::Confirmed => "confirmed",
            Answer::ConfirmedUnderConditions => "confirmed under these conditions",
            Answer::Refuted => "refuted",
            Answer::NotTested => "not tested",
        }
    }

    /// Confirmed where all trials agree, refuted where none does, confirmed under conditions in between.
    pub(super) fn of(agree: usize, all: usize) -> Answer {
        match agree {
            _ if all == 0 => Answer::NotTested,
            0 => Answer::Refuted,
            some if some == all => Answer::Confirmed,
            _ => Answer::ConfirmedUnderConditions,
        }
    }
}

impl Finding {
    pub(super) fn new(answer: Answer, measured: impl Into<String>) -> Finding {
        Finding { answer, measured: measured.into() }
    }

    pub(super) fn not_tested(why: impl Into<String>) -> Finding {
        Finding::new(Answer::NotTested, why)
    }
}

#[cfg(test)]
mod tests {
    use super::Answer;

    #[test]
    fn answers_follow_from_how_many_agree() {
        let answers = [(0, 0), (0, 3), (1, 3), (3, 3)].map(|(agree, all)| Answer::of(agree, all).text());
        assert_eq!(answers, ["not tested", "refuted", "confirmed under these conditions", "confirmed"]);
    }
}
