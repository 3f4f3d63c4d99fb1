/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include "config/model_auth.h"
#include "config/model_balance.h"
#include "config/model_breaker.h"
#include "config/model_callout.h"
#include "config/model_direct.h"
#include "config/model_fetch.h"
#include "config/model_frontend.h"
#include "config/model_guard.h"
#include "config/model_health.h"
#include "config/model_mcp.h"
#include "config/model_otlp.h"
#include "config/model_static.h"
#include "config/model_status.h"
#include "config/model_tls.h"
#include "config/model_transform.h"
#include "user/base/arena.h"
#include "user/base/h2_flood_kind.h"
#include "user/base/span.h"
#include "user/net/address.h"

/*
 * The configuration that all other modules read: one immutable tree, independent of the style of its files.
 * All memory belongs to the snapshot's arena; the pointers and spans below are borrowed from it. Arrays
 * x_list have a length x_count, and are sorted by key if the objects have one. Nothing changes after
 * policy_compile().
 *
 * `where` members contain "FILE:LINE:COLUMN: path" for messages of policy_compile(); they may be empty.
 */

/* -------------------------------------------------------------------------------- policy values */

/* Labels of the metrics of requests, as in the whole process. */
struct metrics_policy {
	struct header_pair *add_list; /* their values are expressions, as written */
	const struct expression **add_expressions;
	uint32_t add_count;
	uint32_t needs; /* enum expression_needs, of all its expressions */
};

struct timeout_policy {
	struct opt_duration request; /* 0: off */
	struct opt_duration backend_request; /* 0: off */
};

struct retry_policy {
	uint32_t attempts; /* retries after the first attempt, 0..254; 0 overrides weaker levels */
	struct opt_duration backoff; /* unset: immediately */
	uint16_t *code_list; /* 100..999 */
	uint32_t code_count;
	struct span precondition_text; /* about the request, as written; empty: always */
	const struct expression *precondition; /* NULL: requests of all kinds are retried */
	struct span condition_text; /* about a response, as written; empty: `code_list` decides alone */
	const struct expression *condition; /* NULL: none */
};

/* An injected delay before the request is answered or sent to a backend. */
struct delay_policy {
	struct span text; /* as in the dump: "2s", or the expression as written */
	uint64_t ns; /* without an expression; 0: none */
	/* NULL: use ns. Its value is a duration, or a number of milliseconds */
	const struct expression *expression;
};

struct header_modifier {
	struct header_pair *add_list;
	uint32_t add_count;
	struct header_pair *set_list;
	uint32_t set_count;
	struct span *remove_list; /* lower case */
	uint32_t remove_count;
};

enum authority_rewrite {
	AUTHORITY_KEEP, /* not configured: a named backend sets its own name */
	AUTHORITY_FULL,
	AUTHORITY_HOST,
	AUTHORITY_PORT,
	AUTHORITY_AUTO,
	AUTHORITY_NONE,
};

enum path_rewrite {
	PATH_KEEP,
	PATH_FULL,
	PATH_PREFIX,
};

struct url_rewrite {
	enum authority_rewrite authority_kind;
	struct span authority; /* FULL, HOST */
	uint16_t port; /* PORT */
	enum path_rewrite path_kind;
	struct span path;
};

/* The host that a backend gets, unless a URL rewrite sets it. */
struct host_rewrite {
	enum authority_rewrite kind; /* AUTO or NONE */
};

struct redirect_policy {
	struct span scheme; /* empty: keep */
	struct url_rewrite url;
	uint16_t status;
};

struct mirror_policy {
	struct backend *backend; /* borrowed from the snapshot; NULL if it could not be resolved */
	struct backend_ref *ref; /* as written, for the dump */
	uint32_t per_million; /* share of requests */
};

/* The HTTP version for a backend. */
enum backend_http_version {
	BACKEND_HTTP_AUTO, /* not configured: HTTP/2 for gRPC calls, HTTP/1.1 otherwise */
	BACKEND_HTTP1,
	BACKEND_HTTP2, /* without negotiation ("prior knowledge", RFC 9113 3.3) */
};

struct backend_http {
	enum backend_http_version version;
	struct opt_duration request_timeout;
};

struct backend_tcp {
	struct keepalive_policy keepalives;
	bool has_keepalives; /* false: config.backend.keepalives apply */
	struct opt_duration connect_timeout; /* unset: config.backend.connectTimeout */
	bool connect_timeout_as_object; /* written as {secs, nanos}, and dumped so */
};

/* Connections to it begin with a header of the PROXY protocol. */
struct backend_proxy {
	enum proxy_versions version; /* one of the two */
};

enum policy_kind {
#define POLICY_KIND(id, section, dump_name, type) POLICY_##id,
#include "config/policy_kinds.def"
#undef POLICY_KIND
	POLICY_KIND_COUNT,
};

enum policy_section {
	SECTION_FRONTEND,
	SECTION_TRAFFIC,
	SECTION_BACKEND,
};

/* One policy of one kind. `object` points at the struct of that kind (policy_kinds.def). */
struct policy_value {
	enum policy_kind kind;
	const void *object;
};

struct policy_values {
	struct policy_value *value_list; /* in the order of the dump */
	uint32_t value_count;
};

/* -------------------------------------------------------------------------------- attached policies */

enum target_kind {
	TARGET_GATEWAY,
	TARGET_ROUTE,
	TARGET_BACKEND, /* a named backend */
	TARGET_SERVICE,
	TARGET_LISTENER_SET, /* of Gateway API: listeners that it adds to a gateway */
};

struct policy_target {
	enum target_kind kind;
	struct span name; /* gateway name, route name, backend name, service host name */
	struct span namespace;
	struct span section; /* listener name, rule name, name of an MCP target; empty: null */
	struct span route_kind; /* empty: not configured */
	/* Key of the only listener, for a policy that is written at it; empty: all that `section` names */
	struct span listener_key;
	uint16_t port; /* of a service or gateway; 0: all */
	/*
	 * Namespace of the target object. Differs from `namespace` only if a policy names a Gateway that
	 * does not exist in its own namespace, and exactly one Gateway of that name exists in another.
	 */
	struct span attach_namespace;
};

struct targeted_policy {
	struct span key;
	bool has_name;
	struct span name_kind;
	struct span name;
	struct span namespace;
	struct policy_target target;
	bool is_gateway_phase; /* traffic policies only: phase gateway instead of route */
	struct policy_value value;
	int64_t created_s; /* metadata.creationTimestamp, seconds since the epoch; INT64_MAX if absent */
	bool is_attached; /* its target exists */
	/*
	 * set by policy_compile(): another policy of the same level sets the same; the lost members if
	 * members merge
	 */
	struct span lost_to; /* key of that policy; empty: nothing is lost */
	struct span *lost_list;
	uint32_t lost_count;
	struct span where;
};

/* -------------------------------------------------------------------------------- backends */

enum backend_kind {
	BACKEND_HOST, /* a name or literal address, from host: */
	BACKEND_UNIX,
	BACKEND_SERVICE, /* Kubernetes Service with its endpoints */
	BACKEND_MCP, /* a service of this process: user/mcp */
	BACKEND_DYNAMIC, /* the host of each request; its endpoint is only a placeholder */
	BACKEND_INVALID, /* 500: does not exist or must not be referenced */
};

struct endpoint_health; /* policy/health.h */
struct health_group;

struct endpoint {
	struct span text; /* "10.0.0.1:8000", "name:80" */
	bool is_resolved; /* address is literal */
	bool is_inner; /* no address: a service of this process, found by `text` */
	struct address address;
	struct span host; /* name to resolve unless is_resolved */
	uint16_t port;
	uint32_t weight; /* its share of the requests of its group; 0: only requests of its sessions */
	uint32_t priority; /* 0 is the first: struct endpoint_groups */
	struct span zone; /* empty: unknown */
	/* Zones whose clients should use it (EndpointSlice hints.forZones), instead of `zone`. */
	const struct span *hint_list;
	uint32_t hint_count;
	/* Shared by all snapshots and workers; the snapshot has one reference. NULL: no health policy. */
	struct endpoint_health *health;
	/* Its connections in use, a part of those of the backend; as above. NULL: no policy limits them. */
	struct quota *quota;
};

/* The endpoints that a copy of a snapshot has in place of those that were loaded; immutable, shared. */
struct endpoint_block {
	atomic_uint refs;
	/* Before it is freed; NULL: nothing is attached. */
	void (*release)(struct endpoint_block *block); /* health */
	void (*release_counts)(struct endpoint_block *block);
	uint32_t count;
	struct endpoint list[];
};

/* A target of requests or connections. One object per distinct target of the snapshot. */
struct backend {
	uint32_t index; /* dense, 0..backend_count-1 */
	enum backend_kind kind;
	struct span name; /* "…/backend0", "httpbin/httpbin.httpbin.svc.cluster.local" */
	struct span namespace; /* dumped for host backends: "" */
	struct span target; /* "127.0.0.1:8000", as written */
	bool is_listed; /* listed under `backends` in the dump */
	/* a host given by name: Host becomes `authority` unless urlRewrite sets another */
	bool rewrites_host;
	struct span authority; /* "name:port", or "name" for port 80 */
	/* Those of the backend_list of the snapshot in use are current: snapshot_backend(). */
	struct endpoint *endpoint_list; /* sorted by endpoint_order() */
	uint32_t endpoint_count;
	struct endpoint_groups groups; /* by priority; set by endpoint_order() */
	/* The same with the gateway's own zone first within a priority; none: as `groups`. */
	struct endpoint_groups zone_groups;
	bool prefers_zone; /* of a Service: all its endpoints have hints */
	bool is_hashed; /* a reference chooses by hash; set by policy_compile(), like the next ones */
	uint32_t hash_slots; /* wanted of the tables */
	bool has_sessions; /* a rule has sessions with its endpoints */
	struct session_tag *tag_list; /* of its endpoints, sorted by tag; NULL: nobody needs them */
	uint64_t slow_start_ms; /* longest of its references, for /endpoints */
	bool has_endpoint_keys; /* `endpoints` in a file: the dump shows them */
	uint16_t service_port; /* of a Service of Kubernetes, otherwise 0 */
	bool has_endpoint_fault; /* a message was reported about the objects with its endpoints */
	bool resolves_if_empty; /* without an endpoint, its name is resolved: MCP servers need one */
	enum backend_http_version http_version; /* appProtocol of the Service port */
	bool needs_tls; /* the same: requires a policy with TLS settings, otherwise it gets no requests */
	bool splice_off; /* excluded from the kernel lanes */
	bool is_same_host; /* the same-host lanes are allowed if its process runs on this host */
	struct policy_values inline_policies;
	struct span invalid_reason; /* BACKEND_INVALID */
	const struct mcp_servers *mcp; /* BACKEND_MCP, otherwise NULL */
	/* BACKEND_DYNAMIC: addresses that it may reach although they are this host's, or link-local */
	struct cidr *allowed_list;
	uint32_t allowed_count;
	uint64_t forward_key; /* BACKEND_DYNAMIC: hash of these rules, not 0 */
	/* Its endpoints together: policy/health_group.h. The snapshot's; NULL: nothing needs it. */
	struct health_group *health_group;
	/* Its connections in use in the process: user/gateway/backend_counts.h; NULL: not counted. */
	struct quota *quota;
	bool counts_endpoints; /* and of each endpoint: circuitBreaker.perEndpoint */
};

struct backend_ref {
	uint64_t weight; /* 0: never chosen */
	/* as written, for the dump: exactly one of service_name, backend_name, or is_invalid */
	struct span service_name; /* "httpbin/httpbin.httpbin.svc.cluster.local" */
	uint16_t service_port;
	struct span backend_name; /* "/default/…/backend0" */
	bool is_invalid;
	struct policy_values inline_policies;
	struct policy_values filters; /* of a Gateway API backendRef */
	const struct backend *backend; /* never NULL */
	struct span where;
	/* the following members are set by policy/compile/effective */
	const struct backend_http *http; /* may be NULL */
	const struct backend_tcp *tcp; /* may be NULL */
	const struct backend_tls *tls; /* NULL: plaintext */
	struct span authority; /* of the backend; with TLS in the form of an https URL */
	const struct health_policy *health; /* may be NULL */
	const struct circuit_breaker *breaker; /* NULL: no limits of its own */
	const struct backend_proxy *proxy; /* NULL: connections begin without a PROXY header */
	const struct backend_auth_policy *auth; /* may be NULL */
	const struct transformation *transformation; /* may be NULL */
	const struct load_balancer *balancer; /* may be NULL */
	const struct affinity *affinity; /* of `balancer`, or of a policy of its own; may be NULL */
	enum backend_http_version http_version; /* of `http`, otherwise of the backend, otherwise by gRPC */
	const struct header_modifier *request_headers; /* may be NULL */
	const struct header_modifier *response_headers; /* may be NULL */
	const struct authorization_policy *mcp_rules; /* of all levels; NULL: none, or not an MCP backend */
	struct span
		mcp_rule; /* the key of the strongest policy with such rules; empty: written in the route */
	const struct url_rewrite *rewrite; /* NULL: that of the route */
	const struct redirect_policy *redirect; /* may be NULL: requests that are for this backend */
	const struct mirror_policy *const *mirror_list; /* beside those of the route */
	struct guard_list guards; /* of requests that are for this backend */
	uint32_t mirror_count;
	/* both: configured here or at the backend; off wins */
	bool splice_off;
	bool is_same_host;
};

/* -------------------------------------------------------------------------------- routes */

enum text_match_kind {
	TEXT_EXACT,
	TEXT_REGEX,
};

enum path_match_kind {
	PATH_EXACT,
	PATH_PREFIX_SEGMENTS,
	PATH_REGEX,
};

struct match_regex; /* policy/match/match.c: compiled, anchored at both ends */

struct text_match {
	struct span name; /* header: lower case or pseudo ":method"; query: as written */
	enum text_match_kind kind;
	struct span value;
	struct match_regex *regex; /* owner: the snapshot */
	struct span where;
};

struct route_match {
	enum path_match_kind path_kind;
	struct span path; /* prefix: trailing '/' as written; matches ignore it */
	struct match_regex *path_regex;
	struct span method; /* empty: any */
	struct text_match *header_list;
	uint32_t header_count;
	struct text_match *query_list;
	uint32_t query_count;
	/* GRPCRoute: lengths of service and method as written, for the precedence of its patterns */
	uint32_t grpc_service_bytes;
	uint32_t grpc_method_bytes;
	struct span where; /* of the path */
};

/* The policies of this route after precedence (policy/compile/effective). NULL: none. */
struct route_policies {
	const struct timeout_policy *timeout;
	const struct retry_policy *retry; /* NULL: none, or one without attempts */
	const struct delay_policy *delay;
	const struct header_modifier *request_headers;
	const struct header_modifier *response_headers;
	const struct url_rewrite *rewrite;
	const struct host_rewrite *host_rewrite;
	const struct redirect_policy *redirect;
	const struct direct_response *direct;
	const struct mirror_policy *const *mirror_list;
	const struct route_session *session;
	uint32_t mirror_count;
	struct guard_list guards;
};

/* A reference to a group of routes of the same listener: the best match among them serves the request. */
struct route_delegate {
	uint64_t weight;
	uint32_t group; /* struct route, `group` */
	struct span name; /* of the group, for the dump */
};

struct route {
	struct span key;
	struct span name;
	struct span namespace;
	struct span rule_name; /* empty: no name */
	uint32_t rule_index; /* in the manifest; 0 in standalone files */
	struct span kind; /* "HTTPRoute", "GRPCRoute"; empty for standalone files */
	bool is_grpc; /* GRPCRoute: its paths are /service/method, its requests are gRPC calls */
	int64_t created_s; /* metadata.creationTimestamp; 0 or INT64_MAX if absent */
	struct span *hostname_list; /* lower case */
	uint32_t hostname_count;
	struct route_match *match_list;
	uint32_t match_count;
	struct backend_ref *backend_list;
	uint32_t backend_count;
	uint64_t weight_sum; /* set by policy_compile() */
	/*
	 * Delegation: 0: a route of the listener itself; otherwise the group that it is in, which only the
	 * route with that delegate searches. Groups form a tree, so policies of the routes above are known.
	 */
	uint32_t group;
	struct route_delegate *delegate_list;
	uint32_t delegate_count;
	uint64_t delegate_sum; /* of their weights; beside weight_sum */
	struct policy_values inline_policies;
	bool splice_off;
	enum half_close half_close; /* 0: the listener's */
	bool is_refused; /* every request gets 500, without policies and backends */
	struct span where;
	struct span label; /* "namespace/name", for logs and metrics; set by policy_compile() */
	struct route_policies effective; /* set by policy_compile() */
};

struct tcp_route {
	struct span key;
	struct span name;
	struct span namespace;
	struct span rule_name;
	struct span *hostname_list; /* SNI, lower case; TLS listeners only */
	uint32_t hostname_count;
	struct backend_ref *backend_list;
	uint32_t backend_count;
	uint64_t weight_sum; /* set by policy_compile() */
	struct policy_values inline_policies; /* backendTLS */
	bool splice_off;
	struct span label; /* "namespace/name", for logs and metrics; set by policy_compile() */
	struct span kind; /* "TCPRoute", "TLSRoute"; empty for standalone files */
	int64_t created_s; /* as in struct route */
	struct span where;
};

enum listener_protocol {
	PROTOCOL_HTTP,
	PROTOCOL_TCP,
	PROTOCOL_TLS, /* by SNI: passthrough, or, with `tls`, terminated for a TCP route */
	PROTOCOL_HTTPS, /* terminates TLS */
};

struct route_table; /* policy/match/route.c: hosts and matches, sorted for look-up */
struct listener_table; /* policy/match/route.c: the host names of a bind's listeners */

struct listener {
	struct span key;
	struct span gateway_name;
	struct span gateway_namespace;
	struct span listener_name;
	struct span set_name; /* the ListenerSet that adds it; empty: the gateway itself */
	struct span set_namespace;
	struct span hostname; /* lower case; empty: any; "*.example.com" */
	enum listener_protocol protocol;
	struct listener_tls *tls; /* NULL: TLS is not terminated */
	const struct gateway_identity *client; /* client certificate of its routes for backends; NULL: none */
	struct opt_u64 max_connections;
	/*
	 * Set by policy_compile() if listeners share the port and one of them has its own policy: the idle
	 * time of connections whose last request was for this listener.
	 */
	struct opt_duration http1_idle;
	struct request_rules rules; /* set by policy_compile() */
	struct guard_list guards; /* before a route is chosen; set by policy_compile() */
	bool splice_off; /* for all its routes */
	bool is_same_host; /* the same-host lanes are allowed for clients on this host */
	struct route *route_list;
	uint32_t route_count;
	uint32_t group_count; /* groups are 1..group_count */
	struct tcp_route *tcp_route_list;
	uint32_t tcp_route_count;
	struct span gateway_label; /* "namespace/name"; set by policy_compile() */
	struct route_table *table; /* set by policy_compile(); in the arena */
	struct route_table **group_table_list; /* the same for the routes of group i + 1 */
	uint64_t regex_steps; /* per request, set by policy_compile(); 0: no limit */
	struct status_listener *status; /* of manifests, otherwise NULL */
	struct span where;
};

enum bind_protocol {
	BIND_HTTP,
	BIND_TLS, /* HTTPS and TLS listeners, chosen by SNI */
	BIND_TCP,
};

struct bind {
	struct span key; /* "bind/8080" on all addresses, "bind/127.0.0.1:8080" on one */
	uint16_t port;
	struct address address; /* configured, or [::]:port, or 0.0.0.0:port without IPv6; unique */
	struct span address_text;
	bool may_lack_address; /* of a Gateway: opened even if no interface has the address yet */
	bool is_proxied; /* tunnelProtocol: proxy */
	enum bind_protocol protocol;
	struct listener *listener_list;
	uint32_t listener_count;
	/* set by policy/compile/effective; for connections, so the same for all listeners of the bind */
	const struct frontend_http *http; /* never NULL */
	const struct frontend_tcp *tcp; /* may be NULL: keep the kernel's keepalive settings */
	const struct frontend_tls *tls; /* may be NULL; the listeners' settings include it */
	const struct frontend_connect *connect; /* may be NULL: CONNECT_DENY */
	const struct frontend_proxy *proxy; /* NULL: connections begin without a PROXY header */
	struct listener_table *table; /* set by policy_compile(); in the arena */
	/* set by policy_compile(): rules about connections of all listeners; NULL: none, or they differ */
	const struct guard_use *network;
	const struct guard_use *network_ext_authz; /* set by policy_compile(); NULL: none */
	/*
	 * set by policy_compile(): clients of this host may bypass TCP. All listeners must allow it, because
	 * the listener is not known early enough.
	 */
	bool is_same_host;
};

/* A compiled object outside the arena; config/snapshot.h. */
struct snapshot_destructor {
	struct snapshot_destructor *next;
	void (*fn)(void *object);
	void *object;
};

struct hash_map; /* user/base/hash.h */
struct session_key; /* user/auth/session_token.h */

struct snapshot {
	atomic_uint refs;
	uint64_t generation; /* 1, 2, …; 0 until the caller sets it */
	struct arena *arena; /* owner: everything below */
	struct snapshot_destructor *destructor_list; /* newest first */
	struct static_config config;
	struct bind *bind_list;
	uint32_t bind_count;
	struct targeted_policy *policy_list; /* sorted by key */
	uint32_t policy_count;
	struct backend *backend_list;
	uint32_t backend_count;
	struct span services_json; /* of a standalone file, for the dump: an array; empty: none */
	struct span workloads_json;
	bool has_secrets; /* keys, passwords: no core file, and the arena is wiped */
	bool has_users; /* basicAuth: passwords are verified */
	bool has_sessions; /* sessionPersistence of a route; set by policy_compile() */
	/* Signs sessions; the snapshot owns it, outside the arena. NULL: there are none (only in tests). */
	const struct session_key *session_key;
	struct fetch_source *fetch_list;
	uint32_t fetch_count;
	struct callout_target *callout_list; /* helper services of policies */
	uint32_t callout_count;
	const struct access_log_policy *access_log; /* may be NULL */
	const struct metrics_policy *metrics; /* may be NULL */
	const struct tracing_policy *tracing; /* may be NULL */
	const struct kept_object *kept_list;
	struct status_object *status_list; /* of manifests, by kind; NULL: none */
	struct hash_map *tls_identities; /* for the next load, config/core/values/tls_files.h; may be NULL */
	struct certificate_entry *certificate_list; /* set by policy_compile(); sorted by expiry */
	uint32_t certificate_count;
	/* Of a copy with other endpoints (snapshot_copy()): */
	struct snapshot *base; /* one reference: has the arena; NULL: this is no copy */
	struct endpoint_block **block_list; /* owner; one reference each; by backend, NULL: as loaded */
};
