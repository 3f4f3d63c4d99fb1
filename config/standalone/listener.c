/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/listener.h"

#include "config/core/values/bind_address.h"
#include "config/core/values/tls_value.h"
#include "config/core/values/values.h"
#include "config/standalone/route.h"
#include "user/base/check.h"
#include "user/base/limits.h"

/* In the order of enum listener_protocol. */
static const char *const protocol_words[] = { "HTTP", "TCP", "TLS", "HTTPS" };

bool listener_has_http(const struct listener *listener)
{
	return listener->protocol == PROTOCOL_HTTP || listener->protocol == PROTOCOL_HTTPS;
}

const char *listener_protocol_word(const struct listener *listener)
{
	return protocol_words[listener->protocol];
}

/* -------------------------------------------------------------------------------- keys */

static bool decode_hostname(struct decoder *d, const struct yaml_node *node, void *ret)
{
	return (node->kind == YAML_SCALAR && (!node->text.len || span_eq(node->text, SPAN("*")))) ||
	       value_hostname(d, node, true, ret);
}

static bool decode_splice(struct decoder *d, const struct yaml_node *node, void *ret)
{
	struct listener *listener = container_of(ret, struct listener, splice_off);

	value_splice_end(d, node, &listener->splice_off, &listener->is_same_host);
	return true;
}

bool standalone_tunnel(struct decoder *d, const struct yaml_node *node, void *ret)
{
	static const char *const words[] = { "direct", "proxy", "hboneWaypoint", "hboneGateway", "connect" };
	const struct standalone *s = d->style;
	unsigned index = 0;

	if (!DECODE_WORD(d, node, words, &index))
		return true;
	if (index == 4)
		config_error(d->report, node,
			     "tunnelProtocol connect is not supported yet: without it no tunnel leads to a "
			     "listener of this file. Write direct; with frontendPolicies: {connect: {mode: "
			     "route}} CONNECT leads to the backend of a route");
	else if (index > 1)
		config_error(d->report, node,
			     "tunnelProtocol %s is not supported yet: without it the clients behind the "
			     "tunnel are unknown; write direct only for a port to which clients connect "
			     "themselves",
			     words[index]);
	*(bool *)ret = index == 1 && value_trusts_proxies(d, node, &s->builder->snapshot->config);
	return true;
}

/* clang-format off */
#define NAME_ROW(text)                                                                                       \
	{ "name", AS_TEXT(struct listener, listener_name), .default_doc = "`listener<index>`", .doc = text }
#define HOSTNAME_ROW                                                                                         \
	{ "hostname", AS_TEXT(struct listener, hostname), .decode = decode_hostname, .default_doc = "any",   \
	  .value_doc = "`a.example.com`, `*.example.com`", .doc = "HTTP: of the request, TLS: SNI" }
#define NAMESPACE_ROW(object, at, text)                                                                      \
	{ "namespace", AS_TEXT(object, at gateway_namespace), .default_text = "default", .doc = text }
#define PROTOCOL_ROWS(object, otherwise)                                                                     \
	{ "protocol", AS_REST(object), .default_doc = otherwise,                                             \
	  .value_doc = "`HTTP`, `HTTPS`, `TCP`, `TLS`",                                                      \
	  .doc = "`HTTPS` needs `tls`; `TLS` with `tls` is terminated, without `tls` it is passed "          \
		 "through; both by SNI" },                                                                   \
	{ "tls", AS_REST(object), .value_doc = "map", .doc = "certificates: [below](#listenerstls)" }
#define LIMIT_ROWS(object, at)                                                                               \
	{ "maxConnections", AS_OPT_U64(object, at max_connections), RANGE(1, LIMIT_CONNECTIONS),             \
	  .default_doc = "no own limit", .doc = "extension: further connections are refused" },              \
	{ "splice", AS_BOOL(object, at splice_off), .decode = decode_splice,                                 \
	  .value_doc = "`auto`, `off`, `sameHost`", .default_doc = "`auto`",                                 \
	  .doc = "extension: `off` keeps all its routes out of the kernel lanes; `sameHost` allows the "     \
		 "lanes `direct` and `bypass` for clients on this host" }
/* clang-format on */

/* clang-format off */
#define LISTENER_POLICY(name, policy_kind, why)                                                              \
	{ name, AS_REST(struct listener), .refusal = (why), .is_hidden = true },
/* clang-format on */

static const struct schema_row bind_listener_rows[] = {
	NAME_ROW("name for policies and the log"),
	NAMESPACE_ROW(struct listener, , "of the gateway that policies refer to"),
	HOSTNAME_ROW,
	PROTOCOL_ROWS(struct listener, "`HTTP`"),
	{ "routes", AS_REST(struct listener), .child = &route_schema,
	  .doc = "required for HTTP and HTTPS, only there: [below](#routes)" },
	{ "tcpRoutes", AS_REST(struct listener), .child = &tcp_route_schema,
	  .doc = "required for TCP and TLS, only there: [below](#tcproutes)" },
	LIMIT_ROWS(struct listener, ),
	{ "policies", AS_REST(struct listener), .value_doc = "map",
	  .doc = "policies that decide before a route is chosen: `cors`, `jwtAuth`, `basicAuth`, `apiKey`, "
		 "`authorization`" },
	{ "gatewayName", .refusal = NOT_YET_GATEWAY_NAME },
};
const struct schema bind_listener_schema = SCHEMA(bind_listener_rows, struct listener);

#define NAMESPACE_DOC "extension: of the gateway that policies refer to"
#define GATEWAY_POLICIES                                                                                     \
	"is a key of the older form `binds`; write its members here, without policies: those that act "      \
	"before a route is chosen"
#define NESTED_ROUTES "belongs to the top level; move it there, with gateways: [NAME]"

static const struct schema_row gateway_listener_rows[] = {
	NAME_ROW("name for references: `gateway/listener`"),
	HOSTNAME_ROW,
	PROTOCOL_ROWS(struct listener, "`HTTPS` with `tls`, otherwise `HTTP`"),
	NAMESPACE_ROW(struct listener, , NAMESPACE_DOC),
	LIMIT_ROWS(struct listener, ),
#include "config/standalone/listener_policies.def"
	{ "policies", .refusal = GATEWAY_POLICIES },
	{ "routes", .refusal = NESTED_ROUTES },
	{ "tcpRoutes", .refusal = NESTED_ROUTES },
};
#undef LISTENER_POLICY
const struct schema gateway_listener_schema = SCHEMA(gateway_listener_rows, struct listener);

static const struct schema_row gateway_rows[] = {
	{ "port", AS_U16(struct gateway_port, port), RANGE(1, UINT16_MAX),
	  .need = "write the port to listen on, as in port: 8080",
	  .doc = "unique on its address, as under `binds`" },
	{ "bind", AS_REST(struct gateway_port), .value_doc = "IP address", .default_doc = "all addresses",
	  .doc = BIND_ADDRESS_DOC },
	{ "tunnelProtocol", AS_BOOL(struct gateway_port, is_proxied), .decode = standalone_tunnel,
	  .value_doc = "`direct`, `proxy`", .default_doc = "`direct`", .doc = "extension: " TUNNEL_DOC },
	{ "listeners", AS_REST(struct gateway_port), .child = &gateway_listener_schema,
	  .value_doc = "list of 1..65536", .default_doc = "one, with the keys below and the gateway's name",
	  .doc = "several, with different host names, which then have the keys below" },
	PROTOCOL_ROWS(struct gateway_port, "`HTTPS` with `tls`, otherwise `HTTP`"),
	NAMESPACE_ROW(struct gateway_port, listener., NAMESPACE_DOC),
	LIMIT_ROWS(struct gateway_port, listener.),
/* clang-format off */
#define LISTENER_POLICY(name, policy_kind, why)                                                              \
	{ name, AS_REST(struct gateway_port), .refusal = (why), .is_hidden = true },
/* clang-format on */
#include "config/standalone/listener_policies.def"
#undef LISTENER_POLICY
	{ "policies", .refusal = GATEWAY_POLICIES },
	{ "hostname", .refusal = "belongs to a listener; write listeners: [{name: ..., hostname: ...}]" },
	{ "routes", .refusal = NESTED_ROUTES },
	{ "tcpRoutes", .refusal = NESTED_ROUTES },
};
const struct schema gateway_schema =
	SCHEMA(gateway_rows, struct gateway_port, .example = "port: 8080, indented below it");

/* -------------------------------------------------------------------------------- protocol */

static void decode_tls(struct decoder *d, const struct yaml_node *tls, struct listener *listener)
{
	if (listener->protocol == PROTOCOL_HTTP || listener->protocol == PROTOCOL_TCP)
		config_error_key(d->report, tls,
				 "protocol %s cannot have tls; remove it, or write protocol: %s",
				 listener_protocol_word(listener),
				 listener->protocol == PROTOCOL_HTTP ? "HTTPS" : "TLS");
	else
		listener->tls = schema_decode_new(d, tls, &listener_tls_schema);
}

bool standalone_listener_protocol(struct standalone *s, const struct yaml_node *node, bool by_tls,
				  struct listener *listener)
{
	const struct yaml_node *written = decode_get(node, "protocol"), *tls = decode_get(node, "tls");
	struct decoder *d = s->decoder;
	unsigned index = by_tls && tls ? PROTOCOL_HTTPS : PROTOCOL_HTTP;

	if (written &&
	    (!value_protocol_supported(d, written) || !DECODE_WORD(d, written, protocol_words, &index)))
		return false;
	listener->protocol = (enum listener_protocol)index;
	if (listener->protocol == PROTOCOL_HTTPS && !tls)
		config_error(d->report, written,
			     "HTTPS listener requires 'tls'; write tls: {cert: PATH, key: PATH}");
	if (tls)
		decode_tls(d, tls, listener);
	if (listener->protocol == PROTOCOL_TCP && listener->hostname.len)
		config_error_key(d->report, decode_get(node, "hostname"),
				 "plain TCP carries no host name; remove hostname, or use protocol: TLS");
	return true;
}

/* -------------------------------------------------------------------------------- one port */

bool standalone_take_address(struct standalone *s, struct bind *bind)
{
	/* Without a valid port there is nothing to compare. */
	if (!bind->port)
		return true;
	if (name_map_get(&s->addresses, bind->key))
		return false;
	name_map_put(s->decoder, &s->addresses, bind->key, bind);
	return true;
}

bool standalone_listener_list(struct decoder *d, const struct yaml_node *list)
{
	if (!decode_list(d, list))
		return false;
	if (list->count > 0 && list->count <= LIMIT_CONFIG_LISTENERS)
		return true;
	config_error(d->report, list, "a port needs 1 to %d listeners, this one has %u; write %s",
		     LIMIT_CONFIG_LISTENERS, list->count, list->count ? "fewer" : "one, as in [{name: web}]");
	return false;
}

struct bind *standalone_bind(struct standalone *s, const struct yaml_node *node, uint16_t port,
			     uint32_t listener_count)
{
	const struct yaml_node *written = decode_get(node, "bind");
	struct decoder *d = s->decoder;
	struct bind *bind = build_bind(s->builder);
	struct address address;

	if (!bind || (written && !bind_address_decode(d, written, "bind: 127.0.0.1", &address)))
		return NULL;
	bind->port = port;
	build_bind_address(s->builder, bind, written ? &address : NULL);
	bind->listener_list = decode_take(d, listener_count, sizeof(*bind->listener_list));
	if (!bind->listener_list)
		return NULL;
	bind->listener_count = listener_count;
	return bind;
}

static void check_hostname(struct decoder *d, const struct bind *bind, struct name_map *names,
			   const struct listener *listener)
{
	if (!name_map_get(names, listener->hostname)) {
		name_map_put(d, names, listener->hostname, (void *)listener);
		return;
	}
	config_message_at(d->report, CONFIG_ERROR, listener->where,
			  "port %u has another listener for %s; give each its own hostname", bind->port,
			  listener->hostname.len ? QUOTE(listener->hostname) : "all host names");
}

static void check_listener(struct decoder *d, struct bind *bind, struct name_map *names,
			   const struct listener *listener)
{
	static const enum bind_protocol protocol_of[] = {
		[PROTOCOL_HTTP] = BIND_HTTP,
		[PROTOCOL_TCP] = BIND_TCP,
		[PROTOCOL_TLS] = BIND_TLS,
		[PROTOCOL_HTTPS] = BIND_TLS,
	};
	const struct name_entry *entry = names->entries.count ? names->entries.list[0] : NULL;
	const struct listener *first = entry ? entry->value : NULL;

	if (!first)
		bind->protocol = protocol_of[listener->protocol];
	if (protocol_of[listener->protocol] != bind->protocol)
		config_message_at(
			d->report, CONFIG_ERROR, listener->where,
			"port %u has listeners of protocol %s and %s; give one of them its own port",
			bind->port, listener_protocol_word(first), listener_protocol_word(listener));
	else if (listener->protocol == PROTOCOL_TCP && first)
		config_message_at(d->report, CONFIG_ERROR, listener->where,
				  "port %u has more than one TCP listener; give each its own port",
				  bind->port);
	else
		check_hostname(d, bind, names, listener);
}

void standalone_check_listeners(struct standalone *s, struct bind *bind)
{
	struct name_map names = { 0 };

	for (uint32_t i = 0; i < bind->listener_count; i++)
		if (bind->listener_list[i].where.len)
			check_listener(s->decoder, bind, &names, &bind->listener_list[i]);
	name_map_done(&names);
}
