//! What a report can be evidence of, and which tools make such.

use plimsoll_ledger::{EvidenceKind, How};

use crate::import::error::ImportError;

/// A form in which tools write reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReportFormat {
    /// Static Analysis Results Interchange Format, OASIS, version 2.1.0.
    Sarif,
    /// JUnit's XML, as Ant's task wrote it first and most test runners do.
    Junit,
    /// `checkov --output json`.
    Checkov,
    /// `scorecard --format json`.
    Scorecard,
}

impl ReportFormat {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sarif, Self::Junit, Self::Checkov, Self::Scorecard];

    /// As people call it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Sarif => "SARIF 2.1.0",
            Self::Junit => "JUnit XML",
            Self::Checkov => "checkov's JSON",
            Self::Scorecard => "OpenSSF Scorecard's JSON",
        }
    }

    /// What it is taken for where nobody says otherwise.
    pub(super) const fn usual(self) -> ReportKind {
        match self {
            Self::Sarif => ReportKind::Sast,
            Self::Junit => ReportKind::Tests,
            Self::Checkov => ReportKind::Infrastructure,
            Self::Scorecard => ReportKind::Scorecard,
        }
    }
}

/// What a report is evidence of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReportKind {
    /// The code was read by a tool.
    Sast,
    /// The running service was tried by a tool.
    Dast,
    /// What the code depends on was looked up.
    Dependencies,
    /// Unit tests.
    Tests,
    /// Tests of contracts between services and clients.
    ContractTests,
    /// Tests of a deployed service.
    SmokeTests,
    /// Infrastructure as code was read by a tool.
    Infrastructure,
    /// How the project is kept.
    Scorecard,
}

impl ReportKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Sast,
        Self::Dast,
        Self::Dependencies,
        Self::Tests,
        Self::ContractTests,
        Self::SmokeTests,
        Self::Infrastructure,
        Self::Scorecard,
    ];

    /// The name of its evidence.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Sast => "report.sast",
            Self::Dast => "report.dast",
            Self::Dependencies => "report.dependencies",
            Self::Tests => "report.tests",
            Self::ContractTests => "report.contract-tests",
            Self::SmokeTests => "report.smoke-tests",
            Self::Infrastructure => "report.infrastructure",
            Self::Scorecard => "report.scorecard",
        }
    }

    /// As it is written after `--as`.
    #[must_use]
    pub fn name(self) -> &'static str {
        let kind = self.kind();
        kind.split_once('.').map_or(kind, |(_, name)| name)
    }

    /// The one of that name, with `report.` before it or without.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name || one.kind() == name)
    }

    /// What it is read from.
    #[must_use]
    pub const fn format(self) -> ReportFormat {
        match self {
            Self::Sast | Self::Dast | Self::Dependencies => ReportFormat::Sarif,
            Self::Tests | Self::ContractTests | Self::SmokeTests => ReportFormat::Junit,
            Self::Infrastructure => ReportFormat::Checkov,
            Self::Scorecard => ReportFormat::Scorecard,
        }
    }

    const fn evidence(self) -> EvidenceKind {
        EvidenceKind { kind: self.kind(), room: "plan", how: How::Imported }
    }
}

/// The kinds of evidence that operators bring.
pub const REPORTS: &[EvidenceKind] = &[
    ReportKind::Sast.evidence(),
    ReportKind::Dast.evidence(),
    ReportKind::Dependencies.evidence(),
    ReportKind::Tests.evidence(),
    ReportKind::ContractTests.evidence(),
    ReportKind::SmokeTests.evidence(),
    ReportKind::Infrastructure.evidence(),
    ReportKind::Scorecard.evidence(),
];

/// What tools that write SARIF look at, by a word of their name in small letters; the first is
/// what a report of theirs is taken for. A tool that is not here has to be told by `--as`.
const TOOLS: &[(&str, &[ReportKind])] = &[
    ("semgrep", &[ReportKind::Sast, ReportKind::Dependencies]),
    ("opengrep", &[ReportKind::Sast]),
    ("ruff", &[ReportKind::Sast]),
    ("codeql", &[ReportKind::Sast]),
    ("bandit", &[ReportKind::Sast]),
    ("eslint", &[ReportKind::Sast]),
    ("gosec", &[ReportKind::Sast]),
    ("clippy", &[ReportKind::Sast]),
    ("detekt", &[ReportKind::Sast]),
    ("swiftlint", &[ReportKind::Sast]),
    ("mobsfscan", &[ReportKind::Sast]),
    ("zap", &[ReportKind::Dast]),
    ("nuclei", &[ReportKind::Dast]),
    ("osv-scanner", &[ReportKind::Dependencies]),
    ("grype", &[ReportKind::Dependencies]),
    ("trivy", &[ReportKind::Dependencies]),
    ("dependency-check", &[ReportKind::Dependencies]),
];

/// What a SARIF report of this tool is evidence of.
pub(super) fn of_tool(tool: &str, wanted: Option<ReportKind>) -> Result<ReportKind, ImportError> {
    let small = tool.to_lowercase();
    let mut words = small.split(|one: char| !one.is_alphanumeric() && one != '-');
    let looks_at = words.find_map(|word| TOOLS.iter().find(|(name, _)| *name == word));
    let (_, kinds) = match (looks_at, wanted) {
        (Some(known), _) => known,
        (None, Some(wanted)) => return Ok(wanted),
        (None, None) => {
            let says = format!(
                "it is SARIF of `{tool}`, and Plimsoll does not know what that tool looks at: say \
                 --as sast, --as dast or --as dependencies"
            );
            return Err(ImportError::Refused(says));
        }
    };
    match (wanted, kinds.first()) {
        (Some(wanted), _) if kinds.contains(&wanted) => Ok(wanted),
        (None, Some(usual)) => Ok(*usual),
        (wanted, _) => {
            let fits: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
            let says = format!(
                "`{tool}` makes no report of `{}`; its reports are {}",
                wanted.map_or("nothing", ReportKind::name),
                fits.join(" or ")
            );
            Err(ImportError::Refused(says))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_report_has_one_kind_and_a_name() {
        assert_eq!(REPORTS.len(), ReportKind::ALL.len());
        for (kind, report) in REPORTS.iter().zip(ReportKind::ALL) {
            assert_eq!((kind.kind, kind.how), (report.kind(), How::Imported));
            assert_eq!(ReportKind::named(report.name()), Some(report));
            assert_eq!(ReportKind::named(report.kind()), Some(report));
            assert_eq!(report.format().usual().format(), report.format());
        }
        assert_eq!(ReportKind::named("edge.limits"), None);
    }

    #[test]
    fn a_tool_is_known_by_a_word_of_its_name() {
        let (sast, dast) = (ReportKind::Sast, ReportKind::Dast);
        assert_eq!(of_tool("Semgrep OSS", None).unwrap(), sast);
        assert_eq!(of_tool("OWASP ZAP", None).unwrap(), dast);
        assert_eq!(of_tool("zapper", Some(dast)).unwrap(), dast, "unknown, and told");
        let unknown = of_tool("zapper", None).unwrap_err().to_string();
        assert!(unknown.contains("--as sast"), "{unknown}");
        let wrong = of_tool("ruff", Some(dast)).unwrap_err().to_string();
        assert!(wrong.contains("no report of `dast`") && wrong.contains("sast"), "{wrong}");
        let semgrep = of_tool("semgrep", Some(ReportKind::Dependencies)).unwrap();
        assert_eq!(semgrep, ReportKind::Dependencies);
    }
}
