package immichaccess

import (
	"net/http"
	"strings"
	"testing"
)

// Guessing the case of a key that was not generated takes as many attempts as guessing anything else.
func TestSpellingsOfAWrongKeyCountEach(t *testing.T) {
	t.Parallel()
	const secret = "CaseMattersInKeysThatYouMakeUp"
	config := withLogin("own:" + secret)
	config.MaxWrongKeys = "3"
	handler := newTestHandler(t, config, http.NotFoundHandler())
	for i, want := range []int{http.StatusForbidden, http.StatusForbidden, http.StatusForbidden, http.StatusTooManyRequests} {
		spelling := strings.ToLower(secret[:i+1]) + strings.ToUpper(secret[i+1:])
		if status := typeKey(handler, spelling).Code; status != want {
			t.Errorf("spelling number %d: status %d, want %d", i+1, status, want)
		}
	}
	if status := typeKey(handler, secret).Code; status != http.StatusTooManyRequests {
		t.Errorf("the right key: status %d", status)
	}
}

// A generated key that is typed in lower case is not counted as a wrong one.
func TestOtherSpellingsOfAGeneratedKeyAreRight(t *testing.T) {
	t.Parallel()
	const secret = "54WSS2MTF7L3ZFAARZ6N4UEDNE"
	config := withLogin("generated:" + secret)
	config.MaxWrongKeys = "1"
	handler := newTestHandler(t, config, http.NotFoundHandler())
	for _, spelling := range []string{strings.ToLower(secret), secret[:4] + " " + secret[4:], "54wss2mt-f7l3zfaa-rz6n4ued-ne", secret} {
		if status := typeKey(handler, spelling).Code; status != http.StatusSeeOther {
			t.Errorf("%q: status %d", spelling, status)
		}
	}
}
