//go:build linux

package debian

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"eventbench/helpers/bounded"

	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

const (
	mirrorVar       = "EVENTBENCH_MIRROR"
	keyringVar      = "EVENTBENCH_KEYRING"
	defaultMirror   = "http://deb.debian.org/debian"
	snapshotService = "http://snapshot.debian.org"
	aptDirectory    = "/etc/apt"
)

// An Archive is Debian's, as a mirror has it.
type Archive struct {
	mirrors
	snapshot string // its time as snapshot.debian.org writes it, or "" for now
	client   *http.Client
	pause    time.Duration // see again
	now      func() time.Time

	keys      openpgp.EntityList // nil until the first InRelease
	verifying sync.Mutex
}

// Open returns the archive on a mirror. If mirror is empty, that is the one in
// EVENTBENCH_MIRROR, or that of the system's apt sources, or deb.debian.org.
//
// A snapshot is a date such as 2026-11-01, or with a time 20261101T120000Z: the
// archive as it was then, on a service such as snapshot.debian.org, which the
// mirror is then.
func Open(mirror, snapshot string) (*Archive, error) {
	a := &Archive{client: newClient(), pause: triesPause, now: time.Now}
	source := "-mirror"
	if mirror == "" {
		source, mirror = mirrorVar, os.Getenv(mirrorVar)
	}
	if mirror != "" {
		if u, err := url.Parse(mirror); err != nil || !fetchable(mirror) || u.Scheme != "file" && u.Host == "" || strings.ContainsAny(mirror, " \t\n[]?#") {
			return nil, fmt.Errorf("%s %q: want a URL such as http://HOST/debian", source, mirror)
		}
	}
	var err error
	switch {
	case snapshot != "":
		at, err := ParseSnapshot(snapshot)
		if err != nil {
			return nil, err
		}
		a.snapshot, a.now = at.Format(snapshotForm), func() time.Time { return at }
		if mirror == "" {
			mirror = snapshotService
		}
		root := strings.TrimSuffix(mirror, "/") + "/archive/"
		a.mirrors = mirrors{root + "debian/" + a.snapshot, root + "debian-security/" + a.snapshot}
	case mirror != "":
		a.mirrors = mirrors{main: mirror}
	default:
		if a.mirrors, err = systemMirrors(aptDirectory); err != nil {
			return nil, err
		}
		if a.main == "" {
			a.main = defaultMirror
		}
	}
	if a.security == "" {
		a.security = strings.TrimSuffix(a.main, "/") + "-security"
	}
	return a, nil
}

// snapshotForm is how snapshot.debian.org writes a time.
const snapshotForm = "20060102T150405Z"

// ParseSnapshot returns the time of a snapshot.
func ParseSnapshot(s string) (time.Time, error) {
	for _, form := range []string{snapshotForm, time.DateOnly, "20060102"} {
		if t, err := time.Parse(form, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("snapshot %q: want a date such as 2026-11-01, or 20261101T120000Z", s)
}

// url returns the URL of a file of the archive.
func (a *Archive) url(security bool, path string) string {
	root := a.main
	if security {
		root = a.security
	}
	return strings.TrimSuffix(root, "/") + "/" + path
}

// mirrors are the servers of the suites.
type mirrors struct {
	main     string
	security string // derived from main if empty
}

// systemMirrors finds Debian's mirrors in the system's apt sources, in one-line
// or deb822 form. On another distribution there are none.
func systemMirrors(dir string) (mirrors, error) {
	files := []string{filepath.Join(dir, "sources.list")}
	parts, err := filepath.Glob(filepath.Join(dir, "sources.list.d", "*"))
	if err != nil {
		return mirrors{}, err
	}
	files = append(files, parts...)

	var m mirrors
	for _, file := range files {
		parse := parseOneLine
		switch filepath.Ext(file) {
		case ".list":
		case ".sources":
			parse = parseDeb822
		default:
			continue
		}
		data, err := bounded.ReadFile(file, bounded.Text)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			continue
		}
		if err != nil {
			return mirrors{}, err
		}
		for _, s := range parse(string(data)) {
			uri := firstMirror(s.uri)
			switch {
			case !slices.Contains(s.components, "main"), !fetchable(uri):
			case m.security == "" && slices.ContainsFunc(s.suites, isSecuritySuite):
				m.security = uri
			case m.main == "" && slices.ContainsFunc(s.suites, isDebianSuite):
				m.main = uri
			}
		}
	}
	return m, nil
}

// fetchable reports whether a mirror is reached as Archive.fetch can: apt has
// more ways, such as cdrom:.
func fetchable(uri string) bool {
	scheme, _, _ := strings.Cut(uri, ":")
	return slices.Contains([]string{"http", "https", "file"}, scheme)
}

// firstMirror returns the mirror that uri means. For a local list of mirrors,
// see apt-transport-mirror(1), that is the first. Debian's cloud images have
// such lists.
func firstMirror(uri string) string {
	list, ok := strings.CutPrefix(uri, "mirror+file:")
	if !ok {
		return uri
	}
	data, err := bounded.ReadFile("/"+strings.TrimLeft(list, "/"), bounded.Text)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		if f := strings.Fields(line); len(f) > 0 {
			return f[0]
		}
	}
	return ""
}

// A source is an entry of the apt sources.
type source struct {
	uri        string
	suites     []string
	components []string
}

var debianSuite = regexp.MustCompile(`^(bullseye|bookworm|trixie|forky|duke|sid|(old){0,3}stable|testing|unstable)(-updates|-backports)?$`)

func isDebianSuite(s string) bool { return debianSuite.MatchString(s) }

func isSecuritySuite(s string) bool {
	base, ok := strings.CutSuffix(s, "-security")
	return ok && isDebianSuite(base)
}

// parseOneLine reads the entries of a sources.list.
func parseOneLine(data string) []source {
	var all []source
	for line := range strings.Lines(data) {
		line, _, _ = strings.Cut(line, "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb")
		if !ok || rest == strings.TrimLeft(rest, " \t") { // deb-src
			continue
		}
		rest = strings.TrimSpace(rest)
		if strings.HasPrefix(rest, "[") {
			_, rest, _ = strings.Cut(rest, "]")
		}
		if f := strings.Fields(rest); len(f) >= 3 {
			all = append(all, source{uri: f[0], suites: f[1:2], components: f[2:]})
		}
	}
	return all
}

// parseDeb822 reads the entries of a .sources file.
func parseDeb822(data string) []source {
	var all []source
	fields := []string{"types", "uris", "suites", "components", "enabled"}
	eachParagraph(strings.NewReader(data), fields, func(p paragraph) error {
		uris := strings.Fields(p["uris"])
		if slices.Contains(strings.Fields(p["types"]), "deb") && len(uris) > 0 &&
			!slices.Contains([]string{"no", "false", "without", "off", "disable"}, strings.ToLower(p["enabled"])) {
			all = append(all, source{uri: uris[0], suites: strings.Fields(p["suites"]), components: strings.Fields(p["components"])})
		}
		return nil
	})
	return all
}
