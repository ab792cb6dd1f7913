package route53

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	s, err := readSettings(variables{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}.get)
	noError(t, err)
	if s.ttl != 10 || s.propagationTimeout != 2*time.Minute || s.pollingInterval != 4*time.Second || s.endpoint != "https://route53.amazonaws.com" || s.signingRegion != "us-east-1" {
		t.Errorf("the defaults are %+v", s)
	}
	s, err = readSettings(variables{
		"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_TTL": "30", "AWS_PROPAGATION_TIMEOUT": "300", "AWS_POLLING_INTERVAL": "7",
		"AWS_REGION": "cn-north-1", "AWS_ENDPOINT_URL": "http://other/", "AWS_ENDPOINT_URL_ROUTE_53": "http://localhost:4566/",
	}.get)
	noError(t, err)
	if s.ttl != 30 || s.propagationTimeout != 5*time.Minute || s.pollingInterval != 7*time.Second || s.endpoint != "http://localhost:4566" || s.signingRegion != "cn-northwest-1" {
		t.Errorf("%+v", s)
	}
}

func TestInvalidSettings(t *testing.T) {
	t.Parallel()
	for want, v := range map[string]variables{
		`AWS_TTL="ten": allowed is a whole number, 0 or more`:                                                     {"AWS_TTL": "ten"},
		`AWS_TTL="-1": allowed is a whole number, 0 or more`:                                                      {"AWS_TTL": "-1"},
		`AWS_MAX_RETRIES="0": allowed is a whole number, 1 or more`:                                               {"AWS_MAX_RETRIES": "0"},
		`AWS_PROPAGATION_TIMEOUT="2m": allowed is a whole number, 1 or more`:                                      {"AWS_PROPAGATION_TIMEOUT": "2m"},
		`AWS_POLLING_INTERVAL="0": allowed is a whole number, 1 or more`:                                          {"AWS_POLLING_INTERVAL": "0"},
		`AWS_PRIVATE_ZONE="yes": allowed are true and false`:                                                      {"AWS_PRIVATE_ZONE": "yes"},
		`AWS_HOSTED_ZONE_ID="example.com": allowed is the ID of a hosted zone, such as Z11111112222222333333`:     {"AWS_HOSTED_ZONE_ID": "example.com"},
		`AWS_ENDPOINT_URL: allowed is a URL such as https://route53.amazonaws.com`:                                {"AWS_ENDPOINT_URL": "localhost:4566"},
		`AWS_ENDPOINT_URL_ROUTE_53: allowed is a URL such as https://route53.amazonaws.com`:                       {"AWS_ENDPOINT_URL_ROUTE_53": "https://me:hidden@localhost"},
		`AWS_ASSUME_ROLE_ARN: no role is assumed; ` + supported:                                                   {"AWS_ASSUME_ROLE_ARN": "arn:aws:iam::111122223333:role/x"},
		`AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not, nor AWS_SECRET_ACCESS_KEY_FILE`:              {"AWS_SECRET_ACCESS_KEY": ""},
		`AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not, nor AWS_ACCESS_KEY_ID_FILE`:                  {"AWS_ACCESS_KEY_ID": ""},
		"AWS_PRIVATE_ZONE=\"x\": allowed are true and false; AWS_TTL=\"x\": allowed is a whole number, 0 or more": {"AWS_PRIVATE_ZONE": "x", "AWS_TTL": "x"},
		`AWS_WEB_IDENTITY_TOKEN_FILE: no temporary keys are fetched; ` + supported:                                {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "/token"},
		`AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: no temporary keys are fetched; ` + supported:                     {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/x"},
		`AWS_SHARED_CREDENTIALS_FILE: open /nowhere: no such file or directory`:                                   {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"},
	} {
		all := variables{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "hidden"}
		for name, value := range v {
			all[name] = value
		}
		_, err := New(all.get)
		if _, is := errors.AsType[*SettingsError](err); !is || err.Error() != want {
			t.Errorf("the error is %v, want %s", err, want)
		}
	}
}

const sharedFile = `# keys
[default]
aws_access_key_id = AKIDDEFAULT
aws_secret_access_key=hidden/default+secret= # of the first account
region = eu-central-1

[ home ]
aws_access_key_id	=	AKIDHOME
aws_secret_access_key = hidden-home
aws_session_token = hidden-token
; aws_session_token = hidden-other

[role]
role_arn = arn:aws:iam::111122223333:role/x
source_profile = default

[half]
aws_access_key_id = AKIDHALF
`

func TestSharedCredentials(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "credentials")
	noError(t, os.WriteFile(file, []byte(sharedFile), 0o600))
	for profile, want := range map[string]string{
		"":        "AKIDDEFAULT hidden/default+secret= ",
		"default": "AKIDDEFAULT hidden/default+secret= ",
		"home":    "AKIDHOME hidden-home hidden-token",
		"role":    `AWS_PROFILE: the profile "role" in ` + file + ` has role_arn; ` + supported,
		"half":    `AWS_PROFILE: the profile "half" in ` + file + ` does not have both aws_access_key_id and aws_secret_access_key`,
		"missing": `AWS_PROFILE: the profile "missing" in ` + file + ` is not there`,
	} {
		s, err := readSettings(variables{"AWS_SHARED_CREDENTIALS_FILE": file, "AWS_PROFILE": profile}.get)
		got := strings.Join([]string{s.credentials.AccessKeyID, s.credentials.SecretAccessKey, s.credentials.SessionToken}, " ")
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %s, want %s", profile, got, want)
		}
	}
	s, err := readSettings(variables{"AWS_SHARED_CREDENTIALS_FILE": file, "AWS_PROFILE": "home", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}.get)
	if err != nil || s.credentials.AccessKeyID != "a" || s.credentials.SessionToken != "" {
		t.Errorf("%+v, %v", s.credentials, err)
	}
}

func TestSharedCredentialsAtHome(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	_, err := New(variables{}.get)
	if err == nil || !strings.HasPrefix(err.Error(), "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set, nor AWS_ACCESS_KEY_ID_FILE and AWS_SECRET_ACCESS_KEY_FILE, and there is no ~/.aws/credentials;") {
		t.Errorf("the error is %v", err)
	}
	noError(t, os.MkdirAll(filepath.Join(home, ".aws"), 0o700))
	noError(t, os.WriteFile(filepath.Join(home, ".aws", "credentials"), []byte(sharedFile), 0o600))
	s, err := readSettings(variables{"AWS_PROFILE": "home"}.get)
	if err != nil || s.credentials.AccessKeyID != "AKIDHOME" {
		t.Errorf("%+v, %v", s.credentials, err)
	}
}
