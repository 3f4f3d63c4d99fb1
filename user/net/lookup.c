/* SPDX-License-Identifier: Apache-2.0 */
#include "user/net/lookup.h"

#include <ares.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/base/limits.h"
#include "user/base/mem.h"

enum { LOOKUP_SOCKETS = 16 };

struct lookup_socket {
	struct loop_source source;
	struct lookup *lookup;
};

struct lookup {
	struct loop *loop; /* borrowed */
	ares_channel channel; /* NULL if no server has to be asked */
	struct timer timer;
	struct loop_deferred end;
	struct lookup_socket sockets[LOOKUP_SOCKETS];
	void (*on_done)(void *context, int result, struct address *list, uint32_t count);
	void *context;
	bool is_localhost;
	enum lookup_family family;
	int result;
	uint32_t count;
	struct address list[LIMIT_ADDRESSES];
};

int lookup_init(void)
{
	return ares_library_init_mem(ARES_LIB_INIT_ALL, hg_malloc, hg_free, hg_realloc) ? -ENOMEM : 0;
}

/* ------------------------------------------------------------------------------------ sockets */

static ares_socket_t socket_create(int family, int type, int protocol, void *context)
{
	(void)context;
	return socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

static int socket_drop(ares_socket_t fd, void *context)
{
	(void)context;
	return close(fd);
}

static int socket_connect(ares_socket_t fd, const struct sockaddr *address, ares_socklen_t len, void *context)
{
	(void)context;
	return connect(fd, address, len);
}

static ares_ssize_t socket_receive(ares_socket_t fd, void *data, size_t len, int flags, struct sockaddr *from,
				   ares_socklen_t *from_len, void *context)
{
	(void)context;
	return recvfrom(fd, data, len, flags, from, from_len);
}

/*
 * sendmsg() may return the refusal (ICMP) of an earlier query. Send again, so that the reader gets a refusal,
 * too: it moves all queries to the next server.
 */
static ares_ssize_t socket_send(ares_socket_t fd, const struct iovec *parts, int count, void *context)
{
	struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)count };
	ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);

	(void)context;
	return sent < 0 && errno == ECONNREFUSED ? sendmsg(fd, &message, MSG_NOSIGNAL) : sent;
}

static const struct ares_socket_functions socket_functions = { socket_create, socket_drop, socket_connect,
							       socket_receive, socket_send };

/* ------------------------------------------------------------------------------------ the loop */

/* Call after c-ares ran: arms the timer for its next call. */
static void lookup_arm(struct lookup *lookup)
{
	struct timer_wheel *timers = loop_timers(lookup->loop);
	struct timeval wait;

	if (ares_timeout(lookup->channel, NULL, &wait))
		timer_arm(timers, &lookup->timer,
			  loop_now_ms(lookup->loop) +
				  (uint64_t)(wait.tv_sec * 1000 + wait.tv_usec / 1000 + 1));
	else
		timer_cancel(timers, &lookup->timer);
}

static void lookup_process(struct lookup *lookup, ares_socket_t readable, ares_socket_t writable)
{
	ares_process_fd(lookup->channel, readable, writable);
	lookup_arm(lookup);
}

static void lookup_on_event(struct loop_source *source, uint32_t events)
{
	lookup_process(container_of(source, struct lookup_socket, source)->lookup,
		       events & ~(uint32_t)EPOLLOUT ? source->fd : ARES_SOCKET_BAD,
		       events & EPOLLOUT ? source->fd : ARES_SOCKET_BAD);
}

static void lookup_on_timer(struct timer *timer, uint64_t now_ms)
{
	(void)now_ms;
	lookup_process(container_of(timer, struct lookup, timer), ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* The entry of this socket, or a free one, or NULL. */
static struct lookup_socket *lookup_place(struct lookup *lookup, int fd)
{
	struct lookup_socket *place = NULL;

	for (int i = 0; i < LOOKUP_SOCKETS; i++) {
		struct loop_source *source = &lookup->sockets[i].source;

		if (source->handle && source->fd == fd)
			return &lookup->sockets[i];
		if (!source->handle)
			place = &lookup->sockets[i];
	}
	return place;
}

/* A socket without an entry is treated like a server that does not answer. */
static void lookup_on_socket(void *context, ares_socket_t fd, int is_readable, int is_writable)
{
	struct lookup *lookup = context;
	struct lookup_socket *place = lookup_place(lookup, fd);
	uint32_t events = (is_readable ? EPOLLIN : 0u) | (is_writable ? EPOLLOUT : 0u);

	if (!place)
		return;
	if (!events) {
		loop_source_remove(lookup->loop, &place->source);
	} else if (place->source.handle) {
		(void)loop_source_modify(lookup->loop, &place->source, events);
	} else {
		place->lookup = lookup;
		loop_source_init(&place->source, fd, lookup_on_event);
		(void)loop_source_add(lookup->loop, &place->source, events);
	}
}

/* ------------------------------------------------------------------------------------ the result */

static int lookup_error(int status)
{
	switch (status) {
	case ARES_ENODATA:
	case ARES_ENOTFOUND:
	case ARES_EBADNAME:
		return -ENOENT;
	case ARES_ENOMEM:
		return -ENOMEM;
	case ARES_ECONNREFUSED:
	case ARES_EREFUSED:
	case ARES_ESERVFAIL:
	case ARES_ETIMEOUT:
		return -EAGAIN;
	default:
		return -EIO;
	}
}

const char *lookup_error_text(int error)
{
	switch (-error) {
	case ENOENT:
		return "no such name, or it has no address";
	case EAGAIN:
		return "no name server answered";
	default:
		return strerror(-error);
	}
}

static void lookup_add(struct lookup *lookup, const struct sockaddr *found, size_t len)
{
	struct address address = { .len = (socklen_t)len };

	if (lookup->count == LIMIT_ADDRESSES || len > sizeof(address.v6) ||
	    (found->sa_family != AF_INET && found->sa_family != AF_INET6))
		return;
	memcpy(&address.any, found, len);
	for (uint32_t i = 0; i < lookup->count; i++) {
		if (address_eq(&lookup->list[i], &address))
			return;
	}
	lookup->list[lookup->count++] = address;
}

static int family_of(enum lookup_family family)
{
	return family == LOOKUP_V4_ONLY ? AF_INET : family == LOOKUP_V6_ONLY ? AF_INET6 : AF_UNSPEC;
}

static void lookup_add_loopback(struct lookup *lookup)
{
	static const struct span texts[] = { SPAN("127.0.0.1"), SPAN("::1") };

	for (size_t i = lookup->family == LOOKUP_V6_ONLY; i < (lookup->family == LOOKUP_V4_ONLY ? 1 : 2); i++)
		address_parse_ip(texts[i], 0, &lookup->list[lookup->count++]);
}

/* family: AF_UNSPEC for both. */
static void lookup_add_answer(struct lookup *lookup, const struct ares_addrinfo *answer, int family)
{
	for (struct ares_addrinfo_node *node = answer->nodes; node; node = node->ai_next)
		if (family == AF_UNSPEC || node->ai_addr->sa_family == family)
			lookup_add(lookup, node->ai_addr, node->ai_addrlen);
}

static void lookup_on_end(struct loop_deferred *deferred)
{
	struct lookup *lookup = container_of(deferred, struct lookup, end);

	lookup->on_done(lookup->context, lookup->result, lookup->list, lookup->count);
	lookup_cancel(lookup);
}

/* Called from inside c-ares, where the channel must not be destroyed. */
static void lookup_on_answer(void *context, int status, int timeouts, struct ares_addrinfo *answer)
{
	struct lookup *lookup = context;

	(void)timeouts;
	if (status == ARES_EDESTRUCTION)
		return;
	if (answer && lookup->family == LOOKUP_V4_FIRST)
		lookup_add_answer(lookup, answer, AF_INET);
	if (answer) {
		lookup_add_answer(lookup, answer, family_of(lookup->family));
		ares_freeaddrinfo(answer);
	}
	if (!lookup->count && lookup->is_localhost)
		lookup_add_loopback(lookup);
	lookup->result = lookup->count ? 0 : status == ARES_SUCCESS ? -ENOENT : lookup_error(status);
	loop_again(lookup->loop, &lookup->end);
}

/* ------------------------------------------------------------------------------------ start and end */

static bool is_localhost(struct span host)
{
	struct span dotted = SPAN(".localhost");

	if (span_ends(host, SPAN(".")))
		host.len--;
	if (span_eq_nocase(host, span_from(dotted, 1)))
		return true;
	return host.len > dotted.len && span_eq_nocase(span_from(host, host.len - dotted.len), dotted);
}

static int number_of(const char *text, const char *option, int max, int otherwise)
{
	const char *found = strstr(text, option);
	long number = found ? strtol(found + strlen(option), NULL, 10) : 0;

	return number <= 0 ? otherwise : number > max ? max : (int)number;
}

static void read_options(const char *text, struct ares_options *options)
{
	options->timeout = number_of(text, "timeout:", 30, options->timeout / 1000) * 1000;
	options->tries = number_of(text, "attempts:", 5, options->tries);
	if (strstr(text, "use-vc"))
		options->flags |= ARES_FLAG_USEVC;
	if (strstr(text, "edns0"))
		options->flags |= ARES_FLAG_EDNS;
}

/* Reads timeout, attempts, use-vc and edns0 of resolv.conf(5), which c-ares 1.18 does not know. */
static void read_resolv_conf(struct ares_options *options)
{
	const char *environment = getenv("RES_OPTIONS");
	FILE *file = fopen("/etc/resolv.conf", "re");
	char line[1024];

	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "options", 7) == 0)
			read_options(line, options);
	}
	if (file)
		fclose(file);
	if (environment)
		read_options(environment, options);
}

static int lookup_open(struct lookup *lookup, const struct lookup_options *wanted)
{
	struct ares_options options = {
		.timeout = 5000,
		.tries = 2,
		.sock_state_cb = lookup_on_socket,
		.sock_state_cb_data = lookup,
		.lookups = (char[]){ "f" },
	};
	int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB |
		   (lookup->is_localhost ? ARES_OPT_LOOKUPS : 0);

	read_resolv_conf(&options);
	if (wanted->edns == LOOKUP_EDNS_ON)
		options.flags |= ARES_FLAG_EDNS;
	else if (wanted->edns == LOOKUP_EDNS_OFF)
		options.flags &= ~ARES_FLAG_EDNS;
	if (ares_init_options(&lookup->channel, &options, mask) != ARES_SUCCESS)
		return -ENOMEM;
	ares_set_socket_functions(lookup->channel, &socket_functions, NULL);
	if (wanted->servers && ares_set_servers_ports_csv(lookup->channel, wanted->servers) != ARES_SUCCESS)
		return -ENOMEM;
	return 0;
}

/* Numbers, also "127.1" and "fe80::1%eth0": what the C library parses as an address needs no query. */
static bool lookup_number(struct lookup *lookup, const char *host)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
	struct addrinfo *first;

	if (getaddrinfo(host, NULL, &hints, &first) != 0)
		return false;
	lookup_add(lookup, first->ai_addr, first->ai_addrlen);
	freeaddrinfo(first);
	loop_again(lookup->loop, &lookup->end);
	return true;
}

struct lookup *lookup_start(struct loop *loop, const struct lookup_options *options, const char *host,
			    void (*on_done)(void *context, int result, struct address *list, uint32_t count),
			    void *context)
{
	/* Asks for both families, and omits one: c-ares 1.18 loses memory if the only one has no address. */
	static const struct ares_addrinfo_hints hints = { .ai_socktype = SOCK_STREAM };
	struct lookup *lookup = hg_calloc(1, sizeof(*lookup));

	if (!lookup)
		return NULL;
	lookup->loop = loop;
	lookup->on_done = on_done;
	lookup->context = context;
	lookup->is_localhost = is_localhost(span_str(host));
	lookup->family = options->family;
	timer_init(&lookup->timer, lookup_on_timer);
	loop_deferred_init(&lookup->end, lookup_on_end);
	if (lookup_number(lookup, host))
		return lookup;
	if (lookup_open(lookup, options) != 0) {
		lookup_cancel(lookup);
		return NULL;
	}
	ares_getaddrinfo(lookup->channel, host, NULL, &hints, lookup_on_answer, lookup);
	lookup_arm(lookup);
	return lookup;
}

void lookup_cancel(struct lookup *lookup)
{
	if (!lookup)
		return;
	if (lookup->channel)
		ares_destroy(lookup->channel);
	timer_cancel(loop_timers(lookup->loop), &lookup->timer);
	loop_deferred_cancel(&lookup->end);
	hg_free(lookup);
}
