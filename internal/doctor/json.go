package doctor

import (
	"encoding/json"
	"io"
)

// WriteJSON prints the report for programs. The IDs of findings are stable; texts may change.
func (r *Report) WriteJSON(w io.Writer) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(r)
}
