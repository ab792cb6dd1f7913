package optionsdoc

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/internal/config"
)

var update = flag.Bool("update", false, "write the files")

// The files are what the code generates.
func TestOptionsAreDocumented(t *testing.T) {
	for _, variable := range []string{"STATE_DIRECTORY", "XDG_DATA_HOME"} { // acme.storage depends on them
		t.Setenv(variable, "")
	}
	groups, err := documented("../..", "../config")
	if err != nil {
		t.Fatal(err)
	}
	text, err := reference(groups)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, "../../docs/options.md", text)
	comparePart(t, "../../cmd/standalone/help.txt", "Options of the proxy; docs/options.md has the details:", "Options of doctor, which reads no configuration and changes nothing:", helpList(groups))
	comparePart(t, "../../README.md", "<!-- make docs writes this table from the comments in config.go -->", "<!-- end of the table -->", readmeTable(groups))
}

// Incomplete comments are errors that tell the developer what is missing.
func TestCommentsAreComplete(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ comment, want string }{
		"complete":        {comment: `HTTPS is the address, as [Listen.HTTP] is. More. Default: :443.`},
		"none":            {want: `end with "Default: VALUE."`},
		"without default": {comment: "HTTPS is the address.", want: `end with "Default: VALUE."`},
		"another default": {comment: "HTTPS is the address. Default: :8443.", want: `says that the default is ":8443", but it is ":443"`},
		"another subject": {comment: "The address. Default: :443.", want: "begin with HTTPS"},
		"unknown link":    {comment: "HTTPS is like [Listen.FTP]. Default: :443.", want: "links to [Listen.FTP], which is no option"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			described, err := describe(optionNamed(t, "listen.https"), comments{"config.Listen.HTTPS": c.comment}, config.Defaults())
			if c.want == "" {
				if err != nil || described.Text != `the address, as "listen.http" is. More.` || described.Summary() != `the address, as "listen.http" is` {
					t.Errorf("%+v, %v", described, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func optionNamed(t *testing.T, name string) config.Option {
	t.Helper()
	for _, o := range config.Options() {
		if o.Name == name {
			return o
		}
	}
	t.Fatalf("there is no option %s", name)
	return config.Option{}
}

func comparePart(t *testing.T, file, begin, end, part string) {
	t.Helper()
	text, err := replaceBetween(read(t, file), begin, end, part)
	if err != nil {
		t.Errorf("%s: %v", file, err)
		return
	}
	compare(t, file, text)
}

func compare(t *testing.T, file, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if read(t, file) != want {
		t.Errorf("%s does not describe the options as the code does; run make docs", file)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
