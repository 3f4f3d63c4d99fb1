/* SPDX-License-Identifier: Apache-2.0 */
#include "user/net/connect.h"

#include <errno.h>
#include <sys/epoll.h>

#include "user/base/check.h"

static void net_connect_drop_socket(struct net_connect *job)
{
	loop_source_remove(job->loop, &job->source);
	socket_close(job->source.fd);
	job->source.fd = -1;
}

/* Stops all callbacks; the socket stays open. */
static void net_connect_quiet(struct net_connect *job)
{
	loop_source_remove(job->loop, &job->source);
	timer_cancel(loop_timers(job->loop), &job->timer);
	loop_deferred_cancel(&job->deliver);
	job->state = NET_CONNECT_IDLE;
}

static void net_connect_finish(struct net_connect *job, int result)
{
	int fd;

	net_connect_quiet(job);
	if (result)
		net_connect_drop_socket(job);
	fd = job->source.fd;
	job->source.fd = -1;
	job->on_done(job, result, fd, job->index);
}

static bool is_past(const struct net_connect *job, uint64_t deadline_ms)
{
	return deadline_ms && loop_now_ms(job->loop) >= deadline_ms;
}

/* The end of the current address' share of the time; 0: none. */
static uint64_t share_end_ms(const struct net_connect *job)
{
	uint64_t now_ms = loop_now_ms(job->loop);
	uint64_t left = job->count - job->index;
	uint64_t remaining_ms;
	uint64_t share_ms;

	if (!job->deadline_ms)
		return left > 1 ? now_ms + NET_CONNECT_SHARE_MAX_MS : 0;
	remaining_ms = job->deadline_ms > now_ms ? job->deadline_ms - now_ms : 0;
	share_ms = remaining_ms / left;
	if (share_ms < NET_CONNECT_SHARE_MIN_MS)
		share_ms = NET_CONNECT_SHARE_MIN_MS;
	return now_ms + (share_ms < remaining_ms ? share_ms : remaining_ms);
}

static void net_connect_wait(struct net_connect *job, enum net_connect_state state, uint64_t until_ms)
{
	job->state = state;
	if (until_ms)
		timer_arm(loop_timers(job->loop), &job->timer, until_ms);
	else
		timer_cancel(loop_timers(job->loop), &job->timer);
}

/*
 * A connect to a local port without a listener, which the kernel has just chosen as our own port, connects to
 * itself (simultaneous open, RFC 9293 3.5): everything sent would come back as a response.
 */
static bool is_self_connected(int fd, const struct address *target)
{
	struct address local;
	struct address peer;

	if (address_is_unix(target) || socket_local(fd, &local) != 0 ||
	    address_port(&local) != address_port(target))
		return false;
	return socket_peer(fd, &peer) == 0 && address_eq(&local, &peer);
}

/* Returns 0, or why the connected socket cannot be used. */
static int net_connect_prepare(struct net_connect *job)
{
	int fd = job->source.fd;
	int error;

	if (is_self_connected(fd, &job->list[job->index]))
		return -ECONNREFUSED;
	error = socket_set_nodelay(fd);
	if (!error)
		error = socket_set_urgent_inline(fd);
	return error ? error : socket_set_keepalive(fd, &job->keepalive);
}

/* connect(2) on the open socket: 0, -EINPROGRESS (an event or the timer will follow), or -errno. */
static int net_connect_call(struct net_connect *job)
{
	const struct address *address = &job->list[job->index];
	uint64_t retry_ms;
	int error;

	if (connect(job->source.fd, &address->any, address->len) == 0)
		return net_connect_prepare(job);
	switch (errno) {
	case EINPROGRESS:
	case EINTR:
		error = loop_source_add(job->loop, &job->source, EPOLLOUT);
		if (error)
			return error;
		net_connect_wait(job, NET_CONNECT_TRYING, job->try_deadline_ms);
		return -EINPROGRESS;
	case EAGAIN:
		if (!address_is_unix(address) || is_past(job, job->try_deadline_ms))
			return -EAGAIN;
		retry_ms = loop_now_ms(job->loop) + NET_CONNECT_UNIX_RETRY_MS;
		if (job->try_deadline_ms && job->try_deadline_ms < retry_ms)
			retry_ms = job->try_deadline_ms;
		net_connect_wait(job, NET_CONNECT_RETRY, retry_ms);
		return -EINPROGRESS;
	default:
		return -errno;
	}
}

static int net_connect_open(struct net_connect *job)
{
	int error = socket_open(&job->list[job->index], &job->source.fd);

	if ((error == -EMFILE || error == -ENFILE) && job->make_room && job->make_room(job))
		error = socket_open(&job->list[job->index], &job->source.fd);
	if (!error && job->may_use && !job->may_use(job, &job->source.fd)) {
		net_connect_drop_socket(job);
		error = -EMFILE;
	}
	return error;
}

static int net_connect_try(struct net_connect *job)
{
	int error;

	if (job->avoid && address_eq(&job->list[job->index], job->avoid))
		return NET_CONNECT_AVOIDED;
	if (job->may_connect && !job->may_connect(job, &job->list[job->index]))
		return NET_CONNECT_FORBIDDEN;
	error = net_connect_open(job);

	if (error)
		return error;
	if (job->on_socket)
		job->on_socket(job, job->source.fd);
	job->try_deadline_ms = share_end_ms(job);
	error = net_connect_call(job);
	if (error && error != -EINPROGRESS)
		net_connect_drop_socket(job);
	return error;
}

/* Tries the addresses from job->index on until one waits or connects: 0, -EINPROGRESS, or the last -errno. */
static int net_connect_walk(struct net_connect *job)
{
	int error;

	for (;;) {
		if (is_past(job, job->deadline_ms))
			return -ETIMEDOUT;
		error = net_connect_try(job);
		if (error == 0 || error == -EINPROGRESS || job->index + 1 == job->count)
			return error;
		job->index++;
	}
}

/* The current address failed: tries the next one, or ends. Called from the loop only. */
static void net_connect_failed(struct net_connect *job, int error)
{
	net_connect_drop_socket(job);
	if (job->index + 1 < job->count) {
		job->index++;
		error = net_connect_walk(job);
		if (error == -EINPROGRESS)
			return;
	}
	net_connect_finish(job, error);
}

static void net_connect_on_event(struct loop_source *source, uint32_t events)
{
	struct net_connect *job = container_of(source, struct net_connect, source);
	int error = socket_error(source->fd);

	(void)events;
	if (!error)
		error = net_connect_prepare(job);
	if (error)
		net_connect_failed(job, error);
	else
		net_connect_finish(job, 0);
}

static void net_connect_on_timer(struct timer *timer, uint64_t now_ms)
{
	struct net_connect *job = container_of(timer, struct net_connect, timer);
	int error = -ETIMEDOUT;

	(void)now_ms;
	if (job->state == NET_CONNECT_RETRY) {
		error = net_connect_call(job);
		if (error == -EINPROGRESS)
			return;
		if (error == 0) {
			net_connect_finish(job, 0);
			return;
		}
		if (error == -EAGAIN && is_past(job, job->deadline_ms))
			error = -ETIMEDOUT;
	}
	net_connect_failed(job, error);
}

static void net_connect_on_deliver(struct loop_deferred *deferred)
{
	struct net_connect *job = container_of(deferred, struct net_connect, deliver);

	net_connect_finish(job, job->result);
}

void net_connect_init(struct net_connect *job,
		      void (*on_done)(struct net_connect *job, int result, int fd, uint32_t index))
{
	*job = (struct net_connect){ .state = NET_CONNECT_IDLE, .on_done = on_done };
	loop_source_init(&job->source, -1, net_connect_on_event);
	timer_init(&job->timer, net_connect_on_timer);
	loop_deferred_init(&job->deliver, net_connect_on_deliver);
}

void net_connect_start(struct net_connect *job, struct loop *loop, const struct address *list, uint32_t count,
		       uint64_t deadline_ms, const struct socket_keepalive *keepalive)
{
	int result;

	CHECK(job->state == NET_CONNECT_IDLE);
	job->loop = loop;
	job->list = list;
	job->count = count;
	job->index = 0;
	job->deadline_ms = deadline_ms;
	job->keepalive = keepalive ? *keepalive : (struct socket_keepalive){ .is_on = false };
	result = count ? net_connect_walk(job) : -EDESTADDRREQ;
	if (result == -EINPROGRESS)
		return;
	job->result = result;
	job->state = NET_CONNECT_DELIVER;
	/*
	 * After a failure the caller may start again at once, hundreds of times: let other work run in
	 * between.
	 */
	if (result < 0)
		loop_again(loop, &job->deliver);
	else
		loop_defer(loop, &job->deliver);
}

bool net_connect_failed_here(int result)
{
	switch (-result) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case ENOSPC:
	case -NET_CONNECT_AVOIDED:
	case -NET_CONNECT_FORBIDDEN:
		return true;
	default:
		return false;
	}
}

void net_connect_cancel(struct net_connect *job)
{
	if (job->state == NET_CONNECT_IDLE)
		return;
	net_connect_quiet(job);
	net_connect_drop_socket(job);
}
