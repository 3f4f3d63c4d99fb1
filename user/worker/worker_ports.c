/* SPDX-License-Identifier: Apache-2.0 */
#include "user/worker/worker_ports.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "user/base/failpoint.h"
#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/mem.h"
#include "user/net/listener.h"
#include "user/net/socket.h"
#include "user/client/client_accept.h"
#include "user/restart/stream/resume.h"
#include "user/client/evict.h"

/*
 * Time for the last segment of handshakes under way: a round trip within a continent. More would only delay
 * clients that connect now: their SYN is repeated after a second.
 */
enum { WORKER_PORTS_GRACE_MS = 50, WORKER_PORTS_RETRY_MS = 1000 };

struct worker_port {
	struct list node;
	struct net_listener listener;
	int waiting_fd; /* owner; bound, but the listener could not be started with it; otherwise -1 */
	struct proxy_bind *bind; /* one reference */
	uint64_t refused_seen; /* of listener.refused_count: already counted */
	bool is_named; /* in the configuration that is being applied */
};

/* ------------------------------------------------------------------------------------ one port */

struct port_name {
	char text[ADDRESS_TEXT_BYTES + sizeof("[]:65535")];
};

/* For messages. */
static struct port_name port_name(const struct worker_port *port)
{
	const struct address *address = &port->bind->address;
	char host[ADDRESS_TEXT_BYTES];
	int len = (int)address_host_text(address, host);
	struct port_name name;

	snprintf(name.text, sizeof(name.text), address->any.sa_family == AF_INET6 ? "[%.*s]:%u" : "%.*s:%u",
		 len, host, address_port(address));
	return name;
}

static void port_on_accept(struct net_listener *listener, int fd, const struct address *peer)
{
	struct worker_port *port = container_of(listener, struct worker_port, listener);

	failpoint(ACCEPTED);
	(void)client_start(port->bind->proxy, port->bind, fd, peer, CLIENT_ACCEPTED);
}

static void port_on_pause(struct net_listener *listener)
{
	struct worker_port *port = container_of(listener, struct worker_port, listener);
	struct counters *counters = port->bind->proxy->counters;

	counter_add(counters, COUNTER_ACCEPT_PAUSES, 1);
	counter_add(counters, COUNTER_ACCEPT_REFUSED, listener->refused_count - port->refused_seen);
	port->refused_seen = listener->refused_count;
}

static bool port_evict(struct net_listener *listener)
{
	struct worker_port *port = container_of(listener, struct worker_port, listener);

	return evict_for_upstream(&port->bind->proxy->pool);
}

/*
 * Takes fd. After a failure the socket leaves its group: connections that the kernel assigned to it would
 * wait in vain.
 */
static int port_start(struct worker_ports *ports, struct worker_port *port, int fd)
{
	int error = net_listener_start(&port->listener, ports->proxy->loop, fd, port_on_accept);

	port->waiting_fd = error ? fd : -1;
	if (error) {
		shutdown(fd, SHUT_RD);
	} else {
		port->listener.on_pause = port_on_pause;
		port->listener.make_room = port_evict;
	}
	return error;
}

static void port_open(struct worker_ports *ports, struct worker_listen *listen)
{
	struct worker_port *port = listen->spare;
	struct loop *loop = ports->proxy->loop;
	int error;

	listen->spare = NULL;
	*port->bind = (struct proxy_bind){
		.proxy = ports->proxy,
		.address = listen->address,
		.refs = 1,
		.counts = listen->counts,
	};
	list_init(&port->bind->handshakes);
	list_add_tail(&ports->list, &port->node);
	error = port_start(ports, port, listen->fd);
	if (!error)
		return;
	counter_add(ports->proxy->counters, COUNTER_LISTEN_FAILURES, 1);
	log_error("worker %u cannot listen on %s: %s; trying again every %d ms", ports->proxy->index,
		  port_name(port).text, strerrordesc_np(-error), WORKER_PORTS_RETRY_MS);
	timer_arm(loop_timers(loop), &ports->retry, loop_now_ms(loop) + WORKER_PORTS_RETRY_MS);
}

static void worker_ports_try_again(struct worker_ports *ports)
{
	struct loop *loop = ports->proxy->loop;

	list_each(node, next, &ports->list) {
		struct worker_port *port = list_entry(node, struct worker_port, node);

		if (port->waiting_fd < 0)
			continue;
		if (listen(port->waiting_fd, LIMIT_LISTEN_BACKLOG) == 0 &&
		    port_start(ports, port, port->waiting_fd) == 0)
			log_info("worker %u listens on %s", ports->proxy->index, port_name(port).text);
		else
			timer_arm(loop_timers(loop), &ports->retry,
				  loop_now_ms(loop) + WORKER_PORTS_RETRY_MS);
	}
}

static void worker_ports_on_retry(struct timer *timer, uint64_t now_ms)
{
	(void)now_ms;
	worker_ports_try_again(container_of(timer, struct worker_ports, retry));
}

/* Without the filter, a connection that completes in the microseconds between flush and close is reset. */
static void port_bar(const struct worker_ports *ports, struct worker_port *port)
{
	int error = port->waiting_fd < 0 ? net_listener_bar(&port->listener, ports->syn_filter_program) : 0;

	if (error < 0 && error != -EOPNOTSUPP)
		log_warn("worker %u, %s: cannot keep new connections out while it closes: %s",
			 ports->proxy->index, port_name(port).text, strerrordesc_np(-error));
}

static void port_stop(struct worker_port *port)
{
	net_listener_stop(&port->listener);
	socket_close(port->waiting_fd);
	port->waiting_fd = -1;
}

static void port_close(struct worker_port *port)
{
	port_stop(port);
	atomic_fetch_sub(&port->bind->counts->sockets, 1);
	port->bind->bind = NULL;
	proxy_bind_unref(port->bind);
	list_remove(&port->node);
	hg_free(port);
}

/* ------------------------------------------------------------------------------------ configurations */

int worker_ports_prepare(struct worker_listen *listens, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct worker_port *spare = hg_calloc(1, sizeof(*spare));

		listens[i].spare = spare;
		if (spare)
			spare->bind = hg_calloc(1, sizeof(*spare->bind));
		if (!spare || !spare->bind) {
			worker_ports_release(listens, i + 1);
			return -ENOMEM;
		}
		spare->bind->refs = 1;
	}
	return 0;
}

void worker_ports_release(struct worker_listen *listens, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct worker_port *spare = listens[i].spare;

		if (spare && spare->bind)
			proxy_bind_unref(spare->bind);
		hg_free(spare);
		listens[i].spare = NULL;
	}
}

static struct worker_port *worker_port_of(const struct worker_ports *ports, const struct address *address)
{
	list_each(node, next, &ports->list) {
		struct worker_port *port = list_entry(node, struct worker_port, node);

		if (address_eq(&port->bind->address, address))
			return port;
	}
	return NULL;
}

/* The ports that a connection to `local` matches, in the order in which the kernel prefers them. */
enum { PORT_CHOICES = 3 };

static size_t ports_for(const struct worker_ports *ports, const struct address *local,
			struct worker_port *ret_ports[PORT_CHOICES])
{
	struct address wanted[PORT_CHOICES] = { *local };
	size_t count = 1, found = 0;

	if (local->any.sa_family == AF_INET)
		address_set_any(&wanted[count++], false, address_port(local));
	address_set_any(&wanted[count++], true, address_port(local));
	for (size_t i = 0; i < count; i++) {
		ret_ports[found] = worker_port_of(ports, &wanted[i]);
		found += ret_ports[found] != NULL;
	}
	return found;
}

static const struct bind *snapshot_bind(const struct snapshot *snapshot, const struct address *address)
{
	for (uint32_t i = 0; i < snapshot->bind_count; i++) {
		if (address_eq(&snapshot->bind_list[i].address, address))
			return &snapshot->bind_list[i];
	}
	return NULL;
}

static void worker_ports_set_status(struct worker_ports *ports, const struct worker_listen *listens,
				    size_t count)
{
	list_each(node, next, &ports->list)
		list_entry(node, struct worker_port, node)->is_named = false;
	for (size_t i = 0; i < count; i++) {
		struct worker_port *port = worker_port_of(ports, &listens[i].address);

		if (port)
			port->is_named = true;
	}
}

void worker_ports_flush_removed(struct worker_ports *ports, const struct worker_listen *listens, size_t count)
{
	worker_ports_set_status(ports, listens, count);
	list_each(node, next, &ports->list) {
		struct worker_port *port = list_entry(node, struct worker_port, node);

		if (port->is_named)
			continue;
		port_bar(ports, port);
		net_listener_flush(&port->listener);
	}
}

/* A connection with the old protocol gets no more responses, like one of a removed port. */
static void port_use(struct worker_port *port, const struct bind *bind, struct worker_listen *listen)
{
	if (port->bind->bind && port->bind->bind->protocol != bind->protocol) {
		struct proxy_bind *old = port->bind;

		port->bind = listen->spare->bind;
		listen->spare->bind = old;
		*port->bind = *old;
		port->bind->refs = 1;
		old->bind = NULL;
	}
	port->bind->bind = bind;
}

void worker_ports_apply(struct worker_ports *ports, struct worker_listen *listens, size_t count)
{
	worker_ports_try_again(ports);
	for (size_t i = 0; i < count; i++) {
		if (listens[i].fd >= 0)
			port_open(ports, &listens[i]);
	}
	worker_ports_set_status(ports, listens, count);
	list_each(node, next, &ports->list) {
		struct worker_port *port = list_entry(node, struct worker_port, node);

		if (!port->is_named)
			port_close(port);
	}
	for (size_t i = 0; i < count; i++) {
		struct worker_port *port = worker_port_of(ports, &listens[i].address);
		const struct bind *bind = snapshot_bind(ports->proxy->lease->snapshot, &listens[i].address);

		CHECK(port && bind);
		port_use(port, bind, &listens[i]);
	}
}

void worker_ports_take_over(struct worker_ports *ports, const struct address *local, int fd)
{
	struct worker_port *choices[PORT_CHOICES];
	struct worker_port *port = ports_for(ports, local, choices) ? choices[0] : NULL;
	struct restart_state *restart_state = ports->proxy->shared->restart_state;
	enum conn_status status = conn_status_of(restart_state, fd);
	struct address peer;

	/* Clear its status in any case: the descriptor number may soon be reused. */
	conn_status_set(restart_state, fd, CONN_STATUS_NONE);
	failpoint(CLIENT_TAKEN_OVER);
	/* The client has spoken plain HTTP: reset it if the port now has another protocol. */
	if (!port || !port->bind->bind || port->bind->bind->protocol != BIND_HTTP ||
	    socket_peer(fd, &peer) < 0) {
		socket_reset(fd);
		return;
	}
	address_unmap(&peer);
	if (!client_start(ports->proxy, port->bind, fd, &peer,
			  status == CONN_STATUS_IDLE_BYPASS ? CLIENT_TAKEN_OVER_BYPASS : CLIENT_TAKEN_OVER))
		atomic_fetch_add(&restart_state->not_resumed[status], status == CONN_STATUS_IDLE_BYPASS);
}

/*
 * A configuration that has changed since the stream began may have given the address of the connection to
 * another listener. A removed port has no configuration: NULL then.
 */
static struct proxy_bind *bind_of_stream(const struct worker_ports *ports, const struct address *local,
					 int client_fd)
{
	const struct restart_entry *entry = restart_entry(ports->proxy->shared->restart_state, client_fd);
	struct worker_port *choices[PORT_CHOICES];
	size_t count = ports_for(ports, local, choices);

	for (size_t i = 0; i < count; i++) {
		const struct bind *bind = choices[i]->bind->bind;

		if (entry && bind && stream_has_place(ports->proxy->lease->snapshot, bind, entry))
			return choices[i]->bind;
	}
	return count ? choices[0]->bind : NULL;
}

void worker_ports_resume_stream(struct worker_ports *ports, const struct address *local, int client_fd)
{
	struct restart_state *restart_state = ports->proxy->shared->restart_state;
	enum conn_status status = conn_status_of(restart_state, client_fd);
	struct proxy_bind *bind = bind_of_stream(ports, local, client_fd);
	struct proxy_bind gone = { 0 };

	if (!stream_resume(ports->proxy, bind ? bind : &gone, client_fd)) {
		atomic_fetch_add(&restart_state->not_resumed[status], 1);
		return;
	}
	atomic_fetch_add(status == CONN_STATUS_RESPONSE	 ? &restart_state->responses_resumed
			 : status == CONN_STATUS_WAITING ? &restart_state->requests_resumed
							 : &restart_state->tunnels_resumed,
			 1);
}

/* ------------------------------------------------------------------------------------ the end */

static void worker_ports_on_grace(struct timer *timer, uint64_t now_ms)
{
	struct worker_ports *ports = container_of(timer, struct worker_ports, grace);

	(void)now_ms;
	list_each(node, next, &ports->list) {
		struct worker_port *port = list_entry(node, struct worker_port, node);

		net_listener_flush(&port->listener);
		port_stop(port);
	}
	ports->on_closed(ports);
}

void worker_ports_close(struct worker_ports *ports)
{
	struct loop *loop = ports->proxy->loop;

	timer_cancel(loop_timers(loop), &ports->retry);
	list_each(node, next, &ports->list)
		port_bar(ports, list_entry(node, struct worker_port, node));
	timer_arm(loop_timers(loop), &ports->grace, loop_now_ms(loop) + WORKER_PORTS_GRACE_MS);
}

void worker_ports_stop(struct worker_ports *ports)
{
	timer_cancel(loop_timers(ports->proxy->loop), &ports->grace);
	timer_cancel(loop_timers(ports->proxy->loop), &ports->retry);
	list_each(node, next, &ports->list)
		port_stop(list_entry(node, struct worker_port, node));
}

void worker_ports_done(struct worker_ports *ports)
{
	worker_ports_stop(ports);
	list_each(node, next, &ports->list)
		port_close(list_entry(node, struct worker_port, node));
}

void worker_ports_init(struct worker_ports *ports, struct proxy *proxy, int syn_filter_program,
		       void (*on_closed)(struct worker_ports *ports))
{
	*ports = (struct worker_ports){
		.proxy = proxy,
		.syn_filter_program = syn_filter_program,
		.on_closed = on_closed,
	};
	list_init(&ports->list);
	timer_init(&ports->grace, worker_ports_on_grace);
	timer_init(&ports->retry, worker_ports_on_retry);
}
