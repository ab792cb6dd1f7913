package licenses

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write THIRD_PARTY_LICENSES.md")

const (
	vendor = "../../vendor"
	listed = "../../THIRD_PARTY_LICENSES.md"
)

func TestThirdPartyLicensesAreListed(t *testing.T) {
	t.Parallel()
	want := document(t)
	if *update {
		if err := os.WriteFile(listed, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got := read(t, listed); got != want {
		t.Error("THIRD_PARTY_LICENSES.md does not match the vendor directory; run make licenses")
	}
}

// module is a directory below vendor with a licence of its own.
type module struct {
	path, version, license, text string
}

func document(t *testing.T) string {
	t.Helper()
	modules := vendored(t)
	var table, texts strings.Builder
	for _, m := range modules {
		fmt.Fprintf(&table, "| %s | %s | %s |\n", m.path, m.version, m.license)
		fmt.Fprintf(&texts, "\n## %s\n\n```text\n%s\n```\n", m.path, strings.TrimSpace(m.text))
	}
	return "# Third-party licences\n\n" +
		"The binary contains these modules, and Go's standard library (BSD-3-Clause, https://go.dev/LICENSE). The Traefik plugin uses the\n" +
		"standard library only. `make licenses` writes this file.\n\n" +
		"| module | version | licence |\n|---|---|---|\n" + table.String() + texts.String()
}

func vendored(t *testing.T) []module {
	t.Helper()
	lines := regexp.MustCompile(`(?m)^# (\S+) (v\S+)`).FindAllStringSubmatch(read(t, filepath.Join(vendor, "modules.txt")), -1)
	if len(lines) == 0 {
		t.Fatal("vendor/modules.txt names no module")
	}
	modules := make([]module, 0, len(lines))
	for _, line := range lines {
		m := module{path: line[1], version: line[2]}
		m.text = licenseText(t, m.path)
		if m.license = identify(m.text); m.license == "" {
			t.Errorf("%s has a licence that this test does not know", m.path)
		}
		modules = append(modules, m)
	}
	return modules
}

// licenseText returns the files that have to be distributed with a module.
func licenseText(t *testing.T, path string) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(vendor, path))
	if err != nil {
		t.Fatal(err)
	}
	isLicense := regexp.MustCompile(`^(LICENSE|LICENCE|COPYING|NOTICE)(\.txt|\.md)?$`)
	var parts []string
	for _, entry := range entries {
		if isLicense.MatchString(entry.Name()) {
			parts = append(parts, strings.TrimSpace(read(t, filepath.Join(vendor, path, entry.Name()))))
		}
	}
	return strings.Join(parts, "\n\n")
}

// identify returns the licence's SPDX identifier, by sentences that are in one licence only.
func identify(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	var found []string
	for _, license := range []struct{ id, sentence string }{
		{"Apache-2.0", "Apache License Version 2.0, January 2004"},
		{"Apache-2.0", `Licensed under the Apache License, Version 2.0 (the "License")`},
		{"BSD-3-Clause", "may be used to endorse or promote products derived from this software"},
		{"CC0-1.0", "CC0 1.0 Universal"},
		{"ISC", "Permission to use, copy, modify, and/or distribute this software for any purpose"},
		{"ISC", "Permission to use, copy, modify, and distribute this software for any purpose"},
		{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy"},
		{"MPL-2.0", "Mozilla Public License Version 2.0"},
		{"MPL-2.0", "Mozilla Public License, version 2.0"},
	} {
		if strings.Contains(text, license.sentence) && !slices.Contains(found, license.id) {
			found = append(found, license.id)
		}
	}
	if found == nil && strings.Contains(text, "Redistributions in binary form must reproduce") {
		found = append(found, "BSD-2-Clause")
	}
	return strings.Join(found, " AND ")
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
