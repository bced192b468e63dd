package ci

import (
	"encoding/xml"
	"io"
	"maps"
	"slices"
	"strings"
)

type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       string           `xml:"name,attr"`
		Tests      int              `xml:"tests,attr"`
		Failures   int              `xml:"failures,attr"`
		Errors     int              `xml:"errors,attr"`
		Skipped    int              `xml:"skipped,attr"`
		Properties *junitProperties `xml:"properties"`
		Cases      []junitCase      `xml:"testcase"`
		Out        string           `xml:"system-out,omitempty"`
	}
	junitProperties struct {
		List []junitProperty `xml:"property"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Class   string       `xml:"classname,attr"`
		Name    string       `xml:"name,attr"`
		Skipped *junitResult `xml:"skipped"`
		Error   *junitResult `xml:"error"`
		Failure *junitResult `xml:"failure"`
		Out     string       `xml:"system-out,omitempty"`
	}
	junitResult struct {
		Type    string `xml:"type,attr,omitempty"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// junit writes JUnit's XML in the dialect that Jenkins, GitLab and others
// agree on (junit-10.xsd of Jenkins' xunit plugin). A finding is a test case.
func junit(w io.Writer, r *Run) error {
	doc := junitSuites{Name: tool}
	if r.Problems != nil {
		doc.Suites = []junitSuite{{Name: tool, Tests: 1, Errors: 1,
			Cases: []junitCase{{Class: tool, Name: "verdict", Error: &junitResult{r.Outcome, first(r.Problems), strings.Join(r.Problems, "\n")}}}}}
	}
	for _, s := range r.Suites {
		suite := junitSuite{Name: s.Name, Tests: len(s.Findings), Out: r.Summary}
		if len(s.Settings) > 0 {
			suite.Properties = &junitProperties{}
		}
		for _, key := range slices.Sorted(maps.Keys(s.Settings)) {
			suite.Properties.List = append(suite.Properties.List, junitProperty{key, s.Settings[key]})
		}
		for _, f := range s.Findings {
			c := junitCase{Class: tool + "." + s.Name, Name: f.title()}
			result := &junitResult{f.Verdict, f.Reason, f.says()}
			switch f.Status {
			case Failed:
				suite.Failures++
				c.Failure = result
			case Unknown:
				suite.Errors++
				c.Error = result
			case Informs, Skipped:
				suite.Skipped++
				c.Skipped = &junitResult{Message: f.Verdict + ": " + f.Reason}
			default:
				c.Out = f.says()
			}
			suite.Cases = append(suite.Cases, c)
		}
		doc.Suites = append(doc.Suites, suite)
	}
	for _, s := range doc.Suites {
		doc.Tests, doc.Failures, doc.Errors = doc.Tests+s.Tests, doc.Failures+s.Failures, doc.Errors+s.Errors
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(doc); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func first(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[0]
}
