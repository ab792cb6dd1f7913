package clientcerts_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/immichaccess/immichaccess/integration/harness"
)

// versions are curl's flags for a version, and the number that curl reports. Debian's curl has no HTTP/3; internal/app tests
// that with Go's clients.
var versions = map[string]string{"--http1.1": "1.1", "--http2": "2"}

func TestCurlWithCertificates(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	phone, lost, stolen := s.issue(t, "phone"), s.issue(t, "lost-phone"), s.issue(t, "laptop")
	other := newSite(t).issue(t, "phone")
	serial, err := s.run(t, "openssl", "x509", "-noout", "-serial", "-in", stolen.pem)
	if err != nil {
		t.Fatal(serial, err)
	}
	serial = strings.TrimPrefix(strings.TrimSpace(serial), "serial=")
	if !strings.EqualFold(serial, stolen.serial) {
		t.Errorf("openssl shows the serial number %s, cert %s", serial, stolen.serial)
	}
	s.serve(t, "--tls.clientCA="+phone.ca, "--access.clientCertificates=true", "--access.revokedCertificates=lost-phone,"+serial, "--access.keys="+keyEntry)

	for flag, version := range versions {
		for _, c := range []struct {
			name      string
			arguments []string
			status    string
		}{
			{"none", nil, "403"},
			{"PEM", []string{"--cert", phone.pem}, "200"},
			{"PKCS#12", []string{"--cert-type", "P12", "--cert", phone.p12 + ":" + phone.password}, "200"},
			{"revoked by name", []string{"--cert", lost.pem}, "403"},
			{"revoked by number", []string{"--cert", stolen.pem}, "403"},
			{"revoked, with a key", []string{"--cert", lost.pem, "--header", "X-Access-Key: " + accessKey}, "200"},
			{"of another CA", []string{"--cert", other.pem}, "403"},
			{"of another CA, with a key", []string{"--cert", other.pem, "--header", "X-Access-Key: " + accessKey}, "200"},
			{"none, with a key", []string{"--header", "X-Access-Key: " + accessKey}, "200"},
		} {
			output, err := s.curl(t, append(append(c.arguments, flag), statusOf("https://%s/api/show", siteHost)...)...)
			if err != nil || output != c.status+" "+version {
				t.Errorf("%s, %s: %s, %v", flag, c.name, output, err)
			}
		}
	}
	if output, err := s.curl(t, "--cert-type", "P12", "--cert", phone.p12+":wrong", "https://"+siteHost+"/api/server/ping"); err == nil {
		t.Errorf("with a wrong password: %s", output)
	}
	harness.Await(t, "the log to name the certificates", func() bool {
		log := s.log.String()
		return strings.Contains(log, "key=phone method=GET") && strings.Contains(log, `reason="revoked certificate" key=lost-phone`) &&
			strings.Contains(log, `reason="certificate of an unknown CA"`)
	})
}

// OpenSSL reads the .p12 without its provider of legacy algorithms.
func TestOpenSSLReadsPKCS12(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	phone := s.issue(t, "phone")
	output, err := s.run(t, "openssl", "pkcs12", "-in", phone.p12, "-passin", "pass:"+phone.password, "-nodes", "-info")
	for _, want := range []string{"BEGIN CERTIFICATE", "BEGIN PRIVATE KEY", "subject=CN = phone", "pbeWithSHA1And3-KeyTripleDES-CBC"} {
		if err != nil || !strings.Contains(output, want) {
			t.Errorf("no %s, %v: %s", want, err, output)
		}
	}
	if output, err := s.run(t, "openssl", "pkcs12", "-in", phone.p12, "-passin", "pass:wrong", "-nodes"); err == nil {
		t.Errorf("any password reads it: %s", output)
	}
	if output, err := s.run(t, "openssl", "verify", "-purpose", "sslclient", "-CAfile", phone.ca, phone.pem); err != nil {
		t.Errorf("%v: %s", err, output)
	}
	if output, err := s.run(t, "openssl", "verify", "-purpose", "sslserver", "-CAfile", phone.ca, phone.pem); err == nil {
		t.Errorf("it is valid for a server: %s", output)
	}
}

func TestCurlWithBasic(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve(t, "--access.keys="+keyEntry, "--access.basicAuth=true", "--access.denyStatus=401")
	for flag, version := range versions {
		for _, c := range []struct {
			name      string
			arguments []string
			status    string
		}{
			{"in the URL", statusOf("https://x:%s@%s/api/show", accessKey, siteHost), "200"},
			{"as an option", append(statusOf("https://%s/api/show", siteHost), "--user", "anna@example.com:"+accessKey), "200"},
			{"after a challenge", append(statusOf("https://%s/api/show", siteHost), "--anyauth", "--user", "x:"+accessKey), "200"},
			{"for an upload, after a challenge", append(statusOf("https://%s/api/show", siteHost), "--anyauth", "--user", "x:"+accessKey, "--data", "abc"), "200"},
			{"wrong", statusOf("https://x:a-wrong-password@%s/api/show", siteHost), "401"},
			{"wrong, after a challenge", append(statusOf("https://%s/api/show", siteHost), "--anyauth", "--user", "x:a-wrong-password"), "401"},
			{"none", statusOf("https://%s/api/show", siteHost), "401"},
		} {
			output, err := s.curl(t, append(c.arguments, flag)...)
			if err != nil || output != c.status+" "+version {
				t.Errorf("%s, %s: %s, %v", flag, c.name, output, err)
			}
		}
		output, err := s.curl(t, flag, "--header", "x-api-key: immichs-own", "https://x:"+accessKey+"@"+siteHost+"/api/show")
		if err != nil || strings.Contains(output, "Authorization") || strings.Contains(output, accessKey) || !strings.Contains(output, "immichs-own") {
			t.Errorf("%s: what arrives is %s, %v", flag, output, err)
		}
		output, err = s.curl(t, flag, "--header", "X-Access-Key: "+accessKey, "--oauth2-bearer", "immichs-own", "https://"+siteHost+"/api/show")
		if err != nil || !strings.Contains(output, "Bearer immichs-own") {
			t.Errorf("%s: what arrives is %s, %v", flag, output, err)
		}
	}
	harness.Await(t, "the log to contain a denial and a request", func() bool {
		log := s.log.String()
		return strings.Contains(log, `reason="wrong key"`) && strings.Contains(log, "key=phone method=GET path=/api/show")
	})
	for _, secret := range []string{accessKey, "a-wrong-password"} {
		encoded := base64.StdEncoding.EncodeToString([]byte("x:" + secret))
		if log := s.log.String(); strings.Contains(log, secret) || strings.Contains(log, encoded) {
			t.Errorf("%s is in the log", secret)
		}
	}
}

var (
	block = regexp.MustCompile("(?ms)^```(sh|yaml)\n(.*?)^```$")
	link  = regexp.MustCompile(`\]\(([^):#]+)\)`)
)

// The documentation's commands are run in order, from then on with the proxy as its file configures it.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	for document, pongs := range map[string]int{"client-certificates.md": 2, "programs-with-only-a-url.md": 2} {
		t.Run(document, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile("../../docs/" + document)
			if err != nil {
				t.Fatal(err)
			}
			for _, to := range link.FindAllStringSubmatch(string(text), -1) {
				if _, err := os.Stat("../../docs/" + to[1]); err != nil {
					t.Error(err)
				}
			}
			d := &documented{site: newSite(t)}
			for _, part := range block.FindAllStringSubmatch(string(text), -1) {
				if part[1] == "yaml" {
					writeFile(t, d.dir+"/immichaccess.yml", part[2])
					d.serve(t, "--configFile=immichaccess.yml")
					continue
				}
				d.shell(t, part[2])
			}
			if file, err := os.ReadFile(d.dir + "/ping.json"); err == nil {
				d.output.Write(file)
			}
			if got := strings.Count(d.output.String(), pong); got != pongs {
				t.Errorf("%d answers of Immich, want %d:\n%s", got, pongs, &d.output)
			}
		})
	}
}

// documented is the state after some of a document's commands.
type documented struct {
	*site

	output strings.Builder
}

// shell runs commands as a user would after replacing the name and the password. The programs trust the site by its own
// certificate.
func (d *documented) shell(t *testing.T, commands string) {
	t.Helper()
	port := d.addr[strings.LastIndex(d.addr, ":"):]
	commands = strings.ReplaceAll(commands, siteHost, "localhost"+port)
	commands = strings.ReplaceAll(commands, ":PASSWORD", ":"+after(d.output.String(), "\n    password "))
	output, err := d.run(t, "bash", "-euc", `immichaccess() { "`+harness.Binary(t)+`" "$@"; }; export CURL_CA_BUNDLE=`+d.cert+` SSL_CERT_FILE=`+d.cert+" RCLONE_CONFIG=/dev/null\n"+commands)
	d.output.WriteString(output)
	if err != nil {
		t.Fatalf("%s%v: %s", commands, err, output)
	}
}

// These are the requests that immich-go 1.0 sends with such a URL: Immich's API key, and bodies of unknown length, by Go's client, over
// HTTP/1.1 only. Its module can't be downloaded.
func TestRequestsOfImmichGo(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.serve(t, "--access.keys="+keyEntry, "--access.basicAuth=true")
	transport := &http.Transport{TLSClientConfig: s.trusting(t)} // without HTTP/2
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, Timeout: harness.Patience}
	send := func(method, path, contentType string, body io.Reader) (status int, answer string) {
		t.Helper()
		request, err := http.NewRequest(method, "https://x:"+accessKey+"@"+s.addr+path, body)
		if err != nil {
			t.Fatal(err)
		}
		request.ContentLength = -1
		request.Header.Set("Content-Type", contentType)
		request.Header.Set("x-api-key", "immichs-own")
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil || response.ProtoMajor != 1 {
			t.Errorf("%s, %v", response.Proto, err)
		}
		return response.StatusCode, string(text)
	}
	status, arrived := send(http.MethodPut, "/api/show", "application/json", strings.NewReader("{}"))
	if status != http.StatusOK || strings.Contains(arrived, "Authorization") || strings.Contains(arrived, accessKey) || !strings.Contains(arrived, "immichs-own") {
		t.Errorf("status %d, what arrives is %s", status, arrived)
	}
	if status, _ := send(http.MethodPost, "/api/assets", harness.FormType, harness.Form("IMG_1.jpg", 1<<20)); status != http.StatusCreated {
		t.Errorf("status %d of an upload", status)
	}
	if uploads := s.immich.Uploads(); len(uploads) != 1 || !uploads[0].Complete || uploads[0].Size != 1<<20 {
		t.Errorf("%+v", uploads)
	}
}
