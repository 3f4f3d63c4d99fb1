/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Messages for keys of agentgateway or Gateway API that this gateway does not support: what is lost without
 * them. A key that protects must not be removed lightly, so its message states what to do instead.
 */
#define NOT_YET_WORDS "is not supported yet"
#define NOT_YET_GUARD_WORDS NOT_YET_WORDS ", and it protects"
#define NOT_YET(lost) NOT_YET_WORDS ": without it " lost ". Leave it out if that is enough"
#define NOT_YET_GUARD(lost)                                                                                  \
	NOT_YET_GUARD_WORDS                                                                                  \
	": without it " lost                                                                                 \
	". Do not just leave it out: block what it guards, or put a proxy that supports it in front"

/* clang-format off */
#define NOT_YET_LOCAL_RATE_LIMIT NOT_YET_GUARD("clients may send as many requests as they like")
#define NOT_YET_RATE_CONDITIONAL NOT_YET_GUARD("the limits would apply to other requests")
#define NOT_YET_EXT_AUTHZ NOT_YET_GUARD("no external service checks requests")
#define NOT_YET_EXT_PROC NOT_YET_GUARD("the external processor neither sees, changes nor refuses a message")
#define NOT_YET_OIDC NOT_YET_GUARD("users need no login")
#define NOT_YET_MCP_GUARDRAILS NOT_YET_GUARD("requests to tools and their responses are not checked")
#define NOT_YET_A2A \
	NOT_YET("calls between agents are passed on like any other request, with the backend's own " \
		"address in agent cards")
#define NOT_YET_AI \
	NOT_YET_GUARD("requests to models are passed on like any other: no provider's API, no prompt guard," \
		" no limit of tokens")
#define NOT_YET_BACKEND_BODY \
	NOT_YET_GUARD_WORDS ": another attempt may go to another backend. Write body at the route, or at " \
		"the listener"
#define NOT_YET_BACKEND_AUTH \
	NOT_YET("the backend gets no such credentials; key, passthrough and credentials are supported")
#define NOT_YET_BACKEND_TUNNEL NOT_YET("backends are connected directly, not through a proxy")
#define NOT_YET_INFERENCE_ROUTING NOT_YET("endpoints are chosen as for any other backend")
#define NOT_YET_COMPRESSION NOT_YET("responses keep the encoding that the backend chose")
#define NOT_YET_CONCURRENCY_LIMIT NOT_YET_GUARD("concurrent requests to backends are not limited")
#define NOT_YET_SPIFFE \
	NOT_YET_GUARD("certificates come only from files, and no SPIFFE identity is checked")
#define NOT_YET_PROBABILITY \
	NOT_YET("every request is delayed; write the chance as an expression, as in duration: " \
		"'random() < 0.1 ? 500 : 0'")
#define NOT_YET_HTTP1_HEADER_CASE NOT_YET("names of HTTP/1 headers keep their case")
#define NOT_YET_HTTP2_MAX_HEADER_SIZE NOT_YET("config.limits.headBytes bounds heads of both versions")
#define NOT_YET_SECTION NOT_YET("the policy is for the whole backend")
#define NOT_YET_PORT_TARGET NOT_YET("the policy is for all its ports")
#define NOT_YET_LISTENER_SET NOT_YET("name the Gateway or a route as the target")
#define NOT_YET_GATEWAY_NAME NOT_YET("the gateway of the file has the name `default`")
#define NOT_YET_MODE_BIND NOT_YET_GUARD("every client that reaches the port is served")
#define NOT_YET_LLM NOT_YET("no models are served")
#define NOT_YET_UI NOT_YET("the admin pages are at config.adminAddr")
#define NOT_YET_AWS NOT_YET("no service of AWS is called")
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
#define NOT_YET_DATABASE NOT_YET("nothing is stored")
#define NOT_YET_STANDARD_ATTRIBUTES NOT_YET("logs have only their usual fields")
#define NOT_YET_HISTOGRAMS NOT_YET("histograms have their usual buckets")
#define NOT_YET_SENSITIVE_HEADERS NOT_YET("the access log shows no header in any case")
#define NOT_YET_CUSTOM_FUNCTIONS NOT_YET("expressions have only the functions of the reference")
#define NOT_YET_CONDITIONAL NOT_YET_GUARD("a policy applies to all requests or to none")
#define NOT_YET_DEFAULT_SCOPE NOT_YET("routes must name the Gateway")
#define NOT_YET_USE_DEFAULT_GATEWAYS NOT_YET("the route is for the Gateways that parentRefs names")
#define NOT_YET_REQUEST_REDIRECT NOT_YET("write it under routes[].policies")
/* clang-format on */
