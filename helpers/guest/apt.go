package guest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"eventbench/helpers/bounded"
	"eventbench/helpers/cache"
	"eventbench/helpers/process"

	"golang.org/x/sys/unix"
)

// The Debian suites that have kernels of current series. Nothing is ever
// installed from them, so it does not matter which of them the host runs.
var suites = []struct {
	name     string
	security bool // lives on the security mirror
}{
	{"bullseye", false}, {"bullseye-security", true},
	{"bookworm", false}, {"bookworm-security", true}, {"bookworm-backports", false},
	{"trixie", false}, {"trixie-security", true}, {"trixie-backports", false},
	{"sid", false},
}

const (
	debianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
	aptHelper     = "/usr/lib/apt/apt-helper"
	aptDirectory  = "/etc/apt"
)

// An aptPackage is an available package with a kernel image or kernel source.
type aptPackage struct {
	Source  bool   `json:",omitempty"`
	Series  string // such as "6.12"
	Name    string
	Version string // Debian's
	Suite   string
	URI     string
	SHA256  string
	Size    int64
}

// An aptIndex lists what the suites had when it was made. It is small. The
// lists that apt fetched for it are deleted.
//
// Apt checked the signatures when the index was made, but they are not kept. A
// package is authentic if its SHA-256 is the one in the index, so whoever can
// write to the cached index chooses the kernel.
type aptIndex struct {
	Made     time.Time
	Packages []aptPackage // by version, the newest first
	Troubles []string     // suites that could not be read
}

const indexLife = 24 * time.Hour

// indexFile is the cache's file with the index of an architecture.
func indexFile(arch *Arch) string { return "packages-" + arch.Name + ".json" }

// The permitted forms of a package's fields. Its name and version become parts
// of a file name in the cache, and its URI a word on apt's command line.
var (
	debianVersion = regexp.MustCompile(`^([0-9]+:)?[0-9][A-Za-z0-9.+~-]*$`)
	sha256Sum     = regexp.MustCompile(`^[0-9a-f]{64}$`)
	packageURI    = regexp.MustCompile(`^[a-z][a-z0-9+]*:/[!-~]+$`)
)

// check returns what is wrong with a package described by a mirror or by the
// cache.
func (p aptPackage) check() error {
	switch {
	case p.Size <= 0 || p.Size > bounded.Package:
		return fmt.Errorf("package %.100q has a size of %d", p.Name, p.Size)
	case !packageURI.MatchString(p.URI):
		return fmt.Errorf("package %.100q is at %.100q", p.Name, p.URI)
	}
	return p.checkName()
}

// checkName is check for the fields that the cache keeps of an image.
func (p aptPackage) checkName() error {
	series := ""
	if m := kernelVersion.FindStringSubmatch(p.Version); m != nil {
		series = m[1]
	}
	known := p.Source && sourcePackage.MatchString(p.Name) || !p.Source && imageArch(p.Name) != nil
	switch {
	case len(p.Name) > 200 || !known || strings.Contains(p.Name, "/"):
		return fmt.Errorf("package %.100q is no kernel's", p.Name)
	case len(p.Version) > 200 || !debianVersion.MatchString(p.Version):
		return fmt.Errorf("package %s has version %.100q", p.Name, p.Version)
	case !seriesPattern.MatchString(p.Series) || !p.Source && p.Series != series:
		return fmt.Errorf("package %s %s is of series %.100q", p.Name, p.Version, p.Series)
	case !sha256Sum.MatchString(p.SHA256):
		return fmt.Errorf("package %s has the digest %.100q", p.Name, p.SHA256)
	}
	return nil
}

// of returns the images of a series, or its sources, newest first.
func (x *aptIndex) of(series string, source bool) []aptPackage {
	return slices.DeleteFunc(slices.Clone(x.Packages), func(p aptPackage) bool { return p.Series != series || p.Source != source })
}

// series returns the series with images, or sources, newest first.
func (x *aptIndex) series(source bool) []string {
	var all []string
	for _, p := range x.Packages {
		if p.Source == source && !slices.Contains(all, p.Series) {
			all = append(all, p.Series)
		}
	}
	return all
}

// fresh reports whether the index is younger than life. An index that lacks
// suites is trusted only for a short time.
func (x *aptIndex) fresh(life time.Duration) bool {
	if len(x.Troubles) > 0 {
		life = min(life, 5*time.Minute)
	}
	return time.Since(x.Made) < life
}

// readIndex returns the cached index, however old.
func readIndex(c *cache.Dir, arch *Arch) (*aptIndex, error) {
	data, err := bounded.ReadFile(c.Path(indexFile(arch)), bounded.Text)
	if err != nil {
		return nil, err
	}
	x := &aptIndex{}
	err = json.Unmarshal(data, x)
	for _, p := range x.Packages {
		if err = errors.Join(err, p.check()); err == nil && !p.Source && p.arch() != arch {
			err = fmt.Errorf("package %s is not for %s", p.Name, arch)
		}
	}
	if err == nil && time.Until(x.Made) > time.Minute {
		err = fmt.Errorf("made in the future, %v", x.Made)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Path(indexFile(arch)), err)
	}
	return x, nil
}

// freshIndex returns an index no older than life, from the cache if possible.
// The caller holds the cache's lock.
func freshIndex(ctx context.Context, c *cache.Dir, arch *Arch, mirror string, life time.Duration, say progress) (*aptIndex, error) {
	switch x, err := readIndex(c, arch); {
	case err == nil && x.fresh(life):
		return x, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		say("cached package lists not used: %v", err)
	}
	work, remove, err := c.WorkDir()
	if err != nil {
		return nil, err
	}
	defer remove()
	a, err := newApt(work, arch, mirror)
	if err != nil {
		return nil, err
	}
	say("reading Debian's package lists for %s", arch)
	dates, err := readReleaseDates(c)
	if err != nil {
		return nil, err
	}
	x, err := a.index(ctx, dates)
	if err != nil {
		return nil, err
	}
	if err := dates.write(c); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(x, "", "\t")
	if err != nil {
		return nil, err
	}
	return x, c.WriteFile(indexFile(arch), append(data, '\n'))
}

// download fetches a package into dir, in the cache's work directory, and
// returns the file. Apt refuses a file whose hash is not the one in the signed
// lists.
func download(ctx context.Context, dir string, p aptPackage, mirror string, say progress) (string, error) {
	a, err := newApt(dir, p.arch(), mirror)
	if err != nil {
		return "", err
	}
	say("downloading %s %s (%d MB)", p.Name, p.Version, (p.Size+500_000)/1_000_000)
	to := filepath.Join(dir, "package.deb")
	if _, _, err := a.run(ctx, aptHelper, "download-file", p.URI, to, "SHA256:"+p.SHA256); err != nil {
		return "", fmt.Errorf("download %s: %w", p.URI, err)
	}
	return to, nil
}

// apt runs Debian's package manager on private state.
type apt struct {
	arch   *Arch
	config string
}

// newApt sets up apt's state in dir. An empty mirror means the system's.
func newApt(dir string, arch *Arch, mirror string) (*apt, error) {
	for _, need := range []struct{ path, pkg string }{
		{aptHelper, "apt"}, {debianKeyring, "debian-archive-keyring"},
	} {
		if _, err := os.Stat(need.path); err != nil {
			return nil, fmt.Errorf("a series is looked up with apt: %w: install %s, or give -kernel a file", err, need.pkg)
		}
	}
	m := mirrors{main: mirror}
	if mirror == "" {
		var err error
		if m, err = systemMirrors(aptDirectory); err != nil {
			return nil, err
		}
	} else if u, err := url.Parse(mirror); err != nil || u.Scheme == "" || strings.ContainsAny(mirror, " \t\n[]") {
		return nil, fmt.Errorf("-mirror %q: want a URL such as http://HOST/debian", mirror)
	}
	lists := filepath.Join(dir, "lists", "partial")
	archives := filepath.Join(dir, "cache", "archives", "partial")
	for _, d := range []string{lists, archives} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	sources := filepath.Join(dir, "sources.list")
	if err := os.WriteFile(sources, m.sources(), 0o644); err != nil {
		return nil, err
	}
	a := &apt{arch: arch, config: filepath.Join(dir, "apt.conf")}
	return a, os.WriteFile(a.config, aptConfig(dir, arch), 0o644)
}

// aptConfig is read after the system's configuration, so a proxy set there is
// used. The system's hooks are disabled: they are for packages that get
// installed.
func aptConfig(dir string, arch *Arch) []byte {
	// As root, apt downloads as an unprivileged user, who cannot read a
	// private directory. Root's home is one, and holds the cache unless
	// XDG_CACHE_HOME is set.
	sandbox := ""
	if !open(dir) {
		sandbox = "APT::Sandbox::User \"root\";\n"
	}
	quoted := func(elem ...string) string { return `"` + filepath.Join(append([]string{dir}, elem...)...) + `"` }
	return fmt.Appendf(nil, `#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Architectures;
#clear Acquire::IndexTargets;
APT::Architecture "%s";
APT::Architectures { "%[1]s"; };
Acquire::IndexTargets::deb::Packages {
  MetaKey "$(COMPONENT)/binary-$(ARCHITECTURE)/Packages";
  ShortDescription "Packages";
  Description "$(RELEASE)/$(COMPONENT) $(ARCHITECTURE) Packages";
};
// Whole lists, because differences need an older list.
Acquire::PDiffs "false";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
Dir::Etc::sourcelist %s;
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists %s;
Dir::State::status "/dev/null";
Dir::Cache %s;
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
%s`, arch.Name, quoted("sources.list"), quoted("lists"), quoted("cache"), sandbox)
}

// open reports whether every user can reach the directory.
func open(dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// run returns what the command prints. Its error has the first few complaints.
func (a *apt) run(ctx context.Context, name string, args ...string) (out []byte, complaints []string, err error) {
	var stdout bytes.Buffer
	says := &process.Tail{}
	ctx, stop := whileThereIsRoom(ctx, filepath.Dir(a.config))
	defer stop()
	err = runTool(ctx, &stdout, says, name, append([]string{"-c", a.config}, args...)...)
	if full := (*fullError)(nil); errors.As(context.Cause(ctx), &full) {
		return nil, nil, full
	}
	complaints = aptComplaints(says.Lines(1000))
	if err != nil && ctx.Err() == nil && len(complaints) > 0 {
		err = fmt.Errorf("apt: %s", strings.Join(complaints, "; "))
	}
	return stdout.Bytes(), complaints, err
}

// A fullError means that the file system has no room for the download.
type fullError struct{ dir string }

func (e *fullError) Error() string {
	return fmt.Sprintf("no room in %s: make some, or set XDG_CACHE_HOME to a directory where there is", e.dir)
}

// whileThereIsRoom returns a context that ends when the file system of dir is
// full. apt's http method then waits for ever, and says nothing.
func whileThereIsRoom(ctx context.Context, dir string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		for {
			var fs unix.Statfs_t
			if err := unix.Statfs(dir, &fs); err == nil && fs.Blocks > 0 { // some tell nothing
				room := fs.Bavail
				if unix.Geteuid() == 0 {
					room = fs.Bfree // what is kept for root is there
				}
				if room == 0 {
					cancel(&fullError{dir})
					return
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(500 * time.Millisecond):
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// aptComplaints picks the errors and the failed downloads out of apt's output.
// apt-get update exits with 0 even if downloads failed.
func aptComplaints(lines []string) []string {
	const enough = 3
	var found []string
	for _, line := range lines {
		text, ok := strings.CutPrefix(line, "E: ")
		if !ok {
			if text, ok = strings.CutPrefix(line, "W: "); !strings.HasPrefix(text, "Failed to fetch ") {
				ok = false
			}
		}
		if ok && len(found) < enough {
			found = append(found, text)
		}
	}
	return found
}

// index fetches the lists of all suites and picks the kernels. A suite older
// than recorded in dates is left out. Newer ones are recorded there.
func (a *apt) index(ctx context.Context, dates *releaseDates) (*aptIndex, error) {
	// A missing suite must not hide the others.
	_, troubles, err := a.run(ctx, "apt-get", "update")
	if err != nil && len(troubles) == 0 {
		return nil, err
	}
	targets, _, err := a.run(ctx, "apt-get", "indextargets",
		"--format", "$(CODENAME)|$(REPO_URI)|$(FILENAME)", "Created-By: Packages")
	if err != nil {
		return nil, err
	}
	x := &aptIndex{Made: time.Now(), Troubles: troubles}
	for line := range strings.Lines(string(targets)) {
		suite, rest, _ := strings.Cut(strings.TrimSpace(line), "|")
		repo, file, ok := strings.Cut(rest, "|")
		if !ok {
			return nil, fmt.Errorf("apt-get indextargets: unexpected line %q", line)
		}
		if err := dates.check(repo, suite, file); err != nil {
			x.Troubles = append(x.Troubles, err.Error())
			continue
		}
		list, _, err := a.run(ctx, aptHelper, "cat-file", file)
		if err != nil {
			return nil, err
		}
		found, err := parsePackages(bytes.NewReader(list), a.arch, suite, repo)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		x.Packages = append(x.Packages, found...)
	}
	if len(x.Packages) == 0 {
		return nil, fmt.Errorf("apt: no kernels could be looked up: %s", strings.Join(append(x.Troubles, "is there a network?"), "; "))
	}
	slices.SortStableFunc(x.Packages, func(p, q aptPackage) int {
		return compareVersions(q.Version, p.Version)
	})
	return x, nil
}

// Debian's cloud kernels are built for virtual machines. The image is in
// linux-image or, since 6.19, in linux-binary, on which linux-image then merely
// depends. Packages whose name has no full version only depend on others too.
// linux-source has the whole source, with Debian's changes, for all
// architectures.
var (
	sourcePackage = regexp.MustCompile(`^linux-source-([0-9]+\.[0-9]+)$`)
	imagePackage  = regexp.MustCompile(`^linux-(image|binary)-[0-9][^-]*(-[^-]+)?-cloud-([a-z0-9]+)$`)
	kernelVersion = regexp.MustCompile(`^([0-9]+\.[0-9]+)[.~-]`)
)

// minImageSize tells an image from a package that only depends on one.
const minImageSize = 4 << 20

// imageArch returns the architecture of an image by its package's name, or nil.
func imageArch(name string) *Arch {
	m := imagePackage.FindStringSubmatch(name)
	if m == nil {
		return nil
	}
	return ArchNamed(m[len(m)-1])
}

// arch returns the package's architecture. A source has none of its own: it
// comes with any list.
func (p aptPackage) arch() *Arch {
	if p.Source {
		return AMD64
	}
	return imageArch(p.Name)
}

// parsePackages reads a Packages file, see deb822(5), for an architecture's
// kernel images, and for sources.
func parsePackages(r io.Reader, of *Arch, suite, repo string) ([]aptPackage, error) {
	var found []aptPackage
	var p aptPackage
	var arch string
	add := func(p aptPackage) {
		if p.check() == nil { // an odd one must not hide the others
			found = append(found, p)
		}
	}
	flush := func() {
		series := kernelVersion.FindStringSubmatch(p.Version)
		if arch == of.Name && series != nil && p.Size >= minImageSize && p.SHA256 != "" && imageArch(p.Name) == of {
			p.Series, p.Suite = series[1], suite
			add(p)
		}
		if source := sourcePackage.FindStringSubmatch(p.Name); arch == "all" && source != nil && p.SHA256 != "" {
			p.Source, p.Series, p.Suite = true, source[1], suite
			add(p)
		}
		p, arch = aptPackage{}, ""
	}
	in := bufio.NewScanner(r)
	in.Buffer(nil, 4<<20) // the longest Depends
	for in.Scan() {
		line := in.Text()
		if line == "" {
			flush()
			continue
		}
		key, value, ok := strings.Cut(line, ": ")
		if !ok {
			continue // a continued field
		}
		switch key {
		case "Package":
			p.Name = value
		case "Version":
			p.Version = value
		case "Architecture":
			arch = value
		case "Filename":
			p.URI = strings.TrimSuffix(repo, "/") + "/" + value
		case "SHA256":
			p.SHA256 = value
		case "Size":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("package %s: Size: %w", p.Name, err)
			}
			p.Size = n
		}
	}
	flush()
	return found, in.Err()
}

// mirrors are the servers of the suites.
type mirrors struct {
	main     string
	security string // derived from main if empty
}

// sources is a sources.list(5) of the suites.
func (m mirrors) sources() []byte {
	security := m.security
	if security == "" {
		security = strings.TrimSuffix(m.main, "/") + "-security"
	}
	var b []byte
	for _, s := range suites {
		uri := m.main
		if s.security {
			uri = security
		}
		b = fmt.Appendf(b, "deb [signed-by=%s] %s %s main\n", debianKeyring, uri, s.name)
	}
	return b
}

// systemMirrors finds Debian's mirrors in the system's apt sources, in one-line
// or deb822 form.
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
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return mirrors{}, err
		}
		for _, s := range parse(string(data)) {
			switch {
			case !slices.Contains(s.components, "main"):
			case m.security == "" && slices.ContainsFunc(s.suites, isSecuritySuite):
				m.security = s.uri
			case m.main == "" && slices.ContainsFunc(s.suites, isDebianSuite):
				m.main = s.uri
			}
		}
	}
	m.main, m.security = firstMirror(m.main), firstMirror(m.security)
	if m.main == "" {
		return mirrors{}, fmt.Errorf("no Debian mirror in %s/sources.list or sources.list.d: name one with -mirror, or give -kernel a file", dir)
	}
	return m, nil
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
	fields := make(map[string]string)
	last := ""
	flush := func() {
		uris := strings.Fields(fields["uris"])
		if slices.Contains(strings.Fields(fields["types"]), "deb") && len(uris) > 0 &&
			!slices.Contains([]string{"no", "false", "without", "off", "disable"}, strings.ToLower(fields["enabled"])) {
			all = append(all, source{uri: uris[0], suites: strings.Fields(fields["suites"]), components: strings.Fields(fields["components"])})
		}
		clear(fields)
		last = ""
	}
	for line := range strings.Lines(data) {
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			flush()
		case line[0] == ' ' || line[0] == '\t':
			fields[last] += " " + strings.TrimSpace(line)
		default:
			key, value, _ := strings.Cut(line, ":")
			last = strings.ToLower(key)
			fields[last] = strings.TrimSpace(value)
		}
	}
	flush()
	return all
}

// compareVersions orders Debian versions as deb-version(7) specifies.
func compareVersions(a, b string) int {
	epochA, upA, revA := splitVersion(a)
	epochB, upB, revB := splitVersion(b)
	if epochA != epochB {
		return epochA - epochB
	}
	if c := compareVersionPart(upA, upB); c != 0 {
		return c
	}
	return compareVersionPart(revA, revB)
}

func splitVersion(v string) (epoch int, upstream, revision string) {
	if e, rest, ok := strings.Cut(v, ":"); ok {
		epoch, _ = strconv.Atoi(e)
		v = rest
	}
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return epoch, v[:i], v[i+1:]
	}
	return epoch, v, ""
}

// compareVersionPart compares runs of non-digits and runs of digits in turn. A
// tilde sorts before everything, even the end; letters sort before other
// characters; digits are compared as numbers.
func compareVersionPart(a, b string) int {
	for a != "" || b != "" {
		for (a != "" && !isDigit(a[0])) || (b != "" && !isDigit(b[0])) {
			if c := versionOrder(a) - versionOrder(b); c != 0 {
				return c
			}
			a, b = a[1:], b[1:]
		}
		var na, nb string
		na, a = cutNumber(a)
		nb, b = cutNumber(b)
		if len(na) != len(nb) {
			return len(na) - len(nb)
		}
		if c := strings.Compare(na, nb); c != 0 {
			return c
		}
	}
	return 0
}

func versionOrder(s string) int {
	switch {
	case s == "" || isDigit(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case s[0] >= 'A' && s[0] <= 'Z' || s[0] >= 'a' && s[0] <= 'z':
		return int(s[0])
	}
	return int(s[0]) + 256
}

// cutNumber returns the number at the start of s, without leading zeros, and
// the rest.
func cutNumber(s string) (number, rest string) {
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return strings.TrimLeft(s[:i], "0"), s[i:]
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
