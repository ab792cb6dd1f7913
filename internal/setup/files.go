package setup

import (
	"bytes"
	_ "embed"
	"fmt"
	"path/filepath"
	"strings"
	"text/template"

	"gopkg.in/yaml.v3"

	"github.com/immichaccess/immichaccess/internal/config"
	"github.com/immichaccess/immichaccess/internal/dnschallenge"
	"github.com/immichaccess/immichaccess/internal/filewrite"
)

// The files beside the configuration.
const (
	KeysFile        = "keys"
	EnvironmentFile = "immichaccess.env"
)

const (
	readable = 0o644 // by the service, whose user owns nothing
	secret   = 0o600
)

//go:embed immichaccess.yml.tmpl
var configurationText string

var configuration = template.Must(template.New("").Funcs(template.FuncMap{"yaml": scalar}).Parse(configurationText))

// scalar quotes a value where YAML needs that.
func scalar(value any) (string, error) {
	text, err := yaml.Marshal(value)
	return strings.TrimSpace(string(text)), err
}

const keysText = `# Access keys, one per line: immichaccess key NAME makes more. A change takes effect within 5 s. The systemd service reads a copy
# that is made when it starts: systemctl restart immichaccess.
%s
`

const environmentText = `# The credentials for the DNS provider. Put a value in single quotes if it has other characters than letters and digits.
`

// Files are what the answers and the entry of the key amount to, in a directory whose path is absolute.
func (a *Answers) Files(dir, entry string) ([]filewrite.File, error) {
	keysFile := filepath.Join(dir, KeysFile)
	var text bytes.Buffer
	err := configuration.Execute(&text, struct {
		*Answers
		KeysFile string
	}{a, keysFile})
	files := []filewrite.File{
		{Path: filepath.Join(dir, config.FileName), Content: text.Bytes(), Mode: readable},
		{Path: keysFile, Content: fmt.Appendf(nil, keysText, entry), Mode: secret},
	}
	if a.Provider != "" {
		files = append(files, filewrite.File{Path: filepath.Join(dir, EnvironmentFile), Content: a.environment(), Mode: secret})
	}
	return files, err
}

func (a *Answers) environment() []byte {
	variables, err := dnschallenge.Variables(a.Provider)
	if err != nil {
		return nil // the provider was checked when it was asked for
	}
	text := []byte(environmentText)
	for _, name := range variables {
		text = fmt.Appendf(text, "%s=\n", name)
	}
	return text
}
