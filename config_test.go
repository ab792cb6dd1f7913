package immichaccess

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// What each option's errors say is allowed.
const (
	allowedEntry   = "the form is NAME:SECRET"
	allowedName    = "allowed are letters, digits and ._-"
	allowedSecret  = "allowed is printable ASCII without blanks and commas"
	allowedDigest  = "a digest is sha256: and 64 hex digits"
	allowedAttr    = "allowed are expires=2027-01-31 and methods=GET,HEAD"
	allowedDay     = "write it like expires=2027-01-31"
	allowedMethods = "allowed are GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, CONNECT and TRACE"
	allowedHeader  = "allowed are letters, digits and up to 5 dashes"
	allowedSize    = "allowed are bytes (1048576) and nginx's units k, m and g"
	allowedTime    = "allowed are hours, minutes and seconds, such as 720h, 15m or 1h30m, from 1s on"
	allowedCount   = "allowed are 1 to 1000, and 0 to turn it off"
	allowedRoutes  = "allowed are oauth, ping, session-media, shared-links, well-known"
	allowedStatus  = "choose 401, 403 or 404"
	allowedNetwork = "allowed are addresses (192.0.2.1, 2001:db8::1), CIDRs (192.0.2.0/24), loopback and private"
)

// invalidEntries are lists of entries whose last one is wrong.
var invalidEntries = map[string]struct {
	keys    []string
	shown   string
	allowed string
}{
	"empty":                          {[]string{""}, "entry 1: it is empty", allowedEntry},
	"blank":                          {[]string{" \t"}, "entry 1: it is empty", allowedEntry},
	"second one empty":               {[]string{"a:" + rightKey, ""}, "entry 2: it is empty", allowedEntry},
	"only attributes":                {[]string{"expires=2999-12-31 methods=GET"}, "entry 1: ", ""},
	"only an attribute":              {[]string{"a:" + rightKey, "methods=GET+HEAD"}, "entry 2: ", ""},
	"name without a secret":          {[]string{"phone:"}, `"phone": the secret is empty`, ""},
	"blank after the colon":          {[]string{"phone: " + rightKey}, `"phone": the secret is empty`, ""},
	"no name before the colon":       {[]string{":" + rightKey}, "the text before the first colon is not a name", allowedName},
	"name with a slash":              {[]string{"my/phone:" + rightKey}, "the text before the first colon is not a name", allowedName},
	"name with an umlaut":            {[]string{"käthe:" + rightKey}, "the text before the first colon is not a name", allowedName},
	"secret with a colon":            {[]string{rightKey + "!:x"}, "the text before the first colon is not a name", allowedName},
	"name with a blank":              {[]string{"my phone:" + rightKey}, "attribute 1: unknown attribute", allowedAttr},
	"secret with a blank":            {[]string{"phone:correct-horse battery-staple"}, `"phone": attribute 1: unknown attribute`, allowedAttr},
	"secret with a tab":              {[]string{"phone:correct-horse\tbattery-staple"}, `"phone": attribute 1: unknown attribute`, allowedAttr},
	"secret with a hard blank":       {[]string{"phone:correct-horse\u00a0battery-staple"}, `"phone": attribute 1: unknown attribute`, allowedAttr},
	"secret that is not ASCII":       {[]string{"phone:" + rightKey + "ß"}, `"phone": the secret has a character`, allowedSecret},
	"secret with a control":          {[]string{"phone:" + rightKey + "\x7f"}, `"phone": the secret has a character`, allowedSecret},
	"secret with a NUL":              {[]string{rightKey + "\x00"}, "the secret has a character", allowedSecret},
	"secret with a comma":            {[]string{"phone:correct-horse,battery-staple"}, `"phone": the secret has a character`, allowedSecret},
	"digest without digits":          {[]string{"sha256:"}, "entry 1: ", allowedDigest},
	"digest of 63 digits":            {[]string{"phone:sha256:" + rightDigest[:63]}, `"phone": `, allowedDigest},
	"digest of 62 digits":            {[]string{"phone:sha256:" + rightDigest[:62]}, `"phone": `, allowedDigest},
	"digest of 65 digits":            {[]string{"phone:sha256:" + rightDigest + "0"}, `"phone": `, allowedDigest},
	"digest of 66 digits":            {[]string{"SHA256:" + rightDigest + "00"}, "entry 1: ", allowedDigest},
	"digest of nothing":              {[]string{"phone:sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}, `"phone": `, "digest of an empty secret"},
	"digest of an empty line":        {[]string{"sha256:01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b"}, "entry 1: ", "digest of an empty secret"},
	"other digest":                   {[]string{"phone:SHA512:" + rightDigest}, `"phone": `, "a digest is written sha256: and 64 hex digits"},
	"digest with a dash":             {[]string{"sha-256:" + rightDigest}, "entry 1: ", "a digest is written sha256: and 64 hex digits"},
	"digest with an equals sign":     {[]string{"phone:sha256=" + rightDigest}, `"phone": `, "a digest is written sha256: and 64 hex digits"},
	"expires twice":                  {[]string{"phone:" + rightKey + " expires=2020-01-31 expires=2999-12-31"}, `"phone": attribute 2: `, "expires= is given twice"},
	"methods twice":                  {[]string{"phone:" + rightKey + " methods=GET methods=HEAD"}, `"phone": attribute 2: `, "methods= is given twice"},
	"digest that is not hexadecimal": {[]string{"phone:sha256:" + rightDigest[:63] + "g"}, `"phone": `, allowedDigest},
	"name twice":                     {[]string{"phone:" + rightKey, "phone:" + otherKey}, `entry 2: the name "phone" is taken`, "give each entry its own"},
	"secret twice":                   {[]string{"phone:" + rightKey, "tablet:" + rightKey}, `entry 2: "tablet" has the same secret as "phone"`, "give each entry its own"},
	"secret twice without names":     {[]string{rightKey, rightKey}, `entry 2: "key2" has the same secret as "key1"`, "give each entry its own"},
	"secret, and its digest":         {[]string{"phone:" + rightKey, "tablet:sha256:" + strings.ToUpper(rightDigest)}, `"tablet" has the same secret as "phone"`, "give each entry its own"},
	"unknown attribute":              {[]string{"phone:" + rightKey + " expire=2027-01-31"}, `"phone": attribute 1: unknown attribute`, allowedAttr},
	"attribute in capitals":          {[]string{"phone:" + rightKey + " methods=GET Expires=2027-01-31"}, `"phone": attribute 2: unknown attribute`, allowedAttr},
	"no day":                         {[]string{"phone:" + rightKey + " expires="}, `"phone": attribute 1: expires=`, allowedDay},
	"day without a value":            {[]string{"phone:" + rightKey + " expires"}, `"phone": attribute 1: expires=`, allowedDay},
	"30 February":                    {[]string{"phone:" + rightKey + " expires=2027-02-30"}, "2027-02-30", allowedDay},
	"29 February":                    {[]string{"phone:" + rightKey + " expires=2027-02-29"}, "2027-02-29", allowedDay},
	"month 13":                       {[]string{"phone:" + rightKey + " expires=2027-13-01"}, "2027-13-01", allowedDay},
	"day of another country":         {[]string{"phone:" + rightKey + " expires=31.01.2027"}, "31.01.2027", allowedDay},
	"day with a time":                {[]string{"phone:" + rightKey + " expires=2027-01-31T12:00:00Z"}, "2027-01-31T12:00:00Z", allowedDay},
	"no method":                      {[]string{"phone:" + rightKey + " methods="}, "methods= is empty", "methods=GET+HEAD"},
	"separators only":                {[]string{"phone:" + rightKey + " methods=,+"}, "methods= is empty", "methods=GET+HEAD"},
	"unknown method":                 {[]string{"phone:" + rightKey + " methods=GET+FETCH"}, `"FETCH" is not a method`, allowedMethods},
	"methods with a semicolon":       {[]string{"phone:" + rightKey + " methods=GET;HEAD"}, `"GET;HEAD" is not a method`, allowedMethods},
	"methods that a label has split": {strings.Split("phone:"+rightKey+" methods=GET,HEAD", ","), "entry 2: a method is not a secret", "methods=GET+HEAD"},
	"small ones that it has split":   {strings.Split("phone:"+rightKey+" methods=get,head", ","), "entry 2: a method is not a secret", "methods=GET+HEAD"},
	"split, and an attribute":        {strings.Split("phone:"+rightKey+" methods=GET,HEAD expires=2999-12-31", ","), "entry 2: a method is not a secret", "methods=GET+HEAD"},
}

var wrongHeaders = map[string]string{
	"X Access Key": allowedHeader, "X-Access-Key ": allowedHeader, " X-Access-Key": allowedHeader, "X-Access-Key:": allowedHeader,
	"X_Access_Key": allowedHeader, "X-Schlüssel": allowedHeader, "X-Access\nKey": allowedHeader, "A-B-C-D-E-F-G": allowedHeader, " ": allowedHeader,
	"authorization": "choose another", "COOKIE": "choose another", "Host": "choose another", "connection": "choose another",
	"x-api-key": "choose another", "X-Real-IP": "choose another", "x-forwarded-for": "choose another", "X-Forwarded-Anything": "choose another",
	"Forwarded": "choose another", "X-Immich-Checksum": "choose another", "Sec-WebSocket-Key": "choose another", "TE": "choose another",
	"Proxy-Authorization": "choose another", "range": "choose another", "Content-Length": "choose another", "Upgrade": "choose another",
}

var (
	wrongBools = []string{"yes", "no", "on", "TRUE ", "tru", "2", "-", " "}
	wrongSizes = []string{
		"-1", "-5k", "1.5g", "50 GB", "50GB", "50MB", "50Mi", "1kk", "1km", "k", "M", "+5", "0x10", "1e9", "1_000", "50t", "fünf",
		"9000000000g", "8589934592g", "9007199254740992k", "9223372036854775808", "99999999999999999999", "5k 5k", "٥",
	}
	wrongTimes    = []string{"0", "999ms", "0s", "-15m", "15", "15 m", "15min", "1d", "1w", "forever", "1h,5m", "9999999h"}
	wrongCounts   = []string{"-1", "1001", "1.5", "ten", "0x10", "1e2", "99999999999999999999", "10 keys"}
	wrongRoutes   = []string{"", " ", "Ping", "pings", "shared_links", "all", "*", "/api/server/ping", "ping,oauth", "share"}
	wrongStatuses = []int{-1, 1, 200, 302, 400, 402, 405, 429, 500, 999}
	wrongNetworks = []string{
		"", " ", "localhost", "proxy.example.com", "Loopback", "privat", "10.0.0.0/33", "2001:db8::/129", "10.0.0.0/-1", "10.0.0.0/",
		"/8", "10.0.0.0/8/8", "10.0.0.0/255.0.0.0", "10.0.0", "10.0.0.256", "10.0.0.01", "10.0.0.1:80", "[::1]", "[::1]:80",
		"fe80::1%eth0", "fe80::%eth0/64", "10.0.0.1-10.0.0.9", "10.*", "10.0.0.1,10.0.0.2", "10.0.0.1 10.0.0.2", "http://10.0.0.1",
	}
)

// Each option, with each kind of invalid value. The error is about that option only, and states the value and what is allowed.
func TestWrongOption(t *testing.T) {
	t.Parallel()
	for name, c := range invalidEntries {
		t.Run("keys/"+name, func(t *testing.T) {
			t.Parallel()
			wantWrong(t, Config{Keys: c.keys}, "keys", c.shown, c.allowed)
		})
	}
	for value, allowed := range wrongHeaders {
		t.Run("keyHeader/"+value, func(t *testing.T) {
			t.Parallel()
			wantWrong(t, Config{Keys: []string{rightKey}, KeyHeader: value}, "keyHeader", quoted(http.CanonicalHeaderKey(value)), allowed)
			wantWrong(t, Config{Keys: []string{rightKey}, KeyNameHeader: value}, "keyNameHeader", quoted(http.CanonicalHeaderKey(value)), allowed)
		})
	}
	for _, value := range wrongBools {
		t.Run("requireKey/"+value, func(t *testing.T) {
			t.Parallel()
			wantWrong(t, Config{Keys: []string{rightKey}, RequireKey: value}, "requireKey", quoted(value), "neither true nor false")
		})
	}
	for _, value := range wrongSizes {
		t.Run("maxUploadSize/"+value, func(t *testing.T) {
			t.Parallel()
			wantWrong(t, Config{Keys: []string{rightKey}, MaxUploadSize: value}, "maxUploadSize", quoted(value), allowedSize)
		})
	}
	for _, value := range wrongNetworks {
		t.Run("trustedProxies/"+value, func(t *testing.T) {
			t.Parallel()
			wantWrong(t, Config{Keys: []string{rightKey}, TrustedProxies: []string{"10.0.0.1", value}}, "trustedProxies", quoted(strings.TrimSpace(value)), allowedNetwork)
			wantWrong(t, Config{Keys: []string{rightKey}, KeylessNetworks: []string{"10.0.0.1", value}}, "keylessNetworks", quoted(strings.TrimSpace(value)), allowedNetwork)
		})
	}
	for _, value := range wrongTimes {
		t.Run("durations/"+value, func(t *testing.T) {
			t.Parallel()
			wantWrong(t, Config{Keys: []string{rightKey}, BrowserSession: value}, "browserSession", quoted(value), allowedTime)
			wantWrong(t, Config{Keys: []string{rightKey}, WrongKeyWindow: value}, "wrongKeyWindow", quoted(value), allowedTime)
		})
	}
	for _, value := range wrongCounts {
		t.Run("maxWrongKeys/"+value, func(t *testing.T) {
			t.Parallel()
			wantWrong(t, Config{Keys: []string{rightKey}, MaxWrongKeys: value}, "maxWrongKeys", quoted(value), allowedCount)
		})
	}
	for _, value := range wrongRoutes {
		t.Run("publicRoutes/"+value, func(t *testing.T) {
			t.Parallel()
			wantWrong(t, Config{Keys: []string{rightKey}, PublicRoutes: []string{"ping", value}}, "publicRoutes", quoted(strings.TrimSpace(value)), allowedRoutes)
		})
	}
	for _, value := range wrongStatuses {
		t.Run(fmt.Sprint("denyStatus/", value), func(t *testing.T) {
			t.Parallel()
			wantWrong(t, Config{Keys: []string{rightKey}, DenyStatus: value}, "denyStatus", fmt.Sprint(value), allowedStatus)
		})
	}
}

// Options that are valid on their own, but not together.
func TestConflictingOptions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config Config
		option string
		shown  string
	}{
		"no keys":                          {Config{}, "requireKey", "there is no key"},
		"no keys, and all defaults":        {*CreateConfig(), "requireKey", "set requireKey to false to let everybody in"},
		"key's header as its name's":       {Config{Keys: []string{rightKey}, KeyHeader: "X-Photo-Key", KeyNameHeader: "x-photo-key"}, "keyNameHeader", `"x-photo-key" is the header that carries the key`},
		"the key's default as its name's":  {Config{Keys: []string{rightKey}, KeyNameHeader: "x-access-key"}, "keyNameHeader", "choose another"},
		"key's header as its name's, open": {Config{RequireKey: "false", KeyNameHeader: "X-Access-Key"}, "keyNameHeader", "choose another"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantWrong(t, c.config, c.option, c.shown)
		})
	}
}

func TestAllWrongOptionsAtOnce(t *testing.T) {
	t.Parallel()
	err := newError(t, Config{
		Keys:           []string{"phone:" + rightKey + " expires=tomorrow", "tablet:" + otherKey, "tablet:" + rightKey, ""},
		KeysFile:       t.TempDir() + "/missing",
		RequireKey:     "maybe",
		KeyHeader:      "Cookie",
		KeyNameHeader:  "X Name",
		MaxUploadSize:  "lots",
		TrustedProxies: []string{"nobody", "10.0.0.0/8", "everybody"},

		KeylessNetworks: []string{"home"},
		PublicRoutes:    []string{"ping", "pong"},
		BrowserSession:  "long",
		MaxWrongKeys:    "many",
		WrongKeyWindow:  "short",
		DenyStatus:      200,
	})
	want := []string{
		"browserSession", "denyStatus", "keyHeader", "keyNameHeader", "keylessNetworks", "keys", "keys", "keys", "keysFile", "maxUploadSize",
		"maxWrongKeys", "publicRoutes", "requireKey", "trustedProxies", "trustedProxies", "wrongKeyWindow",
	}
	if got := optionsIn(err); !slices.Equal(got, want) {
		t.Errorf("the error is about %v, want %v: %v", got, want, err)
	}
	wantNoSecret(t, err.Error())
	several, isList := err.(interface{ Unwrap() []error })
	if !isList || len(several.Unwrap()) != len(want) {
		t.Errorf("the error can't be unwrapped: %v", err)
	}
}

func TestNewWithoutHandlerOrConfig(t *testing.T) {
	t.Parallel()
	if _, err := New(t.Context(), nil, CreateConfig(), "test"); err == nil {
		t.Error("New accepts a nil handler")
	}
	if _, err := New(t.Context(), &recorder{}, nil, "test"); err == nil {
		t.Error("New accepts a nil configuration")
	}
}

// An option that is empty, as from an unset variable, has its default.
func TestEmptyOptionIsDefault(t *testing.T) {
	t.Parallel()
	handler := newTestHandler(t, &Config{Keys: []string{rightKey}}, &recorder{})
	wantAccess(t, handler, "", false)
	wantAccess(t, handler, rightKey, true)
	r := withKey(rightKey)
	r.ContentLength = 50000<<20 + 1
	if got := ask(handler, r).Code; got != http.StatusRequestEntityTooLarge {
		t.Errorf("an upload over 50000M gets %d", got)
	}
}

func quoted(value string) string {
	return strings.NewReplacer("\n", `\n`).Replace(`"` + value + `"`)
}

func newError(t *testing.T, config Config) error {
	t.Helper()
	_, err := New(t.Context(), &recorder{}, &config, "test")
	if err == nil {
		t.Fatalf("New takes %+v", config)
	}
	if !strings.HasPrefix(err.Error(), `immichaccess: the configuration of "test" is wrong: `) {
		t.Errorf("the error does not name the middleware: %v", err)
	}
	return err
}

// wantWrong wants an error that is about one option and holds the texts.
func wantWrong(t *testing.T, config Config, option string, texts ...string) {
	t.Helper()
	err := newError(t, config)
	if got := optionsIn(err); !slices.Equal(got, []string{option}) {
		t.Errorf("the error is about %v, want %s: %v", got, option, err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q is not in the error: %v", text, err)
		}
	}
	wantNoSecret(t, err.Error())
}

// optionsIn returns the options that the error is about, sorted, one for each problem.
func optionsIn(err error) []string {
	var found []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		option := strings.ToLower(field.Name[:1]) + field.Name[1:]
		for range strings.Count(err.Error(), "; "+option+": ") + strings.Count(err.Error(), "wrong: "+option+": ") {
			found = append(found, option)
		}
	}
	slices.Sort(found)
	return found
}

var wrongRevoked = []string{
	"", " ", "my phone", "phöne", "4F 3A", "pho\nne", strings.Repeat("a", 64), strings.Repeat("ab:", 31) + "ab", strings.Repeat("x", 65), "CN=phone",
}

func TestRevokedCertificates(t *testing.T) {
	for _, text := range wrongRevoked {
		config := &Config{ClientCertificates: true, RevokedCertificates: []string{"phone", text}}
		_, err := parse(config, "test")
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("revokedCertificates: %q is neither", strings.TrimSpace(text))) {
			t.Errorf("%q: %v", text, err)
		}
	}
	s, err := parse(&Config{ClientCertificates: true, RevokedCertificates: []string{" phone ", "0x00:4F:3a", "00", "cafe"}}, "test")
	if err != nil {
		t.Fatal(err)
	}
	c := s.clientCertificates
	if !c.revokedNames["phone"] || !c.revokedNames["cafe"] || !c.revokedSerials["cafe"] || !c.revokedSerials["4f3a"] || !c.revokedSerials["0"] {
		t.Errorf("%+v", c)
	}
}

// Certificates can replace keys altogether. Where TLS does not request any, all requests are denied.
func TestCertificatesNeedNoKeys(t *testing.T) {
	handler := newTestHandler(t, &Config{ClientCertificates: true}, &recorder{})
	if got := ask(handler, newRequest(nil)); got.Code != http.StatusForbidden {
		t.Errorf("status %d", got.Code)
	}
}
