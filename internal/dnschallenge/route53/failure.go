package route53

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// failure is an error that waiting does not mend. It holds no secret.
type failure struct {
	code  string // of AWS's; empty for an error of our own
	busy  bool   // try again later
	text  string
	check string // what to look at
}

func (f *failure) Error() string { return f.text }

// Check tells what to look at; empty if that is not known.
func (f *failure) Check() string { return f.check }

// invalidChangeBatch is the code for changes that do not fit what is in the zone.
const invalidChangeBatch = "InvalidChangeBatch"

func hasCode(err error, code string) bool {
	f, is := errors.AsType[*failure](err)
	return is && f.code == code
}

func isTemporary(err error) bool {
	f, is := errors.AsType[*failure](err)
	return is && f.busy
}

// busyCodes mean that there were too many requests, or that a change to the same zone has not ended.
var busyCodes = []string{"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded", "PriorRequestNotComplete", "ServiceUnavailable"}

// failureOf reads the answer to a request that has failed. Of the message, only the first line counts: where the signature is wrong, the
// others are the whole request, with its session token.
func (c *client) failureOf(response *http.Response, content []byte) *failure {
	var answer struct {
		XMLName  xml.Name
		Code     string   `xml:"Error>Code"`
		Message  string   `xml:"Error>Message"`
		Messages []string `xml:"Messages>Message"` // of an InvalidChangeBatch
	}
	f := &failure{text: "AWS answered with status " + response.Status}
	if xml.Unmarshal(content, &answer) == nil {
		if answer.XMLName.Local == invalidChangeBatch {
			answer.Code, answer.Message = invalidChangeBatch, strings.Join(answer.Messages, " ")
		}
		if answer.Code != "" {
			message, _, _ := strings.Cut(strings.TrimSpace(answer.Message), "\n")
			f.code, f.text = answer.Code, strings.TrimSuffix("AWS answered "+answer.Code+": "+message, ": ")
		}
	}
	f.busy = response.StatusCode >= http.StatusInternalServerError || response.StatusCode == http.StatusTooManyRequests || slices.Contains(busyCodes, f.code)
	f.check = c.checkFor(f, response.Header.Get("Date"))
	return f
}

// clockTolerance is less than the 5 minutes that AWS allows.
const clockTolerance = 4 * time.Minute

func (c *client) checkFor(f *failure, date string) string {
	switch f.code {
	case "InvalidClientTokenId", "UnrecognizedClientException":
		return fmt.Sprintf("%s: is the access key active, and complete; one that begins with ASIA needs its session token, too", c.keySource)
	case "ExpiredToken", "ExpiredTokenException":
		return fmt.Sprintf("%s: a temporary key has expired; use an access key of an IAM user", c.keySource)
	case "SignatureDoesNotMatch", "RequestExpired", "InvalidSignatureException":
		if now, err := http.ParseTime(date); err == nil && time.Since(now).Abs() > clockTolerance {
			return fmt.Sprintf("this machine's clock: it differs from that of AWS by %s", time.Since(now).Abs().Round(time.Second))
		}
		return fmt.Sprintf("%s: does the secret belong to the access key; this machine's clock", c.keySource)
	case "AccessDenied", "AccessDeniedException":
		return "does the IAM policy of the key allow what docs/certificates-without-an-open-port.md lists"
	case "NoSuchHostedZone":
		return "AWS_HOSTED_ZONE_ID: is it a zone of this account"
	case invalidChangeBatch:
		return "the records of that name in the hosted zone"
	}
	if f.busy {
		return "nothing, if it passes; which other programs use Route 53 with this AWS account, since it allows five requests a second"
	}
	return ""
}
