//go:build linux

package columns

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// A search for a row's id finds its test: the id is in the test's comment.
func TestIDsAboveTests(t *testing.T) {
	const dir = "../../behaviours"
	files, err := filepath.Glob(dir + "/*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files in %s, %v", len(files), dir, err)
	}
	id := regexp.MustCompile(`\b[A-Z]{3}-[0-9]+\b`)
	commented := map[string][]string{} // ids in the comment of each function or variable
	rows := map[string]ast.Expr{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				commented[d.Name.Name] = append(commented[d.Name.Name], id.FindAllString(d.Doc.Text(), -1)...)
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if v, ok := spec.(*ast.ValueSpec); ok {
						commented[v.Names[0].Name] = id.FindAllString(d.Doc.Text()+v.Doc.Text(), -1)
					}
				}
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if kv, ok := n.(*ast.KeyValueExpr); ok {
				if key, ok := kv.Key.(*ast.BasicLit); ok && key.Kind == token.STRING {
					if text, _ := strconv.Unquote(key.Value); id.FindString(text) == text && text != "" {
						rows[text] = kv.Value
					}
				}
			}
			return true
		})
	}
	inv, err := readInventories("../../testdata/behaviours")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range inv {
		for _, row := range m.rows {
			test := rows[row.ID]
			if test == nil {
				t.Errorf("%s is in no table in %s", row.ID, dir)
				continue
			}
			above := false
			ast.Inspect(test, func(n ast.Node) bool {
				if i, ok := n.(*ast.Ident); ok && slices.Contains(commented[i.Name], row.ID) {
					above = true
				}
				return true
			})
			if !above {
				t.Errorf("%s is not in the comment above its test", row.ID)
			}
		}
	}
}
