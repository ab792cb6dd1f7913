package main

import (
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/immichaccess/immichaccess/internal/accesskey"
	"github.com/immichaccess/immichaccess/internal/clientcert"
	"github.com/immichaccess/immichaccess/internal/config"
)

const (
	defaultDays    = 825
	mostDays       = 3650
	longestName    = 64 // as X.509 has it
	passwordLength = 20 // letters of base 32: 100 bits
)

const certText = `The certificate of %[1]s, valid until %[2]s:

    %[3]s
                       certificate and key for phones and browsers
    password           %[4]s
                       which is shown this once only
    %[5]s
                       the same for curl and other programs, without a password

    serial number      %[6]s

What to tell the proxy, once for all certificates:

    in the file        tls:
                         clientCA: %[7]s
                       access:
                         clientCertificates: true
    as flags           --tls.clientCA=%[7]s --access.clientCertificates=true

Bring the .p12 to the device in a safe way, and import it there:

    Immich app         before logging in: Settings (the cogwheel) > Advanced > SSL client certificate > Import;
                       on Android and iOS alike, this is all that the app needs
    Android, browsers  Settings > Security > Encryption & credentials > Install a certificate > VPN & app user certificate
    iOS, browsers      open the file, then Settings > Profile downloaded > Install
    Firefox            Settings > Privacy & Security > View Certificates > Your Certificates > Import
    curl               curl --cert-type P12 --cert %[3]s:PASSWORD https://YOUR.DOMAIN/

Then delete both files here. When the device is lost, one of these shuts it out:

    --access.revokedCertificates=%[1]s
    --access.revokedCertificates=%[6]s
`

// certFlags are the options of cert.
type certFlags struct {
	name string
	dir  string
	days int
}

func makeCertificate(c *console) error {
	f, err := parseCert(c)
	if err != nil {
		return usageError{fmt.Errorf("cert: %w", err)}
	}
	authority, created, err := clientcert.Open(f.dir)
	if err != nil {
		return fmt.Errorf("cert: %w", err)
	}
	now := time.Now()
	certificate, err := authority.Issue(f.name, now, now.AddDate(0, 0, f.days))
	if err != nil {
		return usageError{fmt.Errorf("cert: --days: %w", err)}
	}
	password := strings.ToLower(rand.Text()[:passwordLength]) // easier to type on a phone
	p12File, pemFile, err := certificate.Save(f.dir, f.name, password)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cert: %w; choose another name, or remove the file, and add the old certificate to access.revokedCertificates", err)
	}
	if err != nil {
		return fmt.Errorf("cert: %w", err)
	}
	caFile := filepath.Join(f.dir, clientcert.CAFile)
	if created {
		c.print("There is a new certificate authority (CA): %s, valid until %s.\nAnyone who has its key, %s, can issue certificates that are accepted: keep it secret.\n\n",
			caFile, authority.Certificate.NotAfter.Format(time.DateOnly), filepath.Join(f.dir, clientcert.CAKeyFile))
	}
	c.print(certText, f.name, certificate.Leaf.NotAfter.Format(time.DateOnly), p12File, password, pemFile, certificate.Serial(), caFile)
	return nil
}

func parseCert(c *console) (*certFlags, error) {
	f, configFile := &certFlags{}, ""
	flags := flag.NewFlagSet("cert", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&f.dir, "dir", "", "")
	flags.IntVar(&f.days, "days", defaultDays, "")
	flags.StringVar(&configFile, "configFile", "", "")
	names, err := parseAround(flags, c.args)
	if err != nil {
		return nil, err
	}
	if len(names) != 1 {
		return nil, errors.New("give the new certificate a name, such as the device's: immichaccess cert phone")
	}
	f.name = names[0]
	if !accesskey.IsName(f.name) || len(f.name) > longestName {
		return nil, fmt.Errorf("%q is not a name; allowed are up to %d letters, digits and ._-", f.name, longestName)
	}
	if f.days < 1 || f.days > mostDays {
		return nil, fmt.Errorf("--days: %d is not allowed; allowed are 1 to %d", f.days, mostDays)
	}
	if f.dir == "" {
		if f.dir, err = storage(configFile, c.environ); err != nil {
			return nil, fmt.Errorf("%w; --dir= names another directory", err)
		}
	}
	f.dir, err = filepath.Abs(f.dir)
	return f, err
}

// storage returns acme.storage. The configuration need not be valid yet: it may name the CA that is about to be created.
func storage(configFile string, environ []string) (string, error) {
	var args []string
	if configFile != "" {
		args = []string{"--configFile=" + configFile}
	}
	return config.Storage(args, environ)
}
