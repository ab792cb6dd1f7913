package immichaccess

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestEntry(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		name    string
		digest  string // rightDigest unless given
		expires string
		methods []string
		warning string
	}{
		rightKey:                                   {name: "key1"},
		"phone:" + rightKey:                        {name: "phone"},
		" \tphone:" + rightKey + "\r":              {name: "phone"},
		"My.old_phone-2:" + rightKey:               {name: "My.old_phone-2"},
		"sha256:" + rightDigest:                    {name: "key1"},
		"phone:sha256:" + rightDigest:              {name: "phone"},
		"SHA256:" + rightDigest:                    {name: "key1"},
		"phone:Sha256:" + rightDigest:              {name: "phone"},
		"a:sha256:" + strings.ToUpper(rightDigest): {name: "a"},
		"phone:a:b:c":                              {name: "phone", digest: digestHex("a:b:c"), warning: isWeak},
		"phone:~!#$%&'()*+-./:;<=>?@[]_":           {name: "phone", digest: digestHex("~!#$%&'()*+-./:;<=>?@[]_")},
		"phone:fifteen-letters":                    {name: "phone", digest: digestHex("fifteen-letters"), warning: isWeak},
		"phone:sixteen-letters!":                   {name: "phone", digest: digestHex("sixteen-letters!")},
		"GET:" + rightKey:                          {name: "GET"},
		"phone:" + rightDigest:                     {name: "phone", digest: digestHex(rightDigest), warning: isLikeDigest},
		"phone:example-phone-key-change-me":        {name: "phone", digest: digestHex("example-phone-key-change-me"), warning: isPublished},

		"phone:" + rightKey + " expires=2028-02-29":                   {name: "phone", expires: "2028-03-01"},
		"phone:" + rightKey + " expires=2027-12-31":                   {name: "phone", expires: "2028-01-01"},
		"phone:" + rightKey + " methods=GET":                          {name: "phone", methods: []string{"GET"}},
		"phone:" + rightKey + " methods=GET,head":                     {name: "phone", methods: []string{"GET", "HEAD"}},
		"phone:" + rightKey + " methods=get+Post,+DELETE":             {name: "phone", methods: []string{"DELETE", "GET", "POST"}},
		"phone:" + rightKey + "  methods=PUT \texpires=2027-01-31":    {name: "phone", methods: []string{"PUT"}, expires: "2027-02-01"},
		"sha256:" + rightDigest + " methods=PATCH expires=2027-01-31": {name: "key1", methods: []string{"PATCH"}, expires: "2027-02-01"},
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			set := newKeySet()
			if err := set.add(text); err != nil {
				t.Fatal(err)
			}
			e := slices.Collect(maps.Values(set.byDigest))[0]
			expires := ""
			if !e.expiresAt.IsZero() {
				expires = e.expiresAt.Format(time.DateOnly)
			}
			if want.digest == "" {
				want.digest = rightDigest
			}
			methods := slices.Sorted(maps.Keys(e.methods))
			if e.name != want.name || hex.EncodeToString(e.digest[:]) != want.digest || set.byDigest[e.digest] != e ||
				expires != want.expires || !slices.Equal(methods, want.methods) || e.warning != want.warning {
				t.Errorf("read as %+v, want %+v", e, want)
			}
		})
	}
}

func digestHex(secret string) string {
	digest := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(digest[:])
}

// Entries without a name are numbered on their own.
func TestNamesOfEntries(t *testing.T) {
	t.Parallel()
	set := newKeySet()
	for _, text := range []string{"first-without-a-name", "phone:" + rightKey, "second-without-a-name"} {
		if err := set.add(text); err != nil {
			t.Fatal(err)
		}
	}
	if got := slices.Sorted(maps.Keys(set.byName)); !slices.Equal(got, []string{"key1", "key2", "phone"}) {
		t.Errorf("the names are %v", got)
	}
}

func TestManyKeys(t *testing.T) {
	t.Parallel()
	config := &Config{KeyNameHeader: "X-Key-Name"}
	for i := range 10000 {
		config.Keys = append(config.Keys, fmt.Sprintf("name-%d:secret-of-number-%d", i, i))
	}
	next := &recorder{}
	handler := newTestHandler(t, config, next)
	for _, i := range []int{0, 1, 4999, 9999} {
		wantAccess(t, handler, fmt.Sprintf("secret-of-number-%d", i), true)
		if got, want := next.r.Header.Get("X-Key-Name"), fmt.Sprintf("name-%d", i); got != want {
			t.Errorf("the key of %s has the name %q", want, got)
		}
	}
	wantAccess(t, handler, "secret-of-number-10000", false)
}

// A key works through the end of its last day, in UTC. Not parallel, since the log is global.
func TestLastDayOfKey(t *testing.T) {
	for name, config := range map[string]Config{
		"alone":             {},
		"with a name":       {KeyNameHeader: "X-Key-Name"},
		"behind a lockout":  {MaxWrongKeys: "1"},
		"in a file":         {KeysFile: newFile(t, "guest:"+rightKey+" expires=2000-01-31")},
		"with other routes": {PublicRoutes: []string{"ping"}, BasicAuth: true, BrowserLogin: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // the clock starts at midnight, 1 January 2000
				if config.LogDenied = true; config.KeysFile == "" {
					config.Keys = []string{"guest:" + rightKey + " expires=2000-01-31"}
				}
				handler := newTestHandler(t, &config, &recorder{})
				time.Sleep(31*24*time.Hour - time.Minute)
				guesses(t, handler, "198.51.100.1:1", 0, 1)
				time.Sleep(time.Minute - time.Nanosecond)
				wantAccess(t, handler, rightKey, true)
				time.Sleep(time.Nanosecond)
				wantLines(t, logLines(func() { wantAccess(t, handler, rightKey, false) }), `reason="expired key" key=guest`)
			})
		})
	}
}

// A wrong key is denied as such, whatever the right one is like.
func TestWrongKeyBesideSpecialKeys(t *testing.T) {
	for _, attributes := range []string{"", " expires=2999-12-31", " methods=GET", " expires=2999-12-31 methods=GET"} {
		handler := newTestHandler(t, &Config{Keys: []string{"guest:" + rightKey + attributes}, LogDenied: true}, &recorder{})
		wantAccess(t, handler, rightKey, true)
		for _, wrong := range []string{rightKey[:len(rightKey)-1] + "f", rightKey[1:], rightKey + " x"} {
			wantLines(t, logLines(func() { wantAccess(t, handler, wrong, false) }), `reason="wrong key"`)
		}
		r := withKey(rightKey)
		r.Header.Add("X-Access-Key", rightKey)
		wantLines(t, logLines(func() { ask(handler, r) }), `reason="several keys"`)
	}
}

// A key for some methods is not valid for others, even if its methods are written in lower case.
func TestMethodsOfKey(t *testing.T) {
	t.Parallel()
	handler := newTestHandler(t, &Config{Keys: []string{"reader:" + rightKey + " methods=get+HEAD", "all:" + otherKey}}, &recorder{})
	for method, want := range map[string]int{"GET": 200, "HEAD": 200, "POST": 403, "PUT": 403, "DELETE": 403, "get": 403, "FETCH": 403} {
		r := withKey(rightKey)
		r.Method = method
		if got := ask(handler, r).Code; got != want {
			t.Errorf("%s gets %d, want %d", method, got, want)
		}
		r = withKey(otherKey)
		r.Method = method
		if got := ask(handler, r).Code; got != http.StatusOK {
			t.Errorf("%s with a key for all methods gets %d", method, got)
		}
	}
}

// What a client sends as the name of its key is never forwarded, in whatever spelling, and whether or not a key is required.
func TestNameOfKeyCannotBeForged(t *testing.T) {
	t.Parallel()
	forged := http.Header{"X-Access-Key": {rightKey}}
	for _, spelling := range []string{"X-Key-Name", "X_Key_Name", "X-Key_Name", "X_Key-Name", "x_key_name", "X-KEY_NAME"} {
		forged.Add(spelling, "admin") // in the canonical form, as net/http does
	}
	for name, c := range map[string]struct {
		config Config
		want   []string
	}{
		"with a key":                 {Config{Keys: []string{"phone:" + rightKey}, KeyNameHeader: "x-key-name"}, []string{"phone"}},
		"with a key that expires":    {Config{Keys: []string{"phone:" + rightKey + " expires=2999-12-31"}, KeyNameHeader: "x-key-name"}, []string{"phone"}},
		"with a key in a file":       {Config{KeysFile: newFile(t, "phone:"+rightKey), KeyNameHeader: "x-key-name"}, []string{"phone"}},
		"with a key that is ignored": {Config{Keys: []string{"phone:" + rightKey}, RequireKey: "false", KeyNameHeader: "x-key-name"}, nil},
		"open":                       {Config{RequireKey: "false", KeyNameHeader: "x-key-name"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			next := &recorder{}
			ask(newTestHandler(t, &c.config, next), newRequest(forged))
			for header, values := range next.r.Header {
				if slices.Contains(values, "admin") {
					t.Errorf("%s arrives as %q", header, values)
				}
			}
			if got := next.r.Header["X-Key-Name"]; !slices.Equal(got, c.want) {
				t.Errorf("the name arrives as %q, want %q", got, c.want)
			}
		})
	}
}

func TestKeyWarnings(t *testing.T) {
	var crowd []string
	for i := range 12 {
		crowd = append(crowd, fmt.Sprintf("n%02d:pass%02d", i, i))
	}
	for name, c := range map[string]struct {
		config Config
		want   []string
	}{
		"strong key":              {Config{Keys: []string{"phone:" + rightKey}}, nil},
		"digest":                  {Config{Keys: []string{"phone:sha256:" + rightDigest}}, nil},
		"open":                    {Config{RequireKey: "false"}, nil},
		"weak key":                {Config{Keys: []string{"phone:tr0ub4dor&3", "tablet:" + rightKey}}, []string{"immichaccess: test: secrets of less than 16 characters are easy to guess: phone"}},
		"weak keys":               {Config{Keys: []string{"phone:tr0ub4dor&3", "correct-horse"}}, []string{": key1, phone"}},
		"many weak keys":          {Config{Keys: crowd}, []string{"n08, n09 and 2 more"}},
		"expired key":             {Config{Keys: []string{"old:" + rightKey + " expires=2020-01-31", "new:" + otherKey + " expires=2999-12-31"}}, []string{"keys that have expired: old"}},
		"key of the examples":     {Config{Keys: []string{"phone:sha256:dbb66a212f682229ee620be615b0688d7e6e65cdccb6b6cc9c5cbe9292dfd984"}}, []string{"which everybody knows; generate your own: phone"}},
		"digest, maybe":           {Config{Keys: []string{"phone:" + digestHex("x")}}, []string{"look like a digest; if they are, put sha256: in front, or else the digest itself is the key: phone"}},
		"weak, and expired":       {Config{Keys: []string{"old:tr0ub4dor&3 expires=2020-01-31"}}, []string{"easy to guess: old", "expired: old"}},
		"certificates not used":   {Config{RequireKey: "false", ClientCertificates: true}, []string{"requireKey is false: everybody gets in"}},
		"key that is not used":    {Config{RequireKey: "false", Keys: []string{"phone:" + rightKey}}, []string{"requireKey is false: everybody gets in"}},
		"also without logDenied":  {Config{LogDenied: false, Keys: []string{"phone:tr0ub4dor&3"}}, []string{"easy to guess: phone"}},
		"also with all its lines": {Config{LogDenied: true, Keys: []string{"phone:tr0ub4dor&3"}}, []string{"easy to guess: phone"}},
	} {
		t.Run(name, func(t *testing.T) {
			lines := logLines(func() { newTestHandler(t, &c.config, &recorder{}) })
			wantLines(t, lines, c.want...)
			for _, line := range lines {
				if !strings.HasPrefix(line, "immichaccess: test: ") || strings.Contains(line, "pass") {
					t.Errorf("log line %q", line)
				}
			}
		})
	}
}

var validName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// An entry that is valid has a name, and can't be added again; the errors reveal nothing of its secret.
func FuzzParseEntry(f *testing.F) {
	for _, name := range slices.Sorted(maps.Keys(invalidEntries)) {
		for _, text := range invalidEntries[name].keys {
			f.Add(text)
		}
	}
	for _, text := range []string{
		rightKey, "phone:" + rightKey, "phone:sha256:" + rightDigest, "SHA256:" + rightDigest + " expires=2027-01-31 methods=GET,HEAD",
		"a:" + rightKey + " methods=get+post expires=2028-02-29", "a:b:c:d", "key1:" + rightKey, "\ufeffphone:" + rightKey,
		"phone:" + rightKey + " # comment", "phone:" + rightKey + "\x00", "a:" + rightKey + " expires=\x1b[2J", "\xff\xfe\x00:", "é:é é",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set := newKeySet()
		err := set.add(text)
		if err == nil {
			if len(set.byName) != 1 || len(set.byDigest) != 1 {
				t.Fatalf("one entry became %d names and %d digests", len(set.byName), len(set.byDigest))
			}
			for name := range set.byName {
				if !validName.MatchString(name) {
					t.Errorf("the name is %q", name)
				}
			}
			if err = set.add(text); err == nil {
				t.Fatal("it was added twice")
			}
		}
		wantNoWord(t, err.Error(), text)
	})
}

// wantNoWord wants none of the entry's long words in the message, except for those of its name and its attributes.
func wantNoWord(t *testing.T, message, entry string) {
	t.Helper()
	fields := strings.Fields(entry)
	var shown, hidden []string
	for i, field := range fields {
		name, secret, named := strings.Cut(field, ":")
		switch {
		case i > 0 && (strings.HasPrefix(field, "expires=") || strings.HasPrefix(field, "methods=")):
			shown = append(shown, field, strings.ToUpper(field))
		case i == 0 && named && validName.MatchString(name) && !strings.EqualFold(name, "sha256"):
			shown, hidden = append(shown, name), append(hidden, secret)
		default:
			hidden = append(hidden, field)
		}
	}
	// The examples and other words that every message of its kind has.
	message = strings.NewReplacer("expires=2027-01-31", "", "methods=GET,HEAD", "", "methods=GET+HEAD", "").Replace(message)
	for _, word := range hidden {
		if len(word) >= 8 && strings.Contains(message, word) && !strings.Contains(strings.Join(shown, " "), word) {
			t.Errorf("%q is shown: %s", word, message)
		}
	}
}
