//go:build linux

// Package debian finds, verifies, fetches and unpacks Debian's kernels, on any
// distribution: with neither apt nor dpkg.
//
//	archive, err := debian.Open(mirror, snapshot)
//	index, err := archive.Index(ctx, cache, "amd64", life, say)
//	err = archive.Download(ctx, index.Images("6.12")[0], file, say)
//	err = debian.Walk(file, visit)
//
// A chain of trust leads from the keys of Debian's archive to the package: a
// suite's InRelease is signed, has the digest of the list of packages, and that
// has the digest of each package.
package debian

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"eventbench/helpers/bounded"
)

// The Debian suites that have kernels of current series. Nothing is ever
// installed from them, so it does not matter what the host runs.
var suites = []suite{
	{"bullseye", false}, {"bullseye-security", true},
	{"bookworm", false}, {"bookworm-security", true}, {"bookworm-backports", false},
	{"trixie", false}, {"trixie-security", true}, {"trixie-backports", false},
	{"sid", false},
}

type suite struct {
	name     string // its codename
	security bool   // in the security archive
}

// A Package is one with a kernel image or a kernel's source.
type Package struct {
	Source   bool   `json:",omitempty"`
	Series   string // such as "6.12"
	Name     string
	Version  string // Debian's
	Suite    string
	Security bool   `json:",omitempty"` // in the security archive
	Path     string // in the archive
	SHA256   string
	Size     int64
}

// Debian's cloud kernels are built for virtual machines. The image is in
// linux-image or, since 6.19, in linux-binary, on which linux-image then merely
// depends. Packages whose name has no full version only depend on others too.
// linux-source has the whole source, with Debian's changes, for all
// architectures.
var (
	sourcePackage = regexp.MustCompile(`^linux-source-([0-9]+\.[0-9]+)$`)
	imagePackage  = regexp.MustCompile(`^linux-(image|binary)-[0-9][^-/]*(-[^-/]+)?-cloud-([a-z0-9]+)$`)
	kernelVersion = regexp.MustCompile(`^([0-9]+\.[0-9]+)[.~-]`)
)

// minImageSize tells an image from a package that only depends on one.
const minImageSize = 4 << 20

// The permitted forms of a package's fields. Its name and version become parts
// of a file name in the cache, and its path the end of a URL.
var (
	seriesForm  = regexp.MustCompile(`^[0-9]+\.[0-9]+$`)
	versionForm = regexp.MustCompile(`^([0-9]+:)?[0-9][A-Za-z0-9.+~-]*$`)
	sha256Form  = regexp.MustCompile(`^[0-9a-f]{64}$`)
	pathForm    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+~_/-]*$`)
)

// Arch returns the architecture of an image by its package's name, or "". A
// source has none.
func (p Package) Arch() string {
	m := imagePackage.FindStringSubmatch(p.Name)
	if m == nil {
		return ""
	}
	return m[len(m)-1]
}

// Check returns what is wrong with a package as a mirror or a cache describes
// it, apart from where it is fetched.
func (p Package) Check() error {
	series := ""
	if m := kernelVersion.FindStringSubmatch(p.Version); m != nil {
		series = m[1]
	}
	known := p.Source && sourcePackage.MatchString(p.Name) || !p.Source && p.Arch() != ""
	switch {
	case len(p.Name) > 200 || !known:
		return fmt.Errorf("package %.100q is no kernel's", p.Name)
	case len(p.Version) > 200 || !versionForm.MatchString(p.Version):
		return fmt.Errorf("package %s has version %.100q", p.Name, p.Version)
	case !seriesForm.MatchString(p.Series) || !p.Source && p.Series != series:
		return fmt.Errorf("package %s %s is of series %.100q", p.Name, p.Version, p.Series)
	case !sha256Form.MatchString(p.SHA256):
		return fmt.Errorf("package %s has the digest %.100q", p.Name, p.SHA256)
	}
	return nil
}

// checkAll is Check, and of where the package is.
func (p Package) checkAll() error {
	switch {
	case p.Size <= 0 || p.Size > bounded.Package:
		return fmt.Errorf("package %.100q has a size of %d", p.Name, p.Size)
	case len(p.Path) > 500 || !pathForm.MatchString(p.Path) || path.Clean(p.Path) != p.Path || strings.Contains(p.Path, ".."):
		return fmt.Errorf("package %.100q is at %.100q", p.Name, p.Path)
	}
	return p.Check()
}
