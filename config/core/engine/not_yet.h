/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Messages for keys of agentgateway or Gateway API that this gateway does not support: what is lost without
 * them. A key that protects must not be removed lightly, so its message states what to do instead. Where keys
 * of files and manifests differ, those of manifests are in parentheses.
 */
#define NOT_YET_WORDS "is not supported yet"
#define NOT_YET_GUARD_WORDS NOT_YET_WORDS ", and it protects"
#define NOT_YET_BUT(lost, instead) NOT_YET_WORDS ": without it " lost ". " instead
#define NOT_YET(lost) NOT_YET_BUT(lost, "Leave it out if that is enough")
#define NOT_YET_GUARD_BUT(lost, instead)                                                                     \
	NOT_YET_GUARD_WORDS ": without it " lost ". Do not just leave it out: " instead
#define NOT_YET_GUARD(lost)                                                                                  \
	NOT_YET_GUARD_BUT(lost, "block what it guards, or put a proxy that supports it in front")

/* clang-format off */
#define NOT_YET_TOKENS \
	NOT_YET_GUARD_BUT("clients may use as many tokens of models as they like", "limit their requests")
#define NOT_YET_LOCAL_RATE_LIMIT NOT_YET_GUARD("clients may send as many requests as they like")
#define NOT_YET_RATE_CONDITIONAL NOT_YET_GUARD("the limits would apply to other requests")
#define NOT_YET_EXT_AUTHZ NOT_YET_GUARD("no external service checks requests")
#define NOT_YET_EXT_PROC \
	NOT_YET_GUARD_BUT("the external processor neither sees, changes nor refuses a message", \
		"a service that refuses requests can be asked by extAuthz (extAuth), and transformations " \
		"change headers and bodies")
#define NOT_YET_OIDC \
	NOT_YET_GUARD_BUT("users need no login", \
		"run oauth2-proxy beside the gateway, and let extAuthz ask it")
#define NOT_YET_MCP_GUARDRAILS \
	NOT_YET_GUARD_BUT("requests to tools and their responses are not checked", \
		"mcpAuthorization (mcp.authorization) says who may call which tool, and extAuthz with " \
		"includeRequestBody (extAuth with forwardBody) shows each request to a service of yours")
#define NOT_YET_A2A \
	NOT_YET_BUT("calls between agents are passed on like any other request, with the backend's own " \
		"address in agent cards", "Leave it out; a route for the card can write the address with " \
		"transformations: {response: {body: 'json(response.body).merge({\"url\": ...})'}}")
#define NOT_YET_AI \
	NOT_YET_GUARD_BUT("requests to models are passed on like any other: no provider's API, no prompt " \
		"guard, no limit of tokens", \
		"extAuthz with includeRequestBody (extAuth with forwardBody) shows each prompt to a " \
		"service of yours")
#define NOT_YET_AI_BACKEND \
	NOT_YET_GUARD_BUT("no request is translated for a provider, and none is checked", \
		"if requests may pass unchanged, write the provider as host: \"api.openai.com:443\" with " \
		"policies: {backendTLS: {}, backendAuth: {key: ...}}")
#define NOT_YET_BACKEND_BODY \
	NOT_YET_GUARD_WORDS ": another attempt may go to another backend. Write body at the route, or at " \
		"the listener"
#define NOT_YET_BACKEND_AUTH \
	NOT_YET_BUT("the backend gets no such credentials", \
		"Write key: {file: ...} (secretRef) for a token that another program renews, passthrough, " \
		"or credentials; or let a service add the header: extAuthz with includeResponseHeaders " \
		"(extAuth with allowedResponseHeaders)")
#define NOT_YET_BACKEND_TUNNEL NOT_YET("backends are connected directly, not through a proxy")
#define NOT_YET_INFERENCE_ROUTING NOT_YET("endpoints are chosen as for any other backend")
#define NOT_YET_COMPRESSION NOT_YET("responses keep the encoding that the backend chose")
#define NOT_YET_CONCURRENCY_LIMIT NOT_YET_GUARD("concurrent requests to backends are not limited")
#define NOT_YET_SPIFFE \
	NOT_YET_GUARD_BUT("certificates come only from files, and no SPIFFE identity is checked", \
		"let an agent such as spiffe-helper write the files, which the gateway watches, and write " \
		"a rule about source.spiffeId")
#define NOT_YET_PROBABILITY \
	NOT_YET("every request is delayed; write the chance as an expression, as in duration: " \
		"'random() < 0.1 ? 500 : 0'")
#define NOT_YET_HTTP1_HEADER_CASE NOT_YET("names of HTTP/1 headers keep their case")
#define NOT_YET_HTTP2_MAX_HEADER_SIZE NOT_YET("config.limits.headBytes bounds heads of both versions")
#define NOT_YET_SECTION NOT_YET("the policy is for the whole backend")
#define NOT_YET_PORT_TARGET NOT_YET("the policy is for all its ports")
#define NOT_YET_LISTENER_SET NOT_YET("name the Gateway or a route as the target")
#define NOT_YET_GATEWAY_NAME NOT_YET("the gateway of the file has the name `default`")
#define NOT_YET_MODE_BIND \
	NOT_YET_GUARD_BUT("every client that reaches the port is served", \
		"write bind: 127.0.0.1 for clients of this host")
#define NOT_YET_LLM \
	NOT_YET_BUT("no models are served", \
		"Leave it out; if requests may pass unchanged, write a route with backends: [{host: " \
		"\"api.openai.com:443\", policies: {backendTLS: {}, backendAuth: {key: ...}}}]")
#define NOT_YET_UI \
	NOT_YET_BUT("the page for a browser is only at /ui of config.adminAddr", \
		"Leave it out, and write config.adminAuth for who may see that page")
#define NOT_YET_AWS \
	NOT_YET_BUT("no service of AWS is called", \
		"Leave it out, or write the host of a proxy that signs the requests")
#define NOT_YET_INTERNAL NOT_YET("write host: with the address of config.adminAddr for the admin pages")
#define NOT_YET_INVALID NOT_YET("write backends: [] for a route that answers 500")
#define NOT_YET_DATABASE_LOGGING NOT_YET("the log goes only to standard error and output")
#define NOT_YET_NETWORK NOT_YET("all endpoints are assumed to be in one network")
#define NOT_YET_HBONE NOT_YET("there is no mesh: backends are connected directly")
#define NOT_YET_NAMESPACE NOT_YET("nothing needs a namespace without Kubernetes")
#define NOT_YET_GATEWAY NOT_YET("nothing needs the name of a Gateway without Kubernetes")
#define NOT_YET_CLUSTER_ID NOT_YET("nothing needs a cluster without Kubernetes")
#define NOT_YET_SERVICE_ACCOUNT NOT_YET("nothing needs an account without Kubernetes")
#define NOT_YET_TRUST_DOMAIN NOT_YET("there is no mesh, and no identity of one is checked")
#define NOT_YET_LOCAL_XDS_PATH NOT_YET("the configuration comes from files given with -f")
#define NOT_YET_CA_ADDRESS NOT_YET("certificates come only from files")
#define NOT_YET_MODEL_CATALOG NOT_YET("no prices of models are known")
#define NOT_YET_DATABASE \
	NOT_YET_BUT("nothing is stored", \
		"Leave it out; frontendPolicies.accessLog.otlp sends what happened to a collector")
#define NOT_YET_STANDARD_ATTRIBUTES NOT_YET("logs have only their usual fields")
#define NOT_YET_HISTOGRAMS NOT_YET("histograms have their usual buckets")
#define NOT_YET_SENSITIVE_HEADERS NOT_YET("the access log shows no header in any case")
#define NOT_YET_CUSTOM_FUNCTIONS NOT_YET("expressions have only the functions of the reference")
#define NOT_YET_CONDITIONAL NOT_YET_GUARD("a policy applies to all requests or to none")
#define NOT_YET_DEFAULT_SCOPE NOT_YET("routes must name the Gateway")
#define NOT_YET_USE_DEFAULT_GATEWAYS NOT_YET("the route is for the Gateways that parentRefs names")
#define NOT_YET_REQUEST_REDIRECT NOT_YET("write it under routes[].policies")
/* clang-format on */
