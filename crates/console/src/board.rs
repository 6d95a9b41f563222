//! The board as it is asked for and told: which gates, and the sentences that every face of it
//! uses. Pure: it knows neither the database nor the clock.

use plimsoll_ledger::How;
use plimsoll_plan::{Area, Board, Date, Judged, Light, Summary, WEEKS};
use serde::{Deserialize, Serialize};

use crate::http::refusal;
use crate::problem::Problem;

/// The days of the plan.
pub(crate) const DAYS: u32 = 90;
/// Where nothing that is due holds, the gauge is full.
const LOAD_MAX: f64 = 2.0;
/// Where what is due holds and nothing more does, the water is just below the line.
const NO_RESERVE: f64 = 0.99;

/// A gate's name as people read it.
pub(crate) fn title(gate: &Judged) -> &str {
    &gate.title
}

/// How a gate stands, in one word.
pub(crate) const fn word(light: Light) -> &'static str {
    match light {
        Light::Red => "red",
        Light::Amber => "amber",
        Light::Green => "green",
    }
}

/// An area as it is written in an address.
pub(crate) const fn area_name(area: Area) -> &'static str {
    match area {
        Area::Scope => "scope",
        Area::Architecture => "architecture",
        Area::Delivery => "delivery",
        Area::Hardening => "hardening",
        Area::Security => "security",
        Area::Performance => "performance",
        Area::Launch => "launch",
        Area::People => "people",
    }
}

/// Which gates, by when they are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// Their window has ended.
    Past,
    /// It ends with this week at the latest; every gate where the plan is in no week.
    Now,
    /// It ends with that week at the latest.
    By(u32),
}

/// What can be asked of the board. A form sends what was left empty, too.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Parameters {
    state: String,
    area: String,
    week: String,
    how: String,
    due: String,
    format: String,
}

/// Which gates are wanted; all that is said must be so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Narrow {
    pub(crate) state: Option<Light>,
    pub(crate) area: Option<Area>,
    /// The window has this week in it.
    pub(crate) week: Option<u32>,
    pub(crate) how: Option<How>,
    pub(crate) due: Option<Due>,
}

impl Parameters {
    /// What was asked, and whether for JSON. What means nothing is refused, not guessed at.
    pub(crate) fn read(&self) -> Result<(Narrow, bool), Problem> {
        let json = match self.format.as_str() {
            "" | "html" => false,
            "json" => true,
            _ => return Err(refusal("format", "html or json")),
        };
        let lights = [Light::Red, Light::Amber, Light::Green];
        let hows = [How::Measured, How::Imported, How::Declared];
        let narrow = Narrow {
            state: named("state", &self.state, &lights, word)?,
            area: named("area", &self.area, &Area::ALL, area_name)?,
            week: week("week", &self.week)?,
            how: named("how", &self.how, &hows, How::as_str)?,
            due: match self.due.as_str() {
                "" => None,
                "past" => Some(Due::Past),
                "now" => Some(Due::Now),
                number => week("due", number)?.map(Due::By),
            },
        };
        Ok((narrow, json))
    }
}

fn named<T: Copy>(
    parameter: &str,
    asked: &str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<Option<T>, Problem> {
    if asked.is_empty() {
        return Ok(None);
    }
    let known = all.iter().find(|one| name(**one) == asked).copied();
    let names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
    known.map(Some).ok_or_else(|| refusal(parameter, &format!("one of {}", names.join(", "))))
}

fn week(parameter: &str, asked: &str) -> Result<Option<u32>, Problem> {
    if asked.is_empty() {
        return Ok(None);
    }
    let known = asked.parse().ok().filter(|week| (1..=u32::from(WEEKS)).contains(week));
    let also = if parameter == "due" { "past, now or " } else { "" };
    let expected = format!("{also}a week from 1 to {WEEKS}");
    known.map(Some).ok_or_else(|| refusal(parameter, &expected))
}

impl Narrow {
    /// Whether a gate is wanted, in this week of the plan.
    pub(crate) fn takes(&self, gate: &Judged, now: Option<u32>) -> bool {
        let [first, last] = gate.weeks.map(u32::from);
        self.state.is_none_or(|light| light == gate.verdict.light)
            && self.area.is_none_or(|area| area == gate.area)
            && self.week.is_none_or(|week| (first..=last).contains(&week))
            && self.how.is_none_or(|how| how == gate.how)
            && match self.due {
                None => true,
                Some(Due::Past) => gate.due,
                Some(Due::Now) => now.is_none_or(|now| last <= now),
                Some(Due::By(week)) => last <= week,
            }
    }

    /// Whether every gate is.
    pub(crate) fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// A path that asks for the same.
    pub(crate) fn path(&self, path: &str) -> String {
        let week = self.week.map(|week| week.to_string());
        let due = self.due.map(|due| match due {
            Due::Past => "past".to_owned(),
            Due::Now => "now".to_owned(),
            Due::By(week) => week.to_string(),
        });
        let named = [
            ("state", self.state.map(word)),
            ("area", self.area.map(area_name)),
            ("week", week.as_deref()),
            ("how", self.how.map(How::as_str)),
            ("due", due.as_deref()),
        ];
        let mut path = format!("{path}?");
        for (name, value) in named {
            if let Some(value) = value {
                path.extend([name, "=", value, "&"]);
            }
        }
        path.pop();
        path
    }
}

/// What is told of the whole board, whichever gates were asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Standing {
    /// One sentence.
    pub(crate) headline: String,
    /// How all gates stand.
    pub(crate) summary: Summary,
    /// Gates whose window has ended.
    pub(crate) due: usize,
    /// Of those: red ones.
    pub(crate) due_red: usize,
    /// Gates that hold though they are not due yet.
    pub(crate) ahead: usize,
    /// Gates that are due at the end of this week, and do not hold.
    pub(crate) due_this_week: usize,
}

impl Standing {
    pub(crate) fn of(board: &Board) -> Self {
        let red = |gate: &&Judged| gate.verdict.light == Light::Red;
        let count =
            |taken: &dyn Fn(&Judged) -> bool| board.gates.iter().filter(|g| taken(g)).count();
        let this_week = |gate: &Judged| Some(u32::from(gate.weeks[1])) == board.week && red(&gate);
        let mut standing = Self {
            headline: String::new(),
            summary: board.summary(),
            due: count(&|gate| gate.due),
            due_red: count(&|gate| gate.due && red(&gate)),
            ahead: count(&|gate| !gate.due && !red(&gate)),
            due_this_week: count(&this_week),
        };
        standing.headline = standing.sentence(board);
        standing
    }

    /// Gates that hold: what is amber does, too.
    pub(crate) fn held(&self) -> usize {
        self.summary.green + self.summary.amber
    }

    fn sentence(&self, board: &Board) -> String {
        let place = match (board.start, board.week) {
            (None, _) => "No start date".to_owned(),
            (Some(start), None) => format!("The 90 days start on {start}"),
            (Some(_), Some(week)) if week <= u32::from(WEEKS) => format!("Week {week} of {WEEKS}"),
            (Some(_), Some(_)) => "The 90 days are over".to_owned(),
        };
        let (held, all) = (self.held(), self.summary.all());
        let hold = if held == 1 { "holds" } else { "hold" };
        let due = match (self.due, self.due_red) {
            (0, _) => "nothing is due yet".to_owned(),
            (_, 0) => "all that are due hold".to_owned(),
            (_, 1) => "1 is due and red".to_owned(),
            (_, red) => format!("{red} are due and red"),
        };
        format!("{place}: {held} of {all} gates {hold}; {due}")
    }

    /// Where the load line stands. The water is what is due, the line is what holds: as on a ship,
    /// the line under water says that more was promised than is carried.
    pub(crate) fn load(&self) -> f64 {
        let held = self.due - self.due_red;
        match (self.due, self.due_red) {
            (0, _) => 0.0,
            (due, 0) => (due as f64 / (due + self.ahead) as f64).min(NO_RESERVE),
            (_, _) if held == 0 => LOAD_MAX,
            (due, _) => (due as f64 / held as f64).min(LOAD_MAX),
        }
    }

    /// The same in words.
    pub(crate) fn load_says(&self) -> String {
        let held = self.due - self.due_red;
        match (self.due, self.due_red) {
            (0, _) => format!("Nothing is due yet; {} hold already", self.ahead),
            (due, 0) => format!("All {due} that are due hold, and {} that are not due", self.ahead),
            (due, _) => format!("{held} of {due} that are due hold"),
        }
    }
}

/// The day of the plan, from 1; none before it or without one.
pub(crate) fn day(board: &Board) -> Option<u32> {
    let start = board.start?;
    let days = start.days_to(Date::of_unix_ms(board.at_unix_ms));
    u32::try_from(days).ok().map(|days| days + 1)
}

/// The board in a few words, for the page of live figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BoardRow {
    /// When it was judged, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_unix_ms: u64,
    /// One sentence.
    pub headline: String,
    /// How all gates stand.
    pub summary: Summary,
    /// Gates whose window has ended.
    pub due: usize,
    /// Of those: red ones.
    pub due_red: usize,
    /// The load on the load line: gates due over gates held; more than 1 is over the line.
    pub load: f64,
    /// Which to turn next, three at most.
    pub next: Vec<NextRow>,
}

/// A gate that should be turned next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NextRow {
    /// Its name in addresses.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// `red` or `amber`.
    pub state: &'static str,
}

impl From<&Board> for BoardRow {
    fn from(board: &Board) -> Self {
        let standing = Standing::of(board);
        let next = board.next.iter().filter_map(|id| board.gate(id)).map(|gate| NextRow {
            id: gate.id.clone(),
            title: title(gate).to_owned(),
            state: word(gate.verdict.light),
        });
        Self {
            at_unix_ms: board.at_unix_ms,
            load: standing.load(),
            headline: standing.headline,
            summary: standing.summary,
            due: standing.due,
            due_red: standing.due_red,
            next: next.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(due: usize, due_red: usize, ahead: usize) -> Standing {
        let summary = Summary::default();
        let headline = String::new();
        Standing { headline, summary, due, due_red, ahead, due_this_week: 0 }
    }

    #[test]
    fn the_water_is_over_the_line_exactly_when_something_due_is_red() {
        assert_eq!(standing(0, 0, 3).load(), 0.0);
        assert_eq!(standing(4, 0, 4).load(), 0.5);
        assert_eq!(standing(4, 0, 0).load(), NO_RESERVE);
        assert_eq!(standing(4, 1, 9).load(), 4.0 / 3.0);
        assert_eq!(standing(4, 4, 9).load(), LOAD_MAX);
        for due in 1..40 {
            for red in 0..=due {
                for ahead in [0, 1, 200] {
                    assert_eq!(standing(due, red, ahead).load() > 1.0, red > 0, "{due} {red}");
                }
            }
        }
    }

    #[test]
    fn what_is_asked_comes_back_in_a_path_and_what_means_nothing_is_refused() {
        let asked = Parameters {
            state: "red".into(),
            area: "people".into(),
            week: "4".into(),
            how: "declared".into(),
            due: "past".into(),
            ..Parameters::default()
        };
        let (narrow, json) = asked.read().unwrap();
        let path = "/board?state=red&area=people&week=4&how=declared&due=past";
        assert_eq!((narrow.path("/board"), json), (path.to_owned(), false));
        assert!(Parameters::default().read().unwrap().0.is_all());
        assert_eq!(Narrow::default().path("/board"), "/board");
        let wrong: [fn(&mut Parameters); 6] = [
            |asked| asked.state = "blue".into(),
            |asked| asked.area = "sea".into(),
            |asked| asked.week = "14".into(),
            |asked| asked.week = "0".into(),
            |asked| asked.due = "later".into(),
            |asked| asked.format = "xml".into(),
        ];
        for change in wrong {
            let mut asked = Parameters::default();
            change(&mut asked);
            assert!(asked.read().is_err(), "{asked:?}");
        }
    }
}
