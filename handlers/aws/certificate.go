package aws

import (
	"net/http"
	"strconv"

	"github.com/sluicemq/sluice/internal/errs"
)

// certificateAge is how long, in seconds, a certificate may be kept: what is at its path never changes.
const certificateAge = "max-age=86400"

// serveCertificate answers with the certificate by which notifications are verified. It is for everybody.
func (d *Door) serveCertificate(w http.ResponseWriter, r *http.Request) Served {
	id := d.NewID(0).UUID()
	served := Served{ID: id, Action: "Certificate", Status: http.StatusOK}
	h := w.Header()
	h["X-Amzn-Requestid"] = []string{id}
	fail := func(status int, text string) Served {
		served.Status = status
		http.Error(w, text, status)
		return served
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		return fail(http.StatusMethodNotAllowed, "Ask for a certificate by GET.")
	}
	certificate, err := d.Notifier.Certificate(r.Context(), r.URL.Path)
	switch {
	case err != nil:
		if errs.KindOf(err) == errs.Internal {
			d.Logger.Error("the certificate of notifications cannot be served", "request_id", id, "error", err)
		}
		return fail(http.StatusServiceUnavailable, "The certificate cannot be read now. Try again.")
	case certificate == nil:
		return fail(http.StatusNotFound, "There is no such certificate.")
	}
	h.Set("Content-Type", "application/x-pem-file")
	h.Set("Cache-Control", "public, "+certificateAge)
	h.Set("Content-Length", strconv.Itoa(len(certificate)))
	if r.Method == http.MethodGet {
		n, _ := w.Write(certificate)
		served.Size = int64(n)
	}
	return served
}
