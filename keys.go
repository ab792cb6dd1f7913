package immichaccess

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

const defaultKeyHeader = "X-Access-Key"

// digests is a set of SHA-256 digests of keys.
type digests map[[sha256.Size]byte]bool

// keyring decides who gets in. Keys are compared by digest: how long that takes depends neither on how much of a key was
// right nor on how many there are.
type keyring struct {
	header     string // canonical
	spent      string // the header to remove once it was looked at; none with forwardKey
	nameHeader string
	forged     []string // what a client could send for nameHeader
	required   bool
	deny       *denials
	file       *keyFile     // nil: the keys do not change
	set        atomic.Value // *keySet
	plain      atomic.Value // digests: the keys that need no second look
}

func newKeyring(config *Config, deny *denials, errs *problems) *keyring {
	k := &keyring{
		header: http.CanonicalHeaderKey(orDefault(config.KeyHeader, defaultKeyHeader)),
		deny:   deny,
	}
	checkHeaderName("keyHeader", k.header, errs)
	if !config.ForwardKey {
		k.spent = k.header
	}
	k.setNameHeader(config.KeyNameHeader, errs)
	k.setRequired(config.RequireKey, errs)
	k.publish(k.read(config, errs))
	return k
}

// read collects the keys of the configuration and of the file.
func (k *keyring) read(config *Config, errs *problems) *keySet {
	before := len(errs.list)
	inline := newKeySet()
	for i, text := range config.Keys {
		if err := inline.add(text); err != nil {
			errs.add("keys", "entry %d: %v", i+1, err)
		}
	}
	all := inline
	if config.KeysFile != "" {
		k.file = &keyFile{path: config.KeysFile, inline: inline}
		var err error
		if all, err = k.file.load(); err != nil {
			errs.add("keysFile", "%v", err)
		}
	}
	if len(errs.list) > before {
		return inline
	}
	k.checkCount(len(all.byDigest), errs)
	return all
}

func (k *keyring) setNameHeader(name string, errs *problems) {
	if name == "" {
		return
	}
	k.nameHeader = http.CanonicalHeaderKey(name)
	if k.nameHeader == k.header {
		errs.add("keyNameHeader", "%q is the header that carries the key; choose another", name)
	}
	if checkHeaderName("keyNameHeader", k.nameHeader, errs) {
		k.forged = spellings(k.nameHeader)
	}
}

func (k *keyring) setRequired(value string, errs *problems) {
	required, err := strconv.ParseBool(orDefault(value, "true"))
	if err != nil {
		errs.add("requireKey", "%q is neither true nor false", value)
	}
	k.required = required || err != nil
}

func (k *keyring) checkCount(count int, errs *problems) {
	if k.required && count == 0 {
		errs.add("requireKey", "there is no key, so nobody could get in; give keys or keysFile, or set requireKey to false to let everybody in")
	}
	if !k.required && count > 0 {
		k.deny.warn("requireKey is false: everybody gets in, and the keys are not looked at")
	}
}

func (k *keyring) publish(set *keySet) {
	plain := digests{}
	if k.required && k.nameHeader == "" {
		for digest, e := range set.byDigest {
			plain[digest] = e.until.IsZero() && e.methods == nil
		}
	}
	k.deny.warnOfKeys(set)
	k.set.Store(set)
	k.plain.Store(plain)
}

// follow publishes the keys anew when the file changes, until ctx is done. It is a timer, and no goroutine that waits, so
// that there is nothing to stop.
func (k *keyring) follow(ctx context.Context) {
	if k.file != nil {
		time.AfterFunc(lookInterval, func() { k.look(ctx) })
	}
}

func (k *keyring) look(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	set, err := k.file.changed()
	if err != nil {
		k.deny.warn(fmt.Sprintf("keysFile: %v; the keys stay as they were", err))
	}
	if set != nil {
		k.publish(set)
		k.deny.warn(fmt.Sprintf("keysFile: %s has changed; there are %d keys now", k.file.path, len(set.byDigest)))
	}
	k.follow(ctx)
}

// guarded is false when there is nothing to look at in a request.
func (k *keyring) guarded() bool {
	return k.required || k.nameHeader != ""
}

// admit takes the second look: at requests without a known plain key, and at all of them where an option asks for it.
// When it returns false it has answered.
func (k *keyring) admit(w http.ResponseWriter, r *http.Request) bool {
	for _, name := range k.forged {
		delete(r.Header, name)
	}
	if !k.required {
		return true
	}
	e, reason := k.judge(r)
	if reason != "" {
		k.deny.forKey(w, r, reason, e)
		return false
	}
	if k.nameHeader != "" {
		r.Header[k.nameHeader] = []string{e.name}
	}
	return true
}

// judge returns the entry of the request's key, if it has one, and why the request is denied, or "".
func (k *keyring) judge(r *http.Request) (*entry, string) {
	values := r.Header[k.header]
	if len(values) == 0 {
		return nil, "no key"
	}
	if len(values) > 1 {
		return nil, "several keys"
	}
	e := k.set.Load().(*keySet).byDigest[sha256.Sum256([]byte(values[0]))]
	switch {
	case e == nil:
		return nil, "wrong key"
	case !e.until.IsZero() && !time.Now().Before(e.until):
		return e, "expired key"
	case e.methods != nil && !e.methods[r.Method]:
		return e, "method not allowed for this key"
	}
	return e, ""
}
