//go:build linux

package arms

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"eventbench/helpers/boots"
	"eventbench/helpers/cli"
	"eventbench/helpers/files"
	"eventbench/helpers/gate"
	"eventbench/helpers/guest"
	"eventbench/helpers/mechanisms"
	"eventbench/helpers/results"
)

// recording turns boots into baselines.
type recording struct {
	boots.Settings
	boots int
	out   string
}

func (r *recording) flags(fs *flag.FlagSet) {
	r.Bench, r.Benchtime, r.Count = mechanisms.Gate, boots.GateBenchtime, boots.GateCount
	r.Flags(fs)
	fs.IntVar(&r.boots, "boots", gate.MostBoots, "boot each kernel `n` times")
	fs.StringVar(&r.out, "out", "", "write a file for each kernel into `dir` (default testdata/baselines, for arm64 its subdirectory arm64)")
}

// record boots the kernels and writes the samples of each to one file.
func (r *recording) record(ctx context.Context, operands []string, say func(string, ...any)) error {
	switch {
	case r.boots < 1:
		return cli.Usage("-boots %d: want at least 1", r.boots)
	case len(operands) < 2:
		return cli.Usage("want a static test binary (make eventbench.static) and kernels, such as 6.12")
	}
	if err := r.Check(); err != nil {
		return cli.Usage("%w", err)
	}
	r.Binary = operands[0]
	if r.Shard.Given() {
		return boots.MakeShard(ctx, "baselines", r.Settings, operands[1:], 1, r.boots, say)
	}
	set, unlock, err := boots.Open(ctx, r.Settings, operands[1:], say)
	if err != nil {
		return err
	}
	defer unlock()
	todo, err := set.Missing(1, r.boots)
	if err != nil {
		return err
	}
	say("%d of %d boots to go, %d at a time, into %s", len(todo), r.boots*len(set.Kernels), r.Jobs, set.Dir)
	if err := set.Make(ctx, todo, false, say); err != nil {
		return err
	}
	if r.out == "" {
		r.out = "testdata/baselines"
		if set.Arch != guest.AMD64 {
			r.out = filepath.Join(r.out, set.Arch.Name)
		}
	}
	if err := os.MkdirAll(r.out, 0o777); err != nil {
		return err
	}
	for _, k := range set.Kernels {
		var samples [][]byte
		for seed := 1; seed <= r.boots; seed++ {
			text, err := os.ReadFile(boots.Boot{Kernel: k, Seed: seed}.File())
			if err != nil {
				return err
			}
			samples = append(samples, text)
		}
		if err := files.Write(filepath.Join(r.out, files.Name(k.Label)+results.Ext), baseline(k.Label, time.Now(), samples)); err != nil {
			return err
		}
	}
	say("%d baselines are in %s", len(set.Kernels), r.out)
	return nil
}

// baseline joins a kernel's boots into one file, in which lines such as
// "sample: 1" tell them apart. Unit lines occur once.
func baseline(label string, made time.Time, samples [][]byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Boots of %s, for gate and gate-kernels to compare with. Made by make baselines on %s.\n", label, made.Format("2 January 2006"))
	for i, text := range samples {
		fmt.Fprintf(&b, "sample: %d\n", i+1)
		for line := range strings.Lines(string(text)) {
			if i == 0 || !strings.HasPrefix(line, "Unit ") {
				b.WriteString(line)
			}
		}
	}
	return b.Bytes()
}
