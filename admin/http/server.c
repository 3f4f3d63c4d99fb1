/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/http/server.h"

#include <errno.h>
#include <stdlib.h>

#include "admin/http/conn.h"
#include "admin/http/endpoints.h"
#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/base/text.h"
#include "user/net/listen.h"
#include "user/net/listener.h"
#include "user/net/socket.h"

enum {
	ADMIN_BACKLOG = 128,
	ADMIN_UNIX_MODE = 0600, /* every client that can connect can stop the gateway */
	ADMIN_STALL_MS = 100, /* an active reader takes some bytes in this time, even across an ocean */
};

struct admin_server;

struct admin_listener {
	struct net_listener listener;
	struct admin_server *server;
};

/* One port: a name, up to two addresses, its connections. */
struct admin_server {
	struct admin *admin;
	enum admin_port port;
	struct admin_owner owner;
	struct admin_listener listeners[ADMIN_ADDRESSES_PER_PORT];
	size_t listener_count;
	struct admin_conn *conns[LIMIT_ADMIN_CONNECTIONS]; /* in order of arrival */
	size_t conn_count;
};

struct admin {
	struct loop *loop; /* borrowed */
	const struct admin_hooks *hooks; /* borrowed */
	struct admin_addresses addresses;
	struct admin_server servers[ADMIN_PORT_COUNT];
};

static const char *admin_port_name(enum admin_port port)
{
	static const char *const names[ADMIN_PORT_COUNT] = { "admin", "stats", "readiness" };

	return names[port];
}

const struct admin_hooks *admin_hooks_of(const struct admin *admin)
{
	return admin->hooks;
}

const struct admin_addresses *admin_addresses_in_use(const struct admin *admin)
{
	return &admin->addresses;
}

/* ---- addresses */

void admin_addresses_of(const struct static_config *config, struct admin_addresses *ret_addresses)
{
	static const char *const variables[ADMIN_PORT_COUNT] = { "ADMIN_ADDR", "STATS_ADDR",
								 "READINESS_ADDR" };
	struct span configured[ADMIN_PORT_COUNT] = { config->admin_addr, config->stats_addr,
						     config->readiness_addr };

	for (size_t i = 0; i < ADMIN_PORT_COUNT; i++) {
		const char *value = getenv(variables[i]);

		ret_addresses->text[i] = value && *value ? span_str(value) : configured[i];
	}
	ret_addresses->ipv6_enabled = config->ipv6_enabled;
}

static int parse_localhost(struct span port_text, struct address *ret_list)
{
	uint64_t port;

	if (port_text.len > 5 || span_parse_u63(port_text, &port) != 0 || port > UINT16_MAX)
		return -EINVAL;
	if (address_parse_ip(SPAN("127.0.0.1"), (uint16_t)port, &ret_list[0]) != 0)
		return -EINVAL;
	return address_parse_ip(SPAN("::1"), (uint16_t)port, &ret_list[1]);
}

int admin_address_parse(struct span text, struct address ret_list[ADMIN_ADDRESSES_PER_PORT],
			size_t *ret_count)
{
	static const char localhost[] = "localhost:";
	bool is_localhost = span_starts(text, span_str(localhost));
	int error;

	if (text.len == 0 || span_eq(text, SPAN("off"))) {
		*ret_count = 0;
		return 0;
	}
	if (is_localhost)
		error = parse_localhost(span_from(text, sizeof(localhost) - 1), ret_list);
	else
		error = address_parse(text, &ret_list[0]);
	if (!error)
		*ret_count = is_localhost ? 2 : 1;
	return error;
}

/* ---- connections */

static void server_forget(void *context, struct admin_conn *conn)
{
	struct admin_server *server = context;
	size_t at = 0;

	while (at < server->conn_count && server->conns[at] != conn)
		at++;
	CHECK(at < server->conn_count);
	server->conn_count--;
	memmove(&server->conns[at], &server->conns[at + 1],
		(server->conn_count - at) * sizeof(server->conns[0]));
}

static void server_on_request(void *context, struct admin_conn *conn, const struct request_head *head)
{
	struct admin_server *server = context;

	endpoints_serve(server->admin, server->port, conn, head);
}

/* Closes the oldest connection in this state. */
static bool server_evict(struct admin_server *server, enum http1_server_state state)
{
	for (size_t i = 0; i < server->conn_count; i++) {
		if (server->conns[i]->http.state == state) {
			http1_server_close(&server->conns[i]->http);
			return true;
		}
	}
	return false;
}

/* Closes the client that has taken no byte of a running response for longest. */
static bool server_evict_stalled(struct admin_server *server)
{
	struct admin_conn *stalled = NULL;
	uint64_t most_ms = ADMIN_STALL_MS;

	for (size_t i = 0; i < server->conn_count; i++) {
		struct admin_conn *conn = server->conns[i];
		uint64_t waits_ms = http1_server_waits_ms(&conn->http);

		if (conn->http.state == HTTP1_SERVER_SEND && waits_ms >= most_ms) {
			stalled = conn;
			most_ms = waits_ms + 1;
		}
	}
	if (stalled)
		http1_server_close(&stalled->http);
	return stalled;
}

static bool server_has_capacity(struct admin_server *server)
{
	return server->conn_count < LIMIT_ADMIN_CONNECTIONS || server_evict(server, HTTP1_SERVER_IDLE) ||
	       server_evict(server, HTTP1_SERVER_LINGER) || server_evict(server, HTTP1_SERVER_HEAD) ||
	       server_evict(server, HTTP1_SERVER_BODY) || server_evict_stalled(server);
}

/* No descriptor is left: closes an idle connection of any port. */
static bool server_evict_idle(struct net_listener *listener)
{
	struct admin *admin = container_of(listener, struct admin_listener, listener)->server->admin;

	for (enum admin_port port = 0; port < ADMIN_PORT_COUNT; port++) {
		if (server_evict(&admin->servers[port], HTTP1_SERVER_IDLE) ||
		    server_evict(&admin->servers[port], HTTP1_SERVER_LINGER))
			return true;
	}
	return false;
}

static void server_on_accept(struct net_listener *listener, int fd, const struct address *peer)
{
	struct admin_listener *own = container_of(listener, struct admin_listener, listener);
	struct admin_server *server = own->server;
	struct admin_conn *conn;

	if (!server_has_capacity(server))
		socket_close(fd);
	else if (admin_conn_start(server->admin->loop, fd,
				  address_is_unix(&listener->local) ? &listener->local : peer, &server->owner,
				  &conn) == 0)
		server->conns[server->conn_count++] = conn;
}

/* ---- start and stop */

static int listen_fd(const struct admin_hooks *hooks, const struct address *address, int *ret_fd)
{
	if (address_is_unix(address))
		return net_listen_open_unix(address, ADMIN_UNIX_MODE, ADMIN_BACKLOG, ret_fd);
	*ret_fd = hooks->take_listener ? hooks->take_listener(hooks->context, address) : -1;
	return *ret_fd < 0 ? net_listen_open(address, ADMIN_BACKLOG, ret_fd) : 0;
}

static bool is_no_family(int error)
{
	return error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL;
}

static int server_listen(struct admin_server *server, const struct address *address)
{
	struct admin_listener *own = &server->listeners[server->listener_count];
	int fd, error = listen_fd(server->admin->hooks, address, &fd);

	if (error)
		return error;
	own->server = server;
	error = net_listener_start(&own->listener, server->admin->loop, fd, server_on_accept);
	if (error) {
		socket_close(fd);
		return error;
	}
	own->listener.make_room = server_evict_idle;
	server->listener_count++;
	return 0;
}

static bool is_any_v6(const struct address *address)
{
	struct address any;

	address_set_any(&any, true, address_port(address));
	return address_eq(address, &any);
}

/* "[::]:port" falls back to 0.0.0.0 on a host without IPv6. */
static int server_listen_any(struct admin_server *server, const struct address *address)
{
	bool is_any = is_any_v6(address);
	int error = is_any && !server->admin->addresses.ipv6_enabled ? -EAFNOSUPPORT
								     : server_listen(server, address);
	struct address any_v4;

	if (!is_any || !is_no_family(error))
		return error;
	address_set_any(&any_v4, false, address_port(address));
	return server_listen(server, &any_v4);
}

static void explain(const struct admin_server *server, struct span text, struct text *error)
{
	text_fmt(error, "%s address \"", admin_port_name(server->port));
	text_escaped(error, text);
	text_str(error, "\": ");
}

static int server_start(struct admin_server *server, struct span text, struct text *error)
{
	struct address list[ADMIN_ADDRESSES_PER_PORT];
	size_t count = 0;
	int result = admin_address_parse(text, list, &count);

	if (result) {
		explain(server, text, error);
		text_str(error, "write ip:port, [ipv6]:port, localhost:port, unix:/path or off");
		return result;
	}
	if (count > 1 && !server->admin->addresses.ipv6_enabled)
		count = 1;
	for (size_t i = 0; i < count; i++) {
		result = server_listen_any(server, &list[i]);
		if (result && i > 0 && is_no_family(result))
			continue;
		if (result) {
			explain(server, text, error);
			net_listen_explain(&list[i], result, error);
			return result;
		}
	}
	return 0;
}

static void server_init(struct admin *admin, enum admin_port port)
{
	struct admin_server *server = &admin->servers[port];

	server->admin = admin;
	server->port = port;
	server->owner = (struct admin_owner){ server, server_on_request, server_forget };
}

int admin_start(struct loop *loop, const struct admin_hooks *hooks, const struct admin_addresses *addresses,
		struct text *error, struct admin **ret_admin)
{
	struct admin *admin = hg_calloc(1, sizeof(*admin));
	int result = 0;

	if (!admin)
		return -ENOMEM;
	admin->loop = loop;
	admin->hooks = hooks;
	admin->addresses = *addresses;
	for (enum admin_port port = 0; port < ADMIN_PORT_COUNT && !result; port++) {
		server_init(admin, port);
		result = server_start(&admin->servers[port], addresses->text[port], error);
	}
	if (result) {
		admin_stop(admin);
		return result;
	}
	*ret_admin = admin;
	return 0;
}

static void server_stop(struct admin_server *server)
{
	for (size_t i = 0; i < server->listener_count; i++) {
		struct net_listener *listener = &server->listeners[i].listener;

		net_listen_unlink(&listener->local);
		net_listener_stop(listener);
	}
	server->listener_count = 0;
	while (server->conn_count)
		http1_server_close(&server->conns[server->conn_count - 1]->http);
}

void admin_stop(struct admin *admin)
{
	if (!admin)
		return;
	for (enum admin_port port = 0; port < ADMIN_PORT_COUNT; port++)
		server_stop(&admin->servers[port]);
	hg_free(admin);
}

int admin_local_address(const struct admin *admin, enum admin_port port, struct address *ret_address)
{
	const struct admin_server *server = &admin->servers[port];

	if (server->listener_count == 0)
		return -ENOENT;
	*ret_address = server->listeners[0].listener.local;
	return 0;
}

void admin_log_addresses(const struct admin *admin)
{
	static const char *const names[] = { [ADMIN_PORT_ADMIN] = "admin",
					     [ADMIN_PORT_STATS] = "stats",
					     [ADMIN_PORT_READINESS] = "readiness" };

	for (enum admin_port port = 0; port < ADMIN_PORT_COUNT; port++) {
		struct address address;
		struct text out;

		if (admin_local_address(admin, port, &address) < 0)
			continue;
		text_init(&out);
		address_format(&address, &out);
		log_info("%s server listens on %.*s", names[port], SPAN_FMT(text_span(&out)));
		text_done(&out);
	}
}
