/* SPDX-License-Identifier: Apache-2.0 */
#include "user/net/listener.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "user/base/limits.h"
#include "user/net/syn_filter.h"
#include "user/net/socket.h"

enum { BACKOFF_LOG_INTERVAL_MS = 10000 };

/*
 * The reserve exists only to be closed, so any descriptor does. An eventfd needs no path and works in a
 * chroot.
 */
static int reserve_open(void)
{
	return eventfd(0, EFD_CLOEXEC);
}

/* The only place that changes the state; updates interest and timer to match. */
static void net_listener_set_state(struct net_listener *listener, enum net_listener_state state)
{
	bool is_accepting = state == NET_LISTENER_ACCEPTING;

	if (listener->source.handle)
		loop_source_modify(listener->loop, &listener->source, is_accepting ? EPOLLIN : 0);
	if (state == NET_LISTENER_BACKOFF)
		timer_arm(loop_timers(listener->loop), &listener->backoff,
			  loop_now_ms(listener->loop) + LIMIT_ACCEPT_PAUSE_MS);
	else
		timer_cancel(loop_timers(listener->loop), &listener->backoff);
	listener->state = state;
}

/* Accepts one connection with the reserve descriptor and resets it: its client would wait in vain. */
static void net_listener_refuse_one(struct net_listener *listener)
{
	int fd;

	socket_close(listener->reserve_fd);
	fd = accept4(listener->source.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0) {
		socket_reset(fd);
		listener->refused_count++;
	}
	listener->reserve_fd = reserve_open();
}

static void net_listener_back_off(struct net_listener *listener, int error)
{
	uint64_t suppressed;

	if (error == -EMFILE || error == -ENFILE)
		net_listener_refuse_one(listener);
	listener->backoff_count++;
	net_listener_set_state(listener, NET_LISTENER_BACKOFF);
	if (log_rate_pass(&listener->backoff_log, loop_now_ms(listener->loop), BACKOFF_LOG_INTERVAL_MS,
			  &suppressed)) {
		struct text where;

		text_init(&where);
		address_format(&listener->local, &where);
		log_error("listener %.*s: accepting paused for %d ms: %s (%llu pauses since the last line)",
			  SPAN_FMT(text_span(&where)), LIMIT_ACCEPT_PAUSE_MS, strerror(-error),
			  (unsigned long long)suppressed + 1);
		text_done(&where);
	}
	/* Call it last: it may stop the listener. */
	if (listener->on_pause)
		listener->on_pause(listener);
}

/*
 * Accepts one queued connection. Returns 0, -EAGAIN for an empty queue, -ECONNABORTED if this connection is
 * already gone, or an error that makes further attempts pointless.
 */
static int net_listener_accept(struct net_listener *listener)
{
	struct address peer = { .len = 0 };
	socklen_t len = sizeof(peer) - offsetof(struct address, any);
	int fd = accept4(listener->source.fd, &peer.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		if (listener->is_barred)
			syn_filter_detach(fd);
		peer.len = len;
		address_unmap(&peer);
		listener->accepted_count++;
		listener->on_accept(listener, fd, &peer);
		return 0;
	}
	switch (errno) {
	/*
	 * accept(2): Linux returns network errors of the new connection here; they do not affect the next
	 * one.
	 */
	case EINTR:
	case ECONNABORTED:
	case EPERM:
	case EPROTO:
	case ENOPROTOOPT:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
	case EOPNOTSUPP:
		return -ECONNABORTED;
	default:
		return -errno;
	}
}

static bool net_listener_on_evicted(struct net_listener *listener, int error)
{
	return (error == -EMFILE || error == -ENFILE) && listener->make_room && listener->make_room(listener);
}

static void net_listener_on_event(struct loop_source *source, uint32_t events)
{
	struct net_listener *listener = container_of(source, struct net_listener, source);

	(void)events;
	for (int i = 0; i < LIMIT_ACCEPT_BURST && listener->state == NET_LISTENER_ACCEPTING; i++) {
		int error = net_listener_accept(listener);

		if (error == -EAGAIN)
			return;
		if (error && error != -ECONNABORTED && !net_listener_on_evicted(listener, error)) {
			net_listener_back_off(listener, error);
			return;
		}
	}
}

static void net_listener_on_backoff(struct timer *timer, uint64_t now_ms)
{
	struct net_listener *listener = container_of(timer, struct net_listener, backoff);

	(void)now_ms;
	if (listener->reserve_fd < 0)
		listener->reserve_fd = reserve_open();
	net_listener_set_state(listener, NET_LISTENER_ACCEPTING);
}

int net_listener_start(struct net_listener *listener, struct loop *loop, int fd,
		       void (*on_accept)(struct net_listener *listener, int fd, const struct address *peer))
{
	int error;

	*listener = (struct net_listener){ .loop = loop, .on_accept = on_accept };
	timer_init(&listener->backoff, net_listener_on_backoff);
	loop_source_init(&listener->source, fd, net_listener_on_event);
	listener->reserve_fd = reserve_open();
	error = listener->reserve_fd < 0 ? -errno : socket_local(fd, &listener->local);
	if (!error)
		error = loop_source_add(loop, &listener->source, EPOLLIN);
	if (error) {
		socket_close(listener->reserve_fd);
		listener->reserve_fd = -1;
		listener->source.fd = -1;
		return error;
	}
	net_listener_set_state(listener, NET_LISTENER_ACCEPTING);
	return 0;
}

int net_listener_bar(struct net_listener *listener, int program)
{
	int error = listener->is_barred ? 0 : syn_filter_attach(listener->source.fd, program);

	listener->is_barred = !error;
	return error;
}

unsigned int net_listener_flush(struct net_listener *listener)
{
	uint64_t before = listener->accepted_count;

	for (int i = 0; i < LIMIT_LISTEN_BACKLOG && listener->state != NET_LISTENER_STOPPED; i++) {
		int error = net_listener_accept(listener);

		if (error && error != -ECONNABORTED)
			break;
	}
	return (unsigned int)(listener->accepted_count - before);
}

void net_listener_stop(struct net_listener *listener)
{
	if (listener->state == NET_LISTENER_STOPPED)
		return;
	loop_source_remove(listener->loop, &listener->source);
	net_listener_set_state(listener, NET_LISTENER_STOPPED);
	socket_close(listener->source.fd);
	socket_close(listener->reserve_fd);
	listener->source.fd = -1;
	listener->reserve_fd = -1;
}
