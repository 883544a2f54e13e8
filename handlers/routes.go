package handlers

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/internal/errs"
)

// needs says who may use a route.
type needs uint8

const (
	public   needs = iota // anybody
	anyKey                // any key; an operator's need not name a tenant
	tenant                // a key that acts for a tenant: the tenant's own, or an operator's with the header Tenant
	operator              // an operator's key
)

// repeats says what a route does with an Idempotency-Key.
type repeats uint8

const (
	harmless repeats = iota // doing it again changes nothing, so the key is not looked at
	keyed                   // the handler uses the key
	refused                 // doing it again does more, and nothing remembers the key yet
)

// route is one operation: how it is reached, who may, and what does it.
type route struct {
	method, path string
	operation    string // its id in the description of the API
	handler      echo.HandlerFunc
	scope        string // what a key must be allowed; "": nothing
	needs        needs
	repeats      repeats
}

// routes is the only place that says which operations there are.
func (a *API) routes() []route {
	const (
		get, put, post, patch, del = http.MethodGet, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete

		queue    = "/v1/queues/:queue"
		schedule = queue + "/schedules/:schedule"
		message  = queue + "/messages/:id"
		receipt  = queue + "/receipts/:handle"
		topic    = "/v1/topics/:topic"
		ticked   = topic + "/schedules/:schedule"
		sub      = topic + "/subscriptions/:subscription"
		wide     = "/v1/topic_subscriptions/:topic_subscription"
		owner    = "/v1/tenants/:tenant"
		plan     = "/v1/plans/:plan"
		member   = "/v1/members/:id"
		person   = "/v1/operators/:id"
		alarm    = "/v1/alarms/:alarm"

		groupState = receipt + "/group-state"
	)
	return []route{
		{get, "/v1/whoami", "whoami", a.whoami, "", anyKey, harmless},
		{post, "/v1/tokens", "createToken", a.createToken, "", anyKey, harmless},
		{get, "/.well-known/jwks.json", "getSigningKeys", a.getSigningKeys, "", public, harmless},

		{post, "/v1/session", "createSession", a.createSession, "", public, harmless},
		{get, "/v1/session", "getSession", a.getSession, "", anyKey, harmless},
		{del, "/v1/session", "endSession", a.endSession, "", anyKey, harmless},
		{get, "/v1/session/oidc/providers", "listSignInProviders", a.listSignInProviders, "", public, harmless},
		{get, "/v1/session/oidc", "beginSignIn", a.beginSignIn, "", public, harmless},
		{get, "/v1/session/oidc/callback", "finishSignIn", a.finishSignIn, "", public, harmless},
		{put, "/v1/session/password", "changePassword", a.changePassword, "", anyKey, harmless},
		{post, "/v1/invitations/accept", "acceptInvitation", a.acceptInvitation, "", public, harmless},
		{del, "/v1/session/view-as", "endView", a.endView, "", anyKey, harmless},
		{get, "/v1/sessions", "listSessions", a.listSessions, "", anyKey, harmless},
		{del, "/v1/sessions/:id", "revokeSession", a.revokeSession, "", anyKey, harmless},

		{get, "/v1/queues", "listQueues", a.listQueues, "queues:read", tenant, harmless},
		{put, queue, "putQueue", a.putQueue, "queues:write", tenant, harmless},
		{get, queue, "getQueue", a.getQueue, "queues:read", tenant, harmless},
		{patch, queue, "updateQueue", a.updateQueue, "queues:write", tenant, harmless},
		{del, queue, "deleteQueue", a.deleteQueue, "queues:write", tenant, harmless},
		{get, queue + "/stats", "getQueueStats", a.getQueueStats, "queues:read", tenant, harmless},
		{get, "/v1/sparks", "getSparks", a.getSparks, "queues:read", tenant, harmless},
		{get, "/v1/stats", "getStats", a.getStats, "queues:read", tenant, harmless},
		{post, queue + "/pause", "pauseQueue", a.pauseQueue, "queues:pause", tenant, harmless},
		{post, queue + "/resume", "resumeQueue", a.resumeQueue, "queues:pause", tenant, harmless},
		{post, queue + "/purge", "purgeQueue", a.purgeQueue, "queues:purge", tenant, refused},
		{post, queue + "/redrive", "redriveQueue", a.redriveQueue, "queues:redrive", tenant, refused},

		{post, queue + "/messages", "sendMessage", a.sendMessage, "messages:send", tenant, keyed},
		{post, queue + "/messages/batch", "sendMessages", a.sendMessages, "messages:send", tenant, keyed},
		{get, queue + "/messages", "peekMessages", a.peekMessages, "messages:peek", tenant, harmless},
		{get, queue + "/export", "exportMessages", a.exportMessages, "messages:peek", tenant, harmless},
		{get, queue + "/reasons", "countReasons", a.countReasons, "messages:peek", tenant, harmless},
		{get, message, "getMessage", a.getMessage, "messages:peek", tenant, harmless},
		{get, message + "/body", "getMessageBody", a.getMessageBody, "messages:read_body", tenant, harmless},
		{get, message + "/timeline", "getMessageTimeline", a.getMessageTimeline, "messages:peek", tenant, harmless},
		{patch, message, "changeMessage", a.changeMessage, "messages:change", tenant, harmless},
		{post, message + "/redrive", "redriveMessage", a.redriveMessage, "queues:redrive", tenant, harmless},
		{del, message, "deleteMessage", a.deleteMessage, "messages:delete", tenant, harmless},

		{post, queue + "/receive", "receiveMessages", a.receiveMessages, "messages:consume", tenant, refused},
		{post, queue + "/consume", "consumeMessages", a.consumeMessages, "messages:consume", tenant, refused},
		{get, queue + "/ws", "openSocket", a.openSocket, "messages:consume", tenant, harmless},
		{get, queue + "/tail", "tailMessages", a.tailMessages, "messages:peek", tenant, harmless},
		{del, receipt, "ackMessage", a.ackMessage, "messages:consume", tenant, harmless},
		{patch, receipt, "changeReceipt", a.changeReceipt, "messages:consume", tenant, harmless},
		{get, groupState, "getGroupState", a.getGroupState, "messages:consume", tenant, harmless},
		{put, groupState, "putGroupState", a.putGroupState, "messages:consume", tenant, harmless},
		{del, groupState, "deleteGroupState", a.deleteGroupState, "messages:consume", tenant, harmless},
		{post, queue + "/ack", "ackMessages", a.ackMessages, "messages:consume", tenant, harmless},

		{get, queue + "/schedules", "listSchedules", a.listSchedules, "schedules:read", tenant, harmless},
		{put, schedule, "putSchedule", a.putSchedule, "schedules:write", tenant, harmless},
		{get, schedule, "getSchedule", a.getSchedule, "schedules:read", tenant, harmless},
		{del, schedule, "deleteSchedule", a.deleteSchedule, "schedules:write", tenant, harmless},
		{post, schedule + "/pause", "pauseSchedule", a.pauseSchedule, "schedules:write", tenant, harmless},
		{post, schedule + "/resume", "resumeSchedule", a.resumeSchedule, "schedules:write", tenant, harmless},
		{post, schedule + "/run", "runSchedule", a.runSchedule, "schedules:run", tenant, keyed},

		{post, "/v1/schedules/test", "testSchedule", a.testSchedule, "schedules:read", tenant, harmless},

		{get, topic + "/schedules", "listTopicSchedules", a.listTopicSchedules, "schedules:read", tenant, harmless},
		{put, ticked, "putTopicSchedule", a.putTopicSchedule, "schedules:write", tenant, harmless},
		{get, ticked, "getTopicSchedule", a.getTopicSchedule, "schedules:read", tenant, harmless},
		{del, ticked, "deleteTopicSchedule", a.deleteTopicSchedule, "schedules:write", tenant, harmless},
		{post, ticked + "/pause", "pauseTopicSchedule", a.pauseTopicSchedule, "schedules:write", tenant, harmless},
		{post, ticked + "/resume", "resumeTopicSchedule", a.resumeTopicSchedule, "schedules:write", tenant, harmless},
		{post, ticked + "/run", "runTopicSchedule", a.runTopicSchedule, "schedules:run", tenant, keyed},

		{get, "/v1/topics", "listTopics", a.listTopics, "topics:read", tenant, harmless},
		{put, topic, "putTopic", a.putTopic, "topics:write", tenant, harmless},
		{get, "/v1/topic_health", "getTopicHealth", a.getTopicHealth, "topics:read", tenant, harmless},
		{get, topic, "getTopic", a.getTopic, "topics:read", tenant, harmless},
		{patch, topic, "updateTopic", a.updateTopic, "topics:write", tenant, harmless},
		{del, topic, "deleteTopic", a.deleteTopic, "topics:write", tenant, harmless},
		{post, topic + "/messages", "publishMessage", a.publishMessage, "topics:publish", tenant, keyed},
		{post, topic + "/messages/batch", "publishMessages", a.publishMessages, "topics:publish", tenant, keyed},
		{get, topic + "/messages", "readTopicMessages", a.readTopicMessages, "topics:consume", tenant, harmless},
		{get, topic + "/schemas", "getSchemas", a.getSchemas, "topics:read", tenant, harmless},
		{post, topic + "/schemas", "addSchema", a.addSchema, "topics:write", tenant, harmless},
		{patch, topic + "/schemas", "updateSchemas", a.updateSchemas, "topics:write", tenant, harmless},
		{post, topic + "/schemas/test", "testSchema", a.testSchema, "topics:read", tenant, harmless},
		{get, topic + "/schemas/:version", "getSchema", a.getSchema, "topics:read", tenant, harmless},
		{del, topic + "/schemas/:version", "deleteSchema", a.deleteSchema, "topics:write", tenant, harmless},
		{post, topic + "/filters/count", "countFilter", a.countFilter, "topics:consume", tenant, harmless},
		{get, topic + "/tail", "tailTopic", a.tailTopic, "topics:consume", tenant, harmless},

		{get, topic + "/subscriptions", "listSubscriptions", a.listSubscriptions, "topics:read", tenant, harmless},
		{put, sub, "putSubscription", a.putSubscription, "topics:write", tenant, harmless},
		{get, sub, "getSubscription", a.getSubscription, "topics:read", tenant, harmless},
		{patch, sub, "updateSubscription", a.updateSubscription, "topics:write", tenant, harmless},
		{del, sub, "deleteSubscription", a.deleteSubscription, "topics:write", tenant, harmless},
		{post, sub + "/pause", "pauseSubscription", a.pauseSubscription, "topics:write", tenant, harmless},
		{post, sub + "/resume", "resumeSubscription", a.resumeSubscription, "topics:write", tenant, harmless},
		{post, sub + "/replay", "replaySubscription", a.replaySubscription, "topics:replay", tenant, refused},
		{get, sub + "/secret", "getSubscriptionSecret", a.getSubscriptionSecret, "topics:write", tenant, harmless},
		{post, sub + "/rotate_secret", "rotateSubscriptionSecret", a.rotateSubscriptionSecret, "topics:write", tenant, refused},
		{post, sub + "/enable", "enableSubscription", a.enableSubscription, "topics:write", tenant, harmless},
		{post, sub + "/disable", "disableSubscription", a.disableSubscription, "topics:write", tenant, harmless},
		{post, sub + "/test", "testSubscription", a.testSubscription, "topics:write", tenant, refused},
		{post, sub + "/confirm", "confirmSubscription", a.confirmSubscription, "topics:write", tenant, refused},
		{get, sub + "/deliveries", "listDeliveries", a.listDeliveries, "topics:read", tenant, harmless},
		{post, sub + "/deliveries/resend", "resendDeliveries", a.resendDeliveries, "topics:replay", tenant, refused},
		{get, sub + "/deliveries/:id/request", "getDeliveryRequest", a.getDeliveryRequest, "topics:write", tenant, harmless},
		{post, sub + "/deliveries/:id/resend", "resendDelivery", a.resendDelivery, "topics:replay", tenant, refused},
		{post, sub + "/deliveries/:id/test", "testDelivery", a.testDelivery, "topics:write", tenant, refused},
		{get, "/v1/deliveries", "listAllDeliveries", a.listAllDeliveries, "topics:read", tenant, harmless},
		{post, "/v1/deliveries/resend", "resendMatchingDeliveries", a.resendMatchingDeliveries, "topics:replay", tenant, refused},
		{get, "/v1/topic_subscriptions", "listTopicSubscriptions", a.listTopicSubscriptions, "topics:read", tenant, harmless},
		{put, wide, "putTopicSubscription", a.putTopicSubscription, "topics:write", tenant, harmless},
		{get, wide, "getTopicSubscription", a.getTopicSubscription, "topics:read", tenant, harmless},
		{patch, wide, "updateTopicSubscription", a.updateTopicSubscription, "topics:write", tenant, harmless},
		{del, wide, "deleteTopicSubscription", a.deleteTopicSubscription, "topics:write", tenant, harmless},
		{get, wide + "/topics", "listMatchingTopics", a.listMatchingTopics, "topics:read", tenant, harmless},
		{get, wide + "/secret", "getTopicSubscriptionSecret", a.getTopicSubscriptionSecret, "topics:write", tenant, harmless},
		{post, wide + "/rotate_secret", "rotateTopicSubscriptionSecret", a.rotateTopicSubscriptionSecret, "topics:write", tenant, refused},
		{post, "/v1/filters/test", "testFilter", a.testFilter, "topics:read", tenant, harmless},

		{get, "/v1/alarms", "listAlarms", a.listAlarms, "alarms:read", tenant, harmless},
		{put, alarm, "putAlarm", a.putAlarm, "alarms:write", tenant, harmless},
		{get, alarm, "getAlarm", a.getAlarm, "alarms:read", tenant, harmless},
		{del, alarm, "deleteAlarm", a.deleteAlarm, "alarms:write", tenant, harmless},
		{get, alarm + "/history", "getAlarmHistory", a.getAlarmHistory, "alarms:read", tenant, harmless},
		{post, alarm + "/mute", "muteAlarm", a.muteAlarm, "alarms:mute", tenant, harmless},
		{post, alarm + "/unmute", "unmuteAlarm", a.unmuteAlarm, "alarms:mute", tenant, harmless},
		{post, "/v1/suggested_alarms", "addSuggestedAlarms", a.addSuggestedAlarms, "alarms:write", tenant, harmless},

		{get, "/v1/tasks", "listTasks", a.listTasks, "tasks:read", anyKey, harmless},
		{get, "/v1/tasks/:id", "getTask", a.getTask, "tasks:read", anyKey, harmless},
		{get, "/v1/tasks/:id/errors", "listTaskErrors", a.listTaskErrors, "tasks:read", anyKey, harmless},
		{post, "/v1/tasks/:id/cancel", "cancelTask", a.cancelTask, "tasks:write", tenant, harmless},

		{get, "/v1/keys", "listKeys", a.listKeys, "keys:read", tenant, harmless},
		{post, "/v1/keys", "createKey", a.createKey, "keys:write", tenant, refused},
		{del, "/v1/keys/:id", "revokeKey", a.revokeKey, "keys:write", tenant, harmless},
		{post, "/v1/keys/:id/rotate", "rotateKey", a.rotateKey, "keys:write", tenant, refused},

		{get, "/v1/members", "listMembers", a.listMembers, "members:read", tenant, harmless},
		{post, "/v1/members", "inviteMember", a.inviteMember, "members:write", tenant, refused},
		{patch, member, "updateMember", a.updateMember, "members:write", tenant, harmless},
		{del, member, "removeMember", a.removeMember, "members:write", tenant, harmless},
		{post, member + "/invitation", "inviteMemberAgain", a.inviteMemberAgain, "members:write", tenant, refused},

		{get, "/v1/portal_links", "listPortalLinks", a.listPortalLinks, "portal_links:read", tenant, harmless},
		{post, "/v1/portal_links", "createPortalLink", a.createPortalLink, "portal_links:write", tenant, refused},
		{del, "/v1/portal_links/:id", "revokePortalLink", a.revokePortalLink, "portal_links:write", tenant, harmless},
		{post, owner + "/portal_links", "createTenantPortalLink", a.createTenantPortalLink, "portal_links:write", operator, refused},
		{get, owner + "/portal_links", "listTenantPortalLinks", a.listTenantPortalLinks, "portal_links:read", operator, harmless},
		{del, owner + "/portal_links/:id", "revokeTenantPortalLink", a.revokeTenantPortalLink, "portal_links:write", operator, harmless},

		{get, "/v1/events", "streamEvents", a.streamEvents, "", anyKey, harmless},

		{get, "/v1/usage", "getUsage", a.getUsage, "usage:read", tenant, harmless},
		{get, "/v1/quotas", "getQuotas", a.getQuotas, "usage:read", tenant, harmless},
		{get, owner + "/usage", "getTenantUsage", a.getTenantUsage, "usage:read", operator, harmless},

		{get, "/v1/audit", "listAudit", a.listAudit, "audit:read", tenant, harmless},
		{get, "/v1/audit/export", "exportAudit", a.exportAudit, "audit:read", tenant, harmless},
		{get, "/v1/request_log", "listRequestLog", a.listRequestLog, "request_log:read", tenant, harmless},
		{get, "/v1/request_log/export", "exportRequestLog", a.exportRequestLog, "request_log:read", tenant, harmless},
		{get, "/v1/operator_audit", "listOperatorAudit", a.listOperatorAudit, "operator_audit:read", operator, harmless},
		{get, "/v1/operator_audit/export", "exportOperatorAudit", a.exportOperatorAudit, "operator_audit:read", operator, harmless},

		{get, "/v1/system", "getSystem", a.getSystem, "system:read", operator, harmless},
		{get, "/v1/system/doctor", "examineSystem", a.examineSystem, "system:read", operator, harmless},
		{get, "/v1/system/support_bundle", "getSupportBundle", a.getSupportBundle, "system:read", operator, harmless},
		{get, "/v1/system/log", "tailLog", a.tailLog, "system:read", operator, harmless},
		{get, "/v1/system/stats", "getSystemStats", a.getSystemStats, "system:read", operator, harmless},
		{get, "/v1/tenant_health", "getTenantHealth", a.getTenantHealth, "tenants:read", operator, harmless},
		{get, "/v1/tenants", "listTenants", a.listTenants, "tenants:read", operator, harmless},
		{put, owner, "putTenant", a.putTenant, "tenants:write", operator, harmless},
		{get, owner, "getTenant", a.getTenant, "tenants:read", operator, harmless},
		{patch, owner, "updateTenant", a.updateTenant, "tenants:write", operator, harmless},
		{get, owner + "/export", "exportTenant", a.exportTenant, "tenants:read", operator, harmless},
		{post, owner + "/suspend", "suspendTenant", a.suspendTenant, "tenants:write", operator, harmless},
		{post, owner + "/resume", "resumeTenant", a.resumeTenant, "tenants:write", operator, harmless},
		{post, owner + "/view-as", "viewAsTenant", a.viewAsTenant, "tenants:read", operator, harmless},
		{del, owner, "deleteTenant", a.deleteTenant, "tenants:write", operator, harmless},
		{get, "/v1/plans", "listPlans", a.listPlans, "plans:read", operator, harmless},
		{put, plan, "putPlan", a.putPlan, "plans:write", operator, harmless},
		{get, plan, "getPlan", a.getPlan, "plans:read", operator, harmless},
		{del, plan, "deletePlan", a.deletePlan, "plans:write", operator, harmless},
		{post, owner + "/keys", "createTenantKey", a.createTenantKey, "keys:write", operator, refused},
		{get, owner + "/keys", "listTenantKeys", a.listTenantKeys, "keys:read", operator, harmless},
		{del, owner + "/keys/:id", "revokeTenantKey", a.revokeTenantKey, "keys:write", operator, harmless},
		{post, owner + "/keys/:id/rotate", "rotateTenantKey", a.rotateTenantKey, "keys:write", operator, refused},

		{get, "/v1/operator_keys", "listOperatorKeys", a.listOperatorKeys, "operator_keys:read", operator, harmless},
		{post, "/v1/operator_keys", "createOperatorKey", a.createOperatorKey, "operator_keys:write", operator, refused},
		{del, "/v1/operator_keys/:id", "revokeOperatorKey", a.revokeOperatorKey, "operator_keys:write", operator, harmless},
		{post, "/v1/operator_keys/:id/rotate", "rotateOperatorKey", a.rotateOperatorKey, "operator_keys:write", operator, refused},

		{get, "/v1/operators", "listOperators", a.listOperators, "operators:read", operator, harmless},
		{post, "/v1/operators", "inviteOperator", a.inviteOperator, "operators:write", operator, refused},
		{patch, person, "updateOperator", a.updateOperator, "operators:write", operator, harmless},
		{del, person, "removeOperator", a.removeOperator, "operators:write", operator, harmless},
		{post, person + "/invitation", "inviteOperatorAgain", a.inviteOperatorAgain, "operators:write", operator, refused},
	}
}

const maxIdempotencyKey = 255

// checkIdempotencyKey refuses a key that would not do what its sender expects of it.
func (rt *route) checkIdempotencyKey(h http.Header) error {
	values := h["Idempotency-Key"]
	if len(values) == 0 {
		return nil
	}
	field := func(code, message string) error {
		return invalid([]errs.Field{{Header: "Idempotency-Key", Code: code, Message: message}})
	}
	switch key := values[0]; {
	case rt.repeats == refused:
		return errNoIdempotency
	case len(values) > 1:
		return field("duplicate", "must be given once")
	case key == "" || len(key) > maxIdempotencyKey:
		return field("out_of_range", "must have 1 to 255 characters")
	}
	return nil
}

var errNoIdempotency = &errs.Error{Kind: errs.Invalid, Code: "idempotency_key_not_supported",
	Message: "This operation takes no Idempotency-Key: doing it again does more.",
	Fix:     "Leave the header out.",
	Fields:  []errs.Field{{Header: "Idempotency-Key", Code: "not_supported", Message: "must be absent"}}}
