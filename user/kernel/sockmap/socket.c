/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/sockmap/socket.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "user/base/check.h"
#include "user/base/clock.h"
#include "user/base/failpoint.h"
#include "user/kernel/common/broken.h"
#include "user/kernel/common/tcp_progress.h"
#include "user/kernel/sockmap/window.h"

static int option_get(int fd, int option, void *value, socklen_t len)
{
	return getsockopt(fd, SOL_SOCKET, option, value, &len) ? -errno : 0;
}

static int socket_prepare(int fd, uint64_t *ret_cookie)
{
	int protocol = 0;
	int on = 1;
	unsigned int no_bound = UINT32_MAX;
	int error = option_get(fd, SO_PROTOCOL, &protocol, sizeof(protocol));

	if (error)
		return error;
	if (protocol != IPPROTO_TCP)
		return -EOPNOTSUPP;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &no_bound, sizeof(no_bound)) ||
	    setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)))
		return -errno;
	return option_get(fd, SO_COOKIE, ret_cookie, sizeof(*ret_cookie));
}

static int map_fd(const struct sockmap_socket *s, enum sockmap_map map)
{
	return s->worker->sockmap->map_fds[map];
}

struct sockmap_record *sockmap_socket_record(const struct sockmap_socket *s)
{
	return &s->worker->sockmap->slots.records[s->slot.index];
}

int sockmap_socket_add(struct sockmap_worker *worker, struct sockmap_socket *s, int fd)
{
	struct sockmap *sockmap = worker->sockmap;
	struct sockmap_socket new = { .worker = worker, .fd = fd };
	uint64_t value = (uint64_t)fd;
	int error;

	CHECK(!sockmap_socket_is_added(s));
	error = socket_prepare(fd, &new.cookie);
	if (!error)
		error = slots_take(&sockmap->slots, &worker->slot_cursor, (uint16_t)worker->ring,
				   clock_now_ns(), &new.slot);
	if (error)
		return error;
	error = bpf_map_update_elem(sockmap->map_fds[SOCKMAP_MAP_TARGETS], &new.slot.index, &value,
				    BPF_NOEXIST);
	if (error) {
		slots_give(&sockmap->slots, new.slot);
		return error;
	}
	failpoint(LANE_SLOT);
	worker->sockets[new.slot.index] = s;
	*s = new;
	return 0;
}

static uint64_t passed_bytes(const struct sockmap_socket *s)
{
	return __atomic_load_n(&sockmap_socket_record(s)->kernel.passed_bytes, __ATOMIC_ACQUIRE);
}

/*
 * Makes the verdict see bytes that arrived before the insertion: the kernel looks at the queue only when
 * something arrives or someone reads. Use MSG_PEEK, because a consuming recv() that finds such bytes sets
 * tcp_sock.copied_seq back to its value from before the verdict.
 */
static int source_insert(struct sockmap_socket *s)
{
	uint64_t value = (uint64_t)s->fd;
	char byte;
	int error = bpf_map_update_elem(map_fd(s, SOCKMAP_MAP_SOURCES), &s->slot.index, &value, BPF_NOEXIST);

	if (error)
		return error;
	s->is_source = true;
	if (!SOCKMAP_BROKEN(BREAK_KICK))
		recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return 0;
}

int sockmap_socket_attach(struct sockmap_socket *s)
{
	struct sockmap_record *record = sockmap_socket_record(s);
	struct window window;
	int error;

	record->kernel.is_tight = 0;
	if (s->is_source)
		return 0;
	if (!s->is_listed) {
		error = bpf_map_update_elem(map_fd(s, SOCKMAP_MAP_GATE_OF), &s->cookie, &s->slot,
					    BPF_NOEXIST);
		if (error)
			return error;
		s->is_listed = true;
	}
	failpoint(LANE_LISTED);
	window = window_prepare(s->fd, s->worker->sockmap->tuned_max_bytes);
	record->user.memory_max_bytes = window.memory_max_bytes;
	record->user.flags &= (__u8)~SOCKMAP_BOUNDED;
	record->user.flags |= window.is_bounded ? SOCKMAP_BOUNDED : 0;
	/* No verdict runs. The first one will determine the reader's position. */
	record->kernel.is_seeded = 0;
	error = tcp_progress_position(s->fd, &s->base_position);
	if (error)
		return error;
	s->base_position -= record->kernel.redirected_bytes + s->consumed_bytes;
	return source_insert(s);
}

static int socket_set_integrity_error(struct sockmap_socket *s, enum sockmap_reason reason)
{
	sockmap_socket_record(s)->kernel.integrity_error = (uint8_t)reason;
	atomic_fetch_add(&s->worker->sockmap->proof_failures[reason], 1);
	return -EPROTO;
}

static bool has_seen_fin(const struct sockmap_socket *s)
{
	return __atomic_load_n(&sockmap_socket_record(s)->kernel.fins, __ATOMIC_ACQUIRE) != 0;
}

/*
 * The verdict is detached, but an skb had been passed up just before. It can be read in order only with the
 * verdict attached (without it, the kernel does not count these bytes as read and loses its position);
 * attaching works unless the FIN has arrived meanwhile. If the verdict has seen the FIN itself, nothing
 * follows, and order does not matter: the socket still counts as a source until those bytes are read.
 */
static int source_return(struct sockmap_socket *s)
{
	s->is_source = has_seen_fin(s) || source_insert(s) == 0;
	return s->is_source ? -EAGAIN : socket_set_integrity_error(s, SOCKMAP_REASON_INTEGRITY_STRANDED);
}

#define PROVE_ROUNDS 64 /* each of some dozens of checks; a few milliseconds at most */

/*
 * The kernel drops an skb whose verdict starts just after the program was detached. window_hold() prevents
 * all but a FIN and a full window from starting one, so this proves that none was lost.
 */
static int source_prove(struct sockmap_socket *s)
{
	const struct sockmap_kernel *k = &sockmap_socket_record(s)->kernel;
	uint64_t position = s->base_position + k->redirected_bytes + s->consumed_bytes;
	struct tcp_progress_bounds bounds = TCP_PROGRESS_UNBOUNDED;
	int error = 0;

	/* A sender that is too fast for one check pauses when the window is full: no one reads now. */
	for (int round = 0; round < PROVE_ROUNDS && !error && bounds.least < bounds.most; round++)
		error = tcp_progress_narrow(s->fd, &bounds);
	/* Nothing needs a proof after a reset, and nothing can be proved at an urgent mark. */
	if (error && error != -EFAULT)
		return 0;
	if ((error || position < bounds.least || position > bounds.most) && !SOCKMAP_BROKEN(BREAK_PROVE))
		return socket_set_integrity_error(s, SOCKMAP_REASON_INTEGRITY_RECEIVED);
	return 0;
}

/* Returns 0 if the verdict could be attached again, or nothing is left for it to see; otherwise -errno. */
static int source_may_leave(struct sockmap_socket *s)
{
	struct tcp_progress_view view;
	int error = tcp_progress_look(s->fd, &view);

	if (error)
		return error;
	return tcp_progress_is_established(&view) || has_seen_fin(s) ? 0 : -ENOTCONN;
}

int sockmap_socket_detach(struct sockmap_socket *s)
{
	struct tcp_progress_view view;
	int error;
	int held;

	CHECK(sockmap_socket_is_added(s));
	if (sockmap_socket_has_integrity_error(s))
		return -EPROTO;
	if (!s->is_source)
		return 0;
	if (!sockmap_socket_is_drained(s))
		return -EAGAIN;
	error = source_may_leave(s);
	if (error)
		return error;
	held = window_hold(s->fd);
	error = sockmap_socket_is_drained(s)
			? bpf_map_delete_elem(map_fd(s, SOCKMAP_MAP_SOURCES), &s->slot.index)
			: -EAGAIN;
	window_let_go(s->fd, held);
	/* The verdict was detached before (source_return()), and the last passed bytes have been read. */
	if (error == -EINVAL) {
		s->is_source = false;
		return 0;
	}
	if (error)
		return error;
	/* After this barrier, a verdict that was running has counted what it passed. */
	(void)tcp_progress_look(s->fd, &view);
	if (passed_bytes(s) != s->consumed_bytes)
		return source_return(s);
	s->is_source = false;
	return source_prove(s);
}

void sockmap_socket_note_read(struct sockmap_socket *s, uint64_t bytes)
{
	CHECK(sockmap_socket_is_added(s));
	/*
	 * Without the verdict, the socket receives through TCP only: those bytes are not part of the stream
	 * positions.
	 */
	if (s->is_source)
		s->consumed_bytes += bytes;
}

bool sockmap_socket_is_drained(const struct sockmap_socket *s)
{
	CHECK(sockmap_socket_is_added(s));
	return !s->is_source || passed_bytes(s) == s->consumed_bytes;
}

bool sockmap_socket_has_integrity_error(const struct sockmap_socket *s)
{
	CHECK(sockmap_socket_is_added(s));
	/* The program stores the error before it passes the bytes. */
	return __atomic_load_n(&sockmap_socket_record(s)->kernel.integrity_error, __ATOMIC_ACQUIRE) != 0;
}

void sockmap_socket_remove(struct sockmap_socket *s)
{
	struct tcp_progress_view view;

	if (!sockmap_socket_is_added(s))
		return;
	CHECK(s->inbound == NULL && s->outbound == NULL);
	struct sockmap *sockmap = s->worker->sockmap;
	struct sockmap_record *record = sockmap_socket_record(s);
	/* Renew the time, so that no process takes the slot for an orphan before slots_give(). */
	record->user.claimed_ns = clock_now_ns();
	record->user.mode = SOCKMAP_MODE_USER;
	if (s->is_source)
		bpf_map_delete_elem(map_fd(s, SOCKMAP_MAP_SOURCES), &s->slot.index);
	if (s->is_listed)
		bpf_map_delete_elem(map_fd(s, SOCKMAP_MAP_GATE_OF), &s->cookie);
	bpf_map_delete_elem(map_fd(s, SOCKMAP_MAP_TARGETS), &s->slot.index);
	/* A running verdict holds the lock that this takes: nothing writes into the record afterwards. */
	tcp_progress_look(s->fd, &view);
	s->worker->sockets[s->slot.index] = NULL;
	slots_give(&sockmap->slots, s->slot);
	memset(s, 0, sizeof(*s));
	s->fd = -1;
}
