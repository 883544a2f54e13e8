// Package handlers translates REST requests to calls on the domain, and errors to problems.
//
// routes.go is the one table of what there is; a handler binds, checks, calls and answers. What the comments on the
// handlers say becomes openapi/openapi.json.
//
//	@title			Sluice
//	@version		1
//	@description	Queues and topics for many tenants, on Redis.
//	@description
//	@description	**Credentials.** Send an API key as `Authorization: Bearer slk_…`, or as the user name of Basic authentication: `curl -u slk_…:`. An operator's key (`slo_…`) acts for the tenant that the header `Tenant` names. Keys never go into a URL. `POST /v1/tokens` gives an access token for minutes (`eyJ…`), which is sent in the same way. Browsers sign in and have a cookie: `POST /v1/session`.
//	@description
//	@description	**Permissions.** A key has scopes, such as `messages:send`, and may be limited to some queues and addresses. Without the scope of an operation the answer is 403 `permission_denied`, which names it; a queue that the key does not reach is not there (404). `GET /v1/whoami` shows what a key may do.
//	@description
//	@description	**Times** are RFC 3339 in UTC with milliseconds; only the coming ticks of a schedule are in its own time zone. **Durations** are whole seconds; where they go in, `"30s"`, `"5m"`, `"12h"` and `"4d"` are fine too.
//	@description
//	@description	**Failures** are `application/problem+json` with a stable `code`; `errors` points at the parts of the request at fault. `503` with `outcome_unknown` may have been done, any other `503` was not. Every answer has a `Request-Id`.
//	@description
//	@description	**Conditions.** `ETag` names a version of a queue, topic, schedule or tenant. Changes with `If-Match` fail with 412 when it is another one; `If-None-Match: *` only creates.
//	@description
//	@description	**Pages.** A list has `next_cursor`, and a `Link` with `rel="next"`; a page may be short although more follow.
//
//	@tag.name			queues
//	@tag.description	Create, change and look at queues.
//	@tag.name			messages
//	@tag.description	Send, look at and delete messages.
//	@tag.name			consuming
//	@tag.description	Receive messages and say what became of them.
//	@tag.name			topics
//	@tag.description	Publish messages to all who subscribe.
//	@tag.name			schemas
//	@tag.description	Check what is published by a JSON Schema.
//	@tag.name			subscriptions
//	@tag.description	Say who gets what is published.
//	@tag.name			webhooks
//	@tag.description	Send what is published to HTTPS endpoints, signed, and see what came of it.
//	@tag.name			schedules
//	@tag.description	Send a message again and again.
//	@tag.name			alarms
//	@tag.description	Say when something is wrong, and be told.
//	@tag.name			tasks
//	@tag.description	Work that was asked for, and how far it is.
//	@tag.name			keys
//	@tag.description	The API keys of a tenant.
//	@tag.name			tenants
//	@tag.description	Tenants and their keys. For operators.
//	@tag.name			operators
//	@tag.description	The keys of operators. For operators.
//	@tag.name			plans
//	@tag.description	Limits of tenants, by name. For operators.
//	@tag.name			audit
//	@tag.description	Who changed what.
//	@tag.name			usage
//	@tag.description	What a tenant has used.
//	@tag.name			request_log
//	@tag.description	What a tenant asked for, and how it was answered.
//	@tag.name			identity
//	@tag.description	Who is calling.
//	@tag.name			members
//	@tag.description	Who signs in to a tenant with a password.
//	@tag.name			sessions
//	@tag.description	Signing in with a browser.
package handlers
