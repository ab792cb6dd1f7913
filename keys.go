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

const (
	defaultKeyHeader = "X-Access-Key"
	expiredKey       = "expired key"
)

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
	log        *logbook
	file       *keyFile     // nil: the keys do not change
	set        atomic.Value // *keySet
	plain      atomic.Value // digests: the keys that need no second look
}

func newKeyring(config *Config, log *logbook, errs *problems) *keyring {
	k := &keyring{
		header: http.CanonicalHeaderKey(orDefault(config.KeyHeader, defaultKeyHeader)),
		log:    log,
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
	k.checkUse(config, len(all.byDigest), errs)
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

func (k *keyring) checkUse(config *Config, count int, errs *problems) {
	if k.required && count == 0 {
		errs.add("requireKey", "there is no key, so nobody could get in; give keys or keysFile, or set requireKey to false to let everybody in")
	}
	if !k.required && (count > 0 || config.BrowserLogin || len(config.KeylessNetworks)+len(config.PublicRoutes) > 0) {
		k.log.warn("requireKey is false: everybody gets in, and keys, keysFile, keylessNetworks, publicRoutes and browserLogin have no effect")
	}
}

func (k *keyring) publish(set *keySet) {
	plain := digests{}
	if k.required && k.nameHeader == "" {
		for digest, e := range set.byDigest {
			plain[digest] = e.until.IsZero() && e.methods == nil
		}
	}
	k.log.warnOfKeys(set)
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
		k.log.warn(fmt.Sprintf("keysFile: %v; the keys stay as they were", err))
	}
	if set != nil {
		k.publish(set)
		k.log.warn(fmt.Sprintf("keysFile: %s has changed; there are %d keys now", k.file.path, len(set.byDigest)))
	}
	k.follow(ctx)
}

// guarded is false when there is nothing to look at in a request.
func (k *keyring) guarded() bool {
	return k.required || k.nameHeader != ""
}

// introduce tells Immich the name of the key, if it shall know, and nothing that the client says of it.
func (k *keyring) introduce(r *http.Request, name string) {
	for _, forged := range k.forged {
		delete(r.Header, forged)
	}
	if k.nameHeader != "" && name != "" {
		r.Header[k.nameHeader] = []string{name}
	}
}

// judge returns the name of the key that the values are, or why it is denied.
func (k *keyring) judge(values []string, method string) (name string, denied *denial) {
	if len(values) == 0 {
		return "", &denial{reason: "no key"}
	}
	if len(values) > 1 {
		return "", &denial{reason: "several keys"}
	}
	digest := sha256.Sum256([]byte(values[0]))
	e := k.set.Load().(*keySet).byDigest[digest]
	switch {
	case e == nil:
		return "", &denial{reason: "wrong key", wrong: true, digest: digest}
	case !e.until.IsZero() && !time.Now().Before(e.until):
		return "", &denial{reason: expiredKey, key: e.name}
	case e.methods != nil && !e.methods[method]:
		return "", &denial{reason: "method not allowed for this key", key: e.name}
	}
	return e.name, nil
}
