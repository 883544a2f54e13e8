package handlers

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/monitor"
)

// Sparks are short histories of several queues, in the same steps of time.
type Sparks struct {
	// When the first step begins.
	From Instant `json:"from" swaggertype:"string" format:"date-time"`
	// When the last step ends; it is not over yet.
	To Instant `json:"to" swaggertype:"string" format:"date-time"`
	// Seconds of a step.
	Step int `json:"step" example:"120"`
	// In the order in which they were asked for, without those that are not there.
	Data []Spark `json:"data"`
}

// Spark is the history of one queue.
type Spark struct {
	Queue string `json:"queue" example:"orders"`
	// Messages that were available at the end of each step. It ends with the list's last step; where nothing is known of the first
	// ones it is shorter. Empty for a queue that nobody has used in this time.
	Available []int64 `json:"available"`
}

const (
	maxSparks   = 100 // queues of a request
	sparkWindow = time.Hour
	sparkStep   = 2 * time.Minute
)

// getSparks shows short histories of several queues.
//
//	@Summary		Get the last hour of several queues
//	@Description	How many messages were available in each of the queues that `queues` names, in the last hour, in steps of two minutes: what a list of queues shows beside their names. For more about one queue see its history.
//	@ID				getSparks
//	@Tags			queues
//	@Param			queues	query		string	true	"Names with commas between them, at most 100"	maxlength(8100)
//	@Success		200		{object}	Sparks	"The histories"
//	@Failure		400		{object}	Problem	"The request is malformed"
//	@Failure		404		{object}	Problem	"No such tenant"
//	@Failure		415		{object}	Problem	"The request has a Content-Encoding"
//	@Failure		422		{object}	Problem	"A value is not allowed"
//	@Router			/v1/sparks [get]
func (a *API) getSparks(c echo.Context) error {
	names, err := readNames(c, "queues", maxSparks)
	if err != nil {
		return err
	}
	reached := names[:0]
	for _, name := range names {
		if grants(c).Reaches(name) {
			reached = append(reached, name)
		}
	}
	ctx, t, _ := scope(c)
	list, err := a.Monitor.Queues(ctx, t, reached, sparkWindow, sparkStep)
	if err != nil {
		return err
	}
	out := Sparks{Step: wholeSeconds(sparkStep), Data: make([]Spark, len(list))}
	from, to := monitor.Bounds(a.Clock.Now(), sparkWindow, sparkStep)
	out.From, out.To = Instant{from}, Instant{to}
	for i, s := range list {
		out.Data[i] = Spark{Queue: s.Queue, Available: make([]int64, len(s.Points))}
		for k, p := range s.Points {
			out.Data[i].Available[k] = p[monitor.Available]
		}
	}
	return a.json(c, http.StatusOK, out)
}
