package route53

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/immichaccess/immichaccess/internal/dnschallenge/sigv4"
)

const (
	keyVariables = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
	supported    = "supported are only access keys: " + keyVariables + ", or a profile with them in ~/.aws/credentials or AWS_SHARED_CREDENTIALS_FILE"
)

// fetching are variables of the SDK that tell where to fetch temporary keys.
var fetching = []string{"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"}

// credentials takes an access key from the first place where the SDK would find one, and tells which that is.
func (r *reader) credentials() (c sigv4.Credentials, source string) {
	c = sigv4.Credentials{
		AccessKeyID: r.getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: r.getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: r.getenv("AWS_SESSION_TOKEN"),
	}
	switch {
	case r.getenv("AWS_ASSUME_ROLE_ARN") != "":
		r.refuse("AWS_ASSUME_ROLE_ARN: no role is assumed; %s", supported)
	case c.AccessKeyID != "" && c.SecretAccessKey == "":
		r.refuse("AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not, nor AWS_SECRET_ACCESS_KEY_FILE")
	case c.AccessKeyID == "" && c.SecretAccessKey != "":
		r.refuse("AWS_SECRET_ACCESS_KEY is set, but AWS_ACCESS_KEY_ID is not, nor AWS_ACCESS_KEY_ID_FILE")
	case c.AccessKeyID == "":
		return r.shared()
	}
	return c, keyVariables
}

// shared reads the file that AWS's own programs have their keys in.
func (r *reader) shared() (c sigv4.Credentials, source string) {
	for _, name := range fetching {
		if r.getenv(name) != "" {
			r.refuse("%s: no temporary keys are fetched; %s", name, supported)
			return c, ""
		}
	}
	file, profile := r.getenv("AWS_SHARED_CREDENTIALS_FILE"), r.getenv("AWS_PROFILE")
	if profile == "" {
		profile = "default"
	}
	byDefault := file == ""
	if home, err := os.UserHomeDir(); byDefault && err == nil {
		file = filepath.Join(home, ".aws", "credentials")
	}
	content, err := os.ReadFile(file)
	switch {
	case byDefault && errors.Is(err, fs.ErrNotExist):
		r.refuse("%s are not set, nor AWS_ACCESS_KEY_ID_FILE and AWS_SECRET_ACCESS_KEY_FILE, and there is no ~/.aws/credentials; "+
			"roles, as of EC2, and SSO are not supported", keyVariables)
		return c, ""
	case err != nil:
		r.refuse("AWS_SHARED_CREDENTIALS_FILE: %v", err)
		return c, ""
	}
	c, err = ofProfile(string(content), profile)
	if err != nil {
		r.refuse("AWS_PROFILE: the profile %q in %s %v", profile, file, err)
	}
	return c, fmt.Sprintf("the profile %q in %s", profile, file)
}

// ofProfile finds the access key of a profile in the INI file. The error ends a sentence about the profile.
func ofProfile(content, profile string) (c sigv4.Credentials, err error) {
	exists, inside := false, false
	for line := range strings.Lines(content) {
		line = strings.TrimSpace(line)
		if header, is := strings.CutPrefix(line, "["); is {
			header, _, _ = strings.Cut(header, "]")
			inside = strings.TrimSpace(header) == profile
			exists = exists || inside
			continue
		}
		name, text, is := strings.Cut(line, "=")
		if !inside || !is || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		text, _, _ = strings.Cut(strings.TrimSpace(text), " ") // a comment may follow
		switch strings.TrimSpace(name) {
		case "aws_access_key_id":
			c.AccessKeyID = text
		case "aws_secret_access_key":
			c.SecretAccessKey = text
		case "aws_session_token":
			c.SessionToken = text
		case "role_arn", "credential_process", "sso_session", "sso_start_url":
			return c, fmt.Errorf("has %s; %s", strings.TrimSpace(name), supported)
		}
	}
	switch {
	case !exists:
		return c, errors.New("is not there")
	case c.AccessKeyID == "" || c.SecretAccessKey == "":
		return c, errors.New("does not have both aws_access_key_id and aws_secret_access_key")
	}
	return c, nil
}
