package optionsdoc

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/immichaccess/immichaccess/internal/config"
)

// comments are those of types ("config.Listen") and of their fields ("config.Listen.HTTPS"), on one line each.
type comments map[string]string

func readComments(directories ...string) (comments, error) {
	found := comments{}
	for _, directory := range directories {
		files, err := filepath.Glob(filepath.Join(directory, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
			if err != nil {
				return nil, err
			}
			found.add(parsed)
		}
	}
	return found, nil
}

func (c comments) add(file *ast.File) {
	for _, declaration := range file.Decls {
		types, isTypes := declaration.(*ast.GenDecl)
		if !isTypes || types.Tok != token.TYPE {
			continue
		}
		for _, spec := range types.Specs {
			name := file.Name.Name + "." + spec.(*ast.TypeSpec).Name.Name
			c[name] = onOneLine(types.Doc)
			if structure, isStruct := spec.(*ast.TypeSpec).Type.(*ast.StructType); isStruct {
				c.addFields(name, structure)
			}
		}
	}
}

func (c comments) addFields(owner string, structure *ast.StructType) {
	for _, field := range structure.Fields.List {
		for _, name := range field.Names {
			c[owner+"."+name.Name] = onOneLine(field.Doc)
		}
	}
}

func onOneLine(comment *ast.CommentGroup) string {
	return strings.Join(strings.Fields(comment.Text()), " ")
}

// ofSection is the comment of a section's field in Settings, or of its type.
func (c comments) ofSection(name string) string {
	settings := reflect.TypeFor[config.Settings]()
	for i := range settings.NumField() {
		field := settings.Field(i)
		if field.Tag.Get("yaml") != name {
			continue
		}
		comment := c[settings.String()+"."+field.Name]
		if comment == "" {
			comment = c[field.Type.String()]
		}
		text, _ := withoutSubject(comment, field.Name)
		return text
	}
	return ""
}
