package fakeimmich

import (
	"crypto/sha1" //nolint:gosec // the checksum Immich uses
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"time"
)

func (s *Server) createAsset(w http.ResponseWriter, r *http.Request) {
	rec := s.uploads.record(r)

	if checksum := announcedChecksum(r); s.isKnown(checksum) {
		s.answerEarly(w, r, rec, checksum)
		return
	}

	checksum, err := receive(r, rec, "assetData")
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}

	if _, duplicate := s.known.LoadOrStore(checksum, true); duplicate {
		writeDuplicate(w, checksum)
		return
	}

	writeCreated(w, checksum)
}

// storeFile accepts uploads other than assets, which have no duplicates.
func (s *Server) storeFile(w http.ResponseWriter, r *http.Request) {
	checksum, err := receive(r, s.uploads.record(r), "file")
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}

	writeCreated(w, checksum)
}

func (s *Server) isKnown(checksum string) bool {
	_, known := s.known.Load(checksum)
	return known
}

// answerEarly responds before the body has arrived, and then lets the client finish on a connection that stays open.
func (s *Server) answerEarly(w http.ResponseWriter, r *http.Request, rec recorder, checksum string) {
	conn := http.NewResponseController(w)
	_ = conn.EnableFullDuplex()

	if strings.EqualFold(r.Header.Get("Expect"), "100-continue") {
		writeInterim(w, http.StatusContinue, nil)
	}

	rec.update(func(u *Upload) { u.Early, u.Checksum = true, checksum })
	writeDuplicate(w, checksum)
	_ = conn.Flush()

	err := drain(conn, r.Body, s.stall)
	rec.end(err)

	if err != nil {
		panic(http.ErrAbortHandler) // or the rest of the body would be read as the next request
	}
}

// drain reads to the end, for as long as there is progress.
func drain(conn *http.ResponseController, body io.Reader, stall time.Duration) error {
	buffer := make([]byte, readAhead)

	for {
		_ = conn.SetReadDeadline(time.Now().Add(stall))

		if _, err := body.Read(buffer); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// receive reads the whole body, whatever it contains, and returns the checksum of the file in that field.
func receive(r *http.Request, rec recorder, field string) (checksum string, err error) {
	checksum, err = readFile(r, rec, field)
	if rest := discardBody(r); err == nil {
		err = rest
	}

	rec.end(err)
	return checksum, err
}

func readFile(r *http.Request, rec recorder, field string) (checksum string, err error) {
	parts, err := r.MultipartReader()
	if err != nil {
		return "", err
	}

	part, err := parts.NextPart()
	for ; err == nil; part, err = parts.NextPart() {
		if part.FormName() != field {
			continue
		}

		if checksum, err = digest(part, rec); err != nil {
			return "", err
		}
	}

	switch {
	case err != io.EOF: //nolint:errorlint // errors.Is would also match a body that is cut short
		return "", err
	case checksum == "":
		return "", fmt.Errorf("the form has no %s", field)
	default:
		return checksum, nil
	}
}

func digest(part *multipart.Part, rec recorder) (checksum string, err error) {
	rec.update(func(u *Upload) { u.Filename = part.FileName() })

	hash := sha1.New() //nolint:gosec // the checksum Immich uses
	size, err := io.Copy(hash, part)
	if err != nil {
		return "", fmt.Errorf("the body ended early: %w", err)
	}

	checksum = hex.EncodeToString(hash.Sum(nil))
	rec.update(func(u *Upload) { u.Checksum, u.Size = checksum, size })

	return checksum, nil
}

// announcedChecksum returns the checksum header in hex, or a text that is not the checksum of anything.
func announcedChecksum(r *http.Request) string {
	text := r.Header.Get("X-Immich-Checksum")
	if len(text) != base64.StdEncoding.EncodedLen(sha1.Size) {
		return strings.ToLower(text)
	}

	sum, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return ""
	}

	return hex.EncodeToString(sum)
}

func writeCreated(w http.ResponseWriter, checksum string) {
	writeJSON(w, http.StatusCreated, map[string]string{"id": assetID(checksum), "status": "created"})
}

func writeDuplicate(w http.ResponseWriter, checksum string) {
	writeJSON(w, http.StatusOK, map[string]string{"id": assetID(checksum), "status": "duplicate"})
}

// assetID makes a checksum into a UUID, so that the same asset has the same one everywhere.
func assetID(checksum string) string {
	return fmt.Sprintf("%s-%s-5%s-8%s-%s", checksum[:8], checksum[8:12], checksum[13:16], checksum[17:20], checksum[20:32])
}
