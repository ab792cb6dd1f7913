package clientcert

import (
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/immichaccess/immichaccess/internal/filewrite"
)

// The files of an authority, and the directory of those of its clients.
const (
	CAFile     = "client-ca.pem"
	CAKeyFile  = "client-ca-key.pem"
	ClientsDir = "client-certificates"
)

// Open returns the authority in a directory, which it makes if there is none.
func Open(dir string) (a *Authority, created bool, err error) {
	certFile, keyFile := filepath.Join(dir, CAFile), filepath.Join(dir, CAKeyFile)
	_, errCert := os.Stat(certFile)
	_, errKey := os.Stat(keyFile)
	switch {
	case errors.Is(errCert, fs.ErrNotExist) && errors.Is(errKey, fs.ErrNotExist):
		a, err = createIn(dir)
		return a, true, err
	case errCert != nil || errKey != nil:
		return nil, false, fmt.Errorf("%s and %s belong together: %w", certFile, keyFile, errors.Join(errCert, errKey))
	}
	a, err = load(certFile, keyFile)
	return a, false, err
}

func load(certFile, keyFile string) (*Authority, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", certFile, err)
	}
	key, isECDSA := pair.PrivateKey.(*ecdsa.PrivateKey)
	switch {
	case !isECDSA || !pair.Leaf.IsCA:
		return nil, fmt.Errorf("%s is not a CA that this command has made", certFile)
	case time.Now().After(pair.Leaf.NotAfter):
		return nil, fmt.Errorf("%s has expired; move it and %s away, then issue new certificates for all devices", certFile, keyFile)
	}
	return &Authority{pair.Leaf, key}, nil
}

func createIn(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	a, err := NewAuthority()
	if err != nil {
		return nil, err
	}
	key, err := keyPEM(a.key)
	if err != nil {
		return nil, err
	}
	return a, filewrite.Create(
		filewrite.File{Path: filepath.Join(dir, CAKeyFile), Content: key, Mode: 0o600},
		filewrite.File{Path: filepath.Join(dir, CAFile), Content: a.PEM(), Mode: 0o644}, // the proxy, which may be another user, reads it
	)
}

// Save writes the certificate with its key twice, as PKCS#12 and as PEM, and returns the names of the files. It never replaces one.
func (c *Certificate) Save(dir, name, password string) (p12File, pemFile string, err error) {
	p12, err := c.PKCS12(password)
	if err != nil {
		return "", "", err
	}
	text, err := c.PEM()
	if err != nil {
		return "", "", err
	}
	if err := os.MkdirAll(filepath.Join(dir, ClientsDir), 0o700); err != nil {
		return "", "", err
	}
	p12File, pemFile = clientFiles(dir, name)
	return p12File, pemFile, filewrite.Create(
		filewrite.File{Path: p12File, Content: p12, Mode: 0o600},
		filewrite.File{Path: pemFile, Content: text, Mode: 0o600},
	)
}

func clientFiles(dir, name string) (p12File, pemFile string) {
	return filepath.Join(dir, ClientsDir, name+".p12"), filepath.Join(dir, ClientsDir, name+".pem")
}
