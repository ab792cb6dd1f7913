package config

import (
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// The plugin's package can't import this one, so that problems exists twice. Both collect errors in the same way.
func TestProblemsAreTheSameInThePlugin(t *testing.T) {
	t.Parallel()
	ours, plugins := declarationsOfProblems(t, "load.go"), declarationsOfProblems(t, "../../config.go")
	if ours != plugins {
		t.Errorf("problems and its add differ:\n%s\n%s", ours, plugins)
	}
}

func declarationsOfProblems(t *testing.T, file string) string {
	t.Helper()
	tokens := token.NewFileSet()
	parsed, err := parser.ParseFile(tokens, file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found strings.Builder
	for _, declaration := range parsed.Decls {
		if !isProblems(declaration) {
			continue
		}
		if err := format.Node(&found, tokens, declaration); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Count(found.String(), "problems") != 2 {
		t.Fatalf("%s declares %q", file, found.String())
	}
	return found.String()
}

// isProblems is true of the type and of its method add.
func isProblems(declaration ast.Decl) bool {
	switch d := declaration.(type) {
	case *ast.FuncDecl:
		return d.Name.Name == "add" && d.Recv != nil
	case *ast.GenDecl:
		spec, isType := d.Specs[0].(*ast.TypeSpec)
		return isType && spec.Name.Name == "problems"
	default:
		return false
	}
}
