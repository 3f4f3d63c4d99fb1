/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gate/socket.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "user/base/check.h"
#include "user/base/clock.h"
#include "user/gate/broken.h"
#include "user/gate/flush.h"
#include "user/gate/window.h"

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

static int map_fd(const struct gate_socket *s, enum gate_map map)
{
	return s->worker->gate->map_fds[map];
}

struct gate_record *gate_socket_record(const struct gate_socket *s)
{
	return &s->worker->gate->slots.records[s->slot.index];
}

int gate_socket_add(struct gate_worker *worker, struct gate_socket *s, int fd)
{
	struct gate *gate = worker->gate;
	struct gate_socket new = { .worker = worker, .fd = fd };
	uint64_t value = (uint64_t)fd;
	int error;

	CHECK(!gate_socket_is_added(s));
	error = socket_prepare(fd, &new.cookie);
	if (!error)
		error = slots_take(&gate->slots, &worker->slot_cursor, (uint16_t)worker->ring, clock_now_ns(),
				   &new.slot);
	if (error)
		return error;
	error = bpf_map_update_elem(gate->map_fds[GATE_MAP_TARGETS], &new.slot.index, &value, BPF_NOEXIST);
	if (error) {
		slots_give(&gate->slots, new.slot);
		return error;
	}
	gate->owners[new.slot.index] = s;
	*s = new;
	return 0;
}

int gate_socket_make_source(struct gate_socket *s)
{
	uint64_t value = (uint64_t)s->fd;
	char byte;
	int error;

	if (s->is_source)
		return 0;
	error = bpf_map_update_elem(map_fd(s, GATE_MAP_GATE_OF), &s->cookie, &s->slot, BPF_NOEXIST);
	if (error)
		return error;
	error = bpf_map_update_elem(map_fd(s, GATE_MAP_SOURCES), &s->slot.index, &value, BPF_NOEXIST);
	if (error) {
		bpf_map_delete_elem(map_fd(s, GATE_MAP_GATE_OF), &s->cookie);
		return error;
	}
	s->is_source = true;
	window_limit(s->fd);
	/*
	 * What arrived before the insertion is shown to the verdict only now: the kernel looks at the queue
	 * when something arrives or somebody reads. MSG_PEEK, because a consuming recv() that finds such
	 * bytes sets tcp_sock.copied_seq back to its value from before the verdict.
	 */
	if (!GATE_BROKEN(BREAK_KICK))
		recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return 0;
}

void gate_socket_note_read(struct gate_socket *s, uint64_t bytes)
{
	CHECK(gate_socket_is_added(s) && s->inbound == NULL);
	/* Before its first direction it receives natively: those bytes are outside of the stream positions.
	 */
	if (s->is_source)
		s->consumed_bytes += bytes;
}

bool gate_socket_is_drained(const struct gate_socket *s)
{
	CHECK(gate_socket_is_added(s));
	return !s->is_source || __atomic_load_n(&gate_socket_record(s)->kernel.passed_bytes,
						__ATOMIC_ACQUIRE) == s->consumed_bytes;
}

bool gate_socket_is_poisoned(const struct gate_socket *s)
{
	CHECK(gate_socket_is_added(s));
	/* The program stores the poison before it passes the bytes. */
	return s->is_source && __atomic_load_n(&gate_socket_record(s)->kernel.poison, __ATOMIC_ACQUIRE) != 0;
}

void gate_socket_remove(struct gate_socket *s)
{
	struct flush_view view;

	if (!gate_socket_is_added(s))
		return;
	CHECK(s->inbound == NULL && s->outbound == NULL);
	struct gate *gate = s->worker->gate;
	struct gate_record *record = gate_socket_record(s);
	/* Young again, so that nobody takes the slot for an orphan between here and slots_give(). */
	record->user.claimed_ns = clock_now_ns();
	record->user.mode = GATE_MODE_USER;
	if (s->is_source) {
		bpf_map_delete_elem(map_fd(s, GATE_MAP_SOURCES), &s->slot.index);
		bpf_map_delete_elem(map_fd(s, GATE_MAP_GATE_OF), &s->cookie);
	}
	bpf_map_delete_elem(map_fd(s, GATE_MAP_TARGETS), &s->slot.index);
	/* The lock it takes is what a running verdict holds: nobody writes into the record after this. */
	flush_look(s->fd, &view);
	gate->owners[s->slot.index] = NULL;
	slots_give(&gate->slots, s->slot);
	memset(s, 0, sizeof(*s));
	s->fd = -1;
}
