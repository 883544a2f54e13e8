package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// admin makes the few requests that are not part of the measured work.
type admin struct {
	conn *conn
}

// call makes one request, once more on a fresh connection when the kept one turns out to be dead: all of these are
// safe to repeat.
func (a *admin) call(method, path string, body []byte) (response, error) {
	contentType := ""
	if body != nil {
		contentType = "application/json"
	}
	head := a.conn.target.head(method, path, contentType)
	kept := a.conn.connected()
	resp, err := a.conn.call(head, body, cleanupLimit)
	if err != nil && kept && !errors.Is(err, errAborted) {
		resp, err = a.conn.call(head, body, cleanupLimit)
	}
	return resp, err
}

func (a *admin) expect(method, path string, body []byte, want ...int) (response, error) {
	resp, err := a.call(method, path, body)
	if err != nil {
		return resp, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if !slices.Contains(want, resp.status) {
		return resp, fmt.Errorf("%s %s: %s", method, path, describe(resp))
	}
	return resp, nil
}

// createQueue makes a queue. more is JSON of further settings, with a leading comma.
func (a *admin) createQueue(queue, more string) error {
	settings := fmt.Appendf(nil, `{"visibility_timeout":%d%s}`, leaseSeconds, more)
	_, err := a.expect(http.MethodPut, "/v1/queues/"+queue, settings, http.StatusOK, http.StatusCreated)
	return err
}

// awsPair is a key with which requests are signed.
type awsPair struct {
	key                             string // id of the API key that it belongs to
	access, secret, account, region string
}

// createPair makes an AWS pair. It has to be a's first request, which is not made twice, as every other one may be: nobody
// would know of the first pair.
func (a *admin) createPair() (awsPair, error) {
	resp, err := a.expect(http.MethodPost, "/v1/keys", []byte(`{"name":"bench","aws":true}`), http.StatusCreated)
	if err != nil {
		return awsPair{}, err
	}
	var made struct {
		ID  string `json:"id"`
		AWS struct {
			AccessKeyID     string `json:"access_key_id"`
			SecretAccessKey string `json:"secret_access_key"`
			AccountID       string `json:"account_id"`
			Region          string `json:"region"`
		} `json:"aws"`
	}
	if err := json.Unmarshal(resp.body, &made); err != nil {
		return awsPair{}, fmt.Errorf("read the new key: %w", err)
	}
	return awsPair{made.ID, made.AWS.AccessKeyID, made.AWS.SecretAccessKey, made.AWS.AccountID, made.AWS.Region}, nil
}

func (a *admin) deleteKey(id string) error {
	_, err := a.expect(http.MethodDelete, "/v1/keys/"+id, nil, http.StatusNoContent)
	return err
}

func (a *admin) deleteQueue(queue string) error {
	_, err := a.expect(http.MethodDelete, "/v1/queues/"+queue, nil, http.StatusNoContent, http.StatusOK, http.StatusAccepted)
	return err
}

// stored returns how many messages the queue holds, in whatever state.
func (a *admin) stored(queue string) (int64, error) {
	resp, err := a.expect(http.MethodGet, "/v1/queues/"+queue, nil, http.StatusOK)
	if err != nil {
		return 0, err
	}
	var q struct {
		Counts *struct {
			Available int64 `json:"available"`
			InFlight  int64 `json:"in_flight"`
			Delayed   int64 `json:"delayed"`
		} `json:"counts"`
	}
	if err := json.Unmarshal(resp.body, &q); err != nil {
		return 0, fmt.Errorf("read the queue's counts: %w", err)
	}
	if q.Counts == nil {
		return 0, errors.New("the queue shows no counts")
	}
	return q.Counts.Available + q.Counts.InFlight + q.Counts.Delayed, nil
}

// durability asks the server what an acknowledged message survives. It is also the first request, so its error says
// whether there is a server at all.
func (a *admin) durability() (string, error) {
	resp, err := a.call(http.MethodGet, "/readyz", nil)
	if err != nil {
		return "", err
	}
	if resp.status == http.StatusServiceUnavailable {
		return "", fmt.Errorf("the server is not ready: %s", describe(resp))
	}
	var ready struct {
		Durability json.RawMessage `json:"durability"`
	}
	var level string
	var detail struct {
		Level string `json:"level"`
	}
	if json.Unmarshal(resp.body, &ready) == nil {
		if json.Unmarshal(ready.Durability, &level) != nil && json.Unmarshal(ready.Durability, &detail) == nil {
			level = detail.Level
		}
	}
	if level == "" {
		level = "unknown"
	}
	return level, nil
}
