package certs

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"
)

// eabEndpoint is where ZeroSSL issues credentials for external account binding (EAB).
const eabEndpoint = "https://api.zerossl.com/acme/eab-credentials-email"

// zeroSSL is the CA that is used when Let's Encrypt fails. It requires EAB credentials, which it issues for an e-mail address.
type zeroSSL struct {
	endpoint string
}

func (z zeroSSL) bindAccount(ctx context.Context, issuer *certmagic.ACMEIssuer, account acme.Account) (acme.Account, error) {
	form := url.Values{"email": {issuer.Email}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, z.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return account, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return account, err
	}
	defer response.Body.Close()

	var answer struct {
		Success bool   `json:"success"`
		KeyID   string `json:"eab_kid"`
		HMACKey string `json:"eab_hmac_key"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || !answer.Success {
		return account, fmt.Errorf("ZeroSSL gives no account for %s: %s", issuer.Email, response.Status)
	}
	issuer.ExternalAccount = &acme.EAB{KeyID: answer.KeyID, MACKey: answer.HMACKey}
	return account, nil
}
