package immichaccess

import (
	"net/http"
	"strings"
	"testing"
)

func TestBasicPassword(t *testing.T) {
	for _, c := range []struct {
		authorization, password string
		isBasic                 bool
	}{
		{"Basic eDprZXk=", "key", true},
		{"basic eDprZXk=", "key", true},
		{"BASIC\t  eDprZXk= ", "key", true},
		{"Basic eDpvbmU6dHdv", "one:two", true},
		{"Basic eA==", "", true},
		{"Basic eDo=", "", true},
		{"Basic eDprZXk", "", true},
		{"Basic eDprZXk= eDprZXk=", "", true},
		{"Basic x:key", "", true},
		{"Basic", "", true},
		{"Basically eDprZXk=", "", false},
		{"BasiceDprZXk=", "", false},
		{"Bearer eDprZXk=", "", false},
		{"eDprZXk=", "", false},
		{"", "", false},
	} {
		if password, isBasic := basicPassword(c.authorization); password != c.password || isBasic != c.isBasic {
			t.Errorf("%q: %q, %t", c.authorization, password, isBasic)
		}
	}
}

// Neither a wrong password nor the header that holds it gets into the log.
func TestBasicIsNotLogged(t *testing.T) {
	handler := newTestHandler(t, &Config{Keys: []string{"phone:" + rightKey}, BasicAuth: true, LogDenied: true, DenyStatus: http.StatusUnauthorized}, &recorder{})
	const credentials = "eDphLXdyb25nLXBhc3N3b3Jk" // x:a-wrong-password
	lines := logLines(func() {
		if got := ask(handler, newRequest(http.Header{"Authorization": {"Basic " + credentials}})); got.Code != http.StatusUnauthorized {
			t.Errorf("status %d", got.Code)
		}
	})
	wantLines(t, lines, `reason="wrong key"`)
	if strings.Contains(lines[0], "a-wrong-password") || strings.Contains(lines[0], credentials) {
		t.Error(lines[0])
	}
}
