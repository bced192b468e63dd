//go:build linux

package debian

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"eventbench/helpers/bounded"
	"eventbench/helpers/cache"

	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// carriedKeys are the keys of Debian's archive in November 2026, as
// debian-archive-keyring has them. TestCarriedKeys has their fingerprints.
//
//go:embed keys.asc
var carriedKeys []byte

// keyrings are where Debian's package of the keys has them, by version.
var keyrings = []string{
	"/usr/share/keyrings/debian-archive-keyring.pgp",
	"/usr/share/keyrings/debian-archive-keyring.gpg",
}

// readKeys returns the keys of Debian's archive: those of the first file that is
// there, which its distribution keeps up to date, and of the carried ones those
// that it lacks, because an old distribution knows no new suites. A mirror that
// signs by itself has the keys in EVENTBENCH_KEYRING, instead of all these.
func readKeys(files []string) (openpgp.EntityList, error) {
	if file := os.Getenv(keyringVar); file != "" {
		keys, err := readKeyring(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", keyringVar, err)
		}
		return keys, nil
	}
	keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(carriedKeys))
	if err != nil {
		return nil, fmt.Errorf("the carried keys: %w", err)
	}
	for _, file := range files {
		system, err := readKeyring(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			if len(system.EntitiesById(key.PrimaryKey.KeyId)) == 0 {
				system = append(system, key)
			}
		}
		return system, nil
	}
	return keys, nil
}

// readKeyring reads a file of keys, in text or not.
func readKeyring(file string) (openpgp.EntityList, error) {
	data, err := bounded.ReadFile(file, bounded.Text)
	if err != nil {
		return nil, err
	}
	read := openpgp.ReadKeyRing
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("-----BEGIN")) {
		read = openpgp.ReadArmoredKeyRing
	}
	keys, err := read(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return keys, nil
}

// A release is a suite's InRelease file, verified.
type release struct {
	date  time.Time
	lists map[string]listed // by path
}

type listed struct {
	size   int64
	sha256 string
}

// maxRelease limits an InRelease file, which has 200 KB.
const maxRelease = 8 << 20

// release fetches and verifies a suite's InRelease file.
func (a *Archive) release(ctx context.Context, s suite) (*release, error) {
	url := a.url(s.security, "dists/"+s.name+"/InRelease")
	data, err := a.get(ctx, url, maxRelease)
	if err != nil {
		return nil, err
	}
	r, err := a.parseRelease(data, s.name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	return r, nil
}

// parseRelease verifies an InRelease file, and that it is of the suite and not
// out of date.
func (a *Archive) parseRelease(data []byte, suite string) (*release, error) {
	block, _ := clearsign.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("not a signed file%s", looksLike(data))
	}
	a.verifying.Lock() // the library notes in the keys what it has found out
	err := verify(a.keys, block, a.now())
	a.verifying.Unlock()
	if err != nil {
		return nil, err
	}
	r := &release{lists: make(map[string]listed)}
	fields := []string{"codename", "date", "valid-until", "sha256"}
	err = eachParagraph(bytes.NewReader(block.Plaintext), fields, func(p paragraph) (err error) {
		if p["codename"] != suite {
			return fmt.Errorf("of the suite %.50q", p["codename"])
		}
		if r.date, err = time.Parse(time.RFC1123, p["date"]); err != nil {
			return fmt.Errorf("it has no date: %w", err)
		}
		if text, ok := p["valid-until"]; ok {
			until, err := time.Parse(time.RFC1123, text)
			if err != nil {
				return fmt.Errorf("Valid-Until: %w", err)
			}
			// A snapshot shows what was valid at its time.
			if a.now().After(until) {
				return fmt.Errorf("valid until %s: the mirror lags, or somebody replays an old one; name another mirror with -mirror", day(until))
			}
		}
		for line := range strings.Lines(p["sha256"]) {
			f := strings.Fields(line)
			if len(f) != 3 {
				continue
			}
			size, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil || !sha256Form.MatchString(f[0]) {
				return fmt.Errorf("unexpected line %q", line)
			}
			r.lists[f[2]] = listed{size, f[0]}
		}
		return nil
	})
	if err == nil && r.date.IsZero() {
		err = errors.New("it says nothing")
	}
	return r, err
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// verify returns nil if any of the signatures is good. Debian signs with the
// keys of two releases at a time.
func verify(keys openpgp.EntityList, block *clearsign.Block, now time.Time) error {
	config := &packet.Config{Time: func() time.Time { return now }}
	var errs []error
	packets := packet.NewReader(block.ArmoredSignature.Body)
	for {
		p, err := packets.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("its signature cannot be read: %w", err)
		}
		sig, ok := p.(*packet.Signature)
		if !ok || sig.IssuerKeyId == nil {
			continue
		}
		err = verifyOne(keys, block.Bytes, sig, config)
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("key %016X: %w", *sig.IssuerKeyId, err))
	}
	if errs == nil {
		errs = append(errs, errors.New("there is none"))
	}
	return fmt.Errorf("no good signature: %w", joined(errs))
}

func verifyOne(keys openpgp.EntityList, text []byte, sig *packet.Signature, config *packet.Config) error {
	signers := openpgp.EntityList(keys.EntitiesById(*sig.IssuerKeyId))
	if len(signers) == 0 {
		return errors.New("not one of Debian's archive, as far as is known here")
	}
	var one bytes.Buffer
	if err := sig.Serialize(&one); err != nil {
		return err
	}
	if _, _, err := openpgp.VerifyDetachedSignature(signers, bytes.NewReader(text), &one, config); err != nil {
		return err
	}
	// The library asks whether the key was good when it signed.
	if _, err := signers[0].VerifyPrimaryKey(config.Now(), config); err != nil {
		return fmt.Errorf("%w: a newer package debian-archive-keyring, or a newer eventbench, has those that Debian uses now", err)
	}
	if _, ok := signers[0].SigningKeyById(config.Now(), *sig.IssuerKeyId, config); !ok {
		return errors.New("expired or revoked")
	}
	return nil
}

// joined joins errors in one line.
func joined(errs []error) error {
	var texts []string
	for _, err := range errs {
		texts = append(texts, err.Error())
	}
	return errors.New(strings.Join(texts, "; "))
}

// releasesFile keeps the dates of the suites' InRelease files.
const releasesFile = "releases.json"

// releaseDates are the newest dates seen in the suites' InRelease files, by
// mirror. A signature does not reveal an old InRelease file, with kernels that
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
	if errors.Is(err, os.ErrNotExist) {
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

// check checks the date of a mirror's InRelease file, and records it.
func (d *releaseDates) check(mirror, suite string, date time.Time) error {
	key := strings.TrimSuffix(mirror, "/") + " " + suite
	if seen := d.seen[key]; date.Before(seen) {
		return fmt.Errorf("%s: the mirror has lists of %s, older than those of %s seen before: it lags, or somebody replays old ones; wait, name another mirror with -mirror, or remove %s to accept them",
			suite, date.Format(time.RFC3339), seen.Format(time.RFC3339), d.path)
	}
	d.seen[key] = date
	return nil
}
