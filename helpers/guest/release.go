package guest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"eventbench/helpers/bounded"
	"eventbench/helpers/cache"
)

// releasesFile keeps the dates of the suites' Release files.
const releasesFile = "releases.json"

// releaseDates are the newest dates seen in the suites' Release files, by
// mirror. A signature does not reveal an old Release file, with kernels that
// have known holes, because the signature is good as long as the file is valid,
// which for a stable suite is for ever.
type releaseDates struct {
	path string
	seen map[string]time.Time // by mirror and suite
}

// readReleaseDates reads the dates from the cache.
func readReleaseDates(c *cache.Dir) (*releaseDates, error) {
	d := &releaseDates{path: c.Path(releasesFile), seen: make(map[string]time.Time)}
	data, err := bounded.ReadFile(d.path, bounded.Text)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &d.seen)
	}
	if err != nil {
		return nil, fmt.Errorf("the recorded dates of Debian's lists, %s: %w: remove the file", d.path, err)
	}
	return d, nil
}

func (d *releaseDates) write(c *cache.Dir) error {
	data, err := json.MarshalIndent(d.seen, "", "\t")
	if err != nil {
		return err
	}
	return c.WriteFile(releasesFile, append(data, '\n'))
}

// check checks the Release file that a list of packages belongs to. Apt has
// checked its signature.
func (d *releaseDates) check(mirror, suite, list string) error {
	date, err := releaseDate(list)
	if err != nil {
		return fmt.Errorf("%s: %w", suite, err)
	}
	key := strings.TrimSuffix(mirror, "/") + " " + suite
	if seen := d.seen[key]; date.Before(seen) {
		return fmt.Errorf("%s: the mirror has lists of %s, older than those of %s seen before: it lags, or somebody replays old ones; wait, name another mirror with -mirror, or remove %s to accept them",
			suite, date.Format(time.RFC3339), seen.Format(time.RFC3339), d.path)
	}
	d.seen[key] = date
	return nil
}

// releaseDate returns the date of the Release file beside a list of packages.
func releaseDate(list string) (time.Time, error) {
	prefix, _, ok := strings.Cut(list, "_main_binary-")
	if !ok {
		return time.Time{}, fmt.Errorf("no list of packages: %s", list)
	}
	f, err := bounded.Open(prefix+"_InRelease", bounded.Text)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = bounded.Open(prefix+"_Release", bounded.Text)
	}
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	for in.Scan() {
		if text, ok := strings.CutPrefix(in.Text(), "Date: "); ok {
			return time.Parse(time.RFC1123, text)
		}
	}
	if err := in.Err(); err != nil {
		return time.Time{}, err
	}
	return time.Time{}, fmt.Errorf("%s has no date", f.Name())
}
