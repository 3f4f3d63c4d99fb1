/* SPDX-License-Identifier: Apache-2.0 */
#include "user/kernel/sockmap/worker.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "user/base/mem.h"
#include "user/kernel/sockmap/direction.h"

static int ring_find(struct sockmap_worker *w)
{
	uint64_t value = (uint64_t)w->reader_fd;

	for (uint32_t ring = 0; ring < w->sockmap->worker_count; ring++) {
		int error = bpf_map_update_elem(w->sockmap->map_fds[SOCKMAP_MAP_READERS], &ring, &value,
						BPF_NOEXIST);

		if (error == -EEXIST)
			continue;
		w->ring = ring;
		return error;
	}
	return -ENOSPC;
}

/*
 * A pid would not identify the reader: processes in containers with the same pins have their own pid
 * namespaces, and pids are reused. The socket leaves the map with its process. Sockmaps take connected
 * sockets only; the other end need not stay open.
 */
static int ring_claim(struct sockmap_worker *w)
{
	int fds[2];
	int error;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return -errno;
	w->reader_fd = fds[0];
	error = ring_find(w);
	close(fds[1]);
	if (error) {
		close(w->reader_fd);
		return error;
	}
	__atomic_store_n(&w->sockmap->workers[w->ring].reader_pid, (uint32_t)getpid(), __ATOMIC_RELAXED);
	return 0;
}

static void ring_give(struct sockmap_worker *w)
{
	__atomic_store_n(&w->sockmap->workers[w->ring].reader_pid, 0, __ATOMIC_RELAXED);
	bpf_map_delete_elem(w->sockmap->map_fds[SOCKMAP_MAP_READERS], &w->ring);
	close(w->reader_fd);
}

static struct sockmap_socket *owner_find(const struct sockmap_worker *w, struct sockmap_handle handle)
{
	struct sockmap_socket *socket;

	if (handle.index >= w->sockmap->slots.count)
		return NULL;
	/* Ignore events for sockets of other workers, which come through a ring that was taken over. */
	socket = w->sockets[handle.index];
	return socket && socket->slot.generation == handle.generation ? socket : NULL;
}

static int event_take(void *arg, void *data, size_t len)
{
	struct sockmap_worker *w = arg;
	const struct sockmap_event *event = data;
	struct sockmap_socket *socket;

	if (len < sizeof(*event))
		return 0;
	socket = owner_find(w, event->gate);
	if (socket && socket->inbound)
		socket->inbound->on_event(socket->inbound);
	/* A negative value ends this round; the event is consumed nevertheless. */
	return --w->poll_budget == 0 ? -EINTR : 0;
}

int sockmap_worker_create(struct sockmap *sockmap, struct sockmap_worker **ret_worker)
{
	struct sockmap_worker *w = hg_calloc(1, sizeof(*w));
	int error;

	if (!w)
		return -ENOMEM;
	w->sockmap = sockmap;
	error = ring_claim(w);
	if (error) {
		hg_free(w);
		return error;
	}
	w->slot_cursor = slots_first_free(&sockmap->slots, (uint32_t)((uint64_t)sockmap->slots.count *
								      w->ring / sockmap->worker_count));
	w->lost_events = __atomic_load_n(&sockmap->workers[w->ring].lost_events, __ATOMIC_RELAXED);
	list_init(&w->ticking);
	w->peek = hg_malloc(SOCKMAP_PEEK_BYTES);
	w->sockets = hg_calloc(sockmap->slots.count, sizeof(w->sockets[0]));
	error = -ENOMEM;
	if (w->peek && w->sockets) {
		w->events = ring_buffer__new(sockmap->ring_fds[w->ring], event_take, w, NULL);
		error = -errno;
	}
	if (!w->events) {
		sockmap_worker_free(w);
		return error;
	}
	*ret_worker = w;
	return 0;
}

void sockmap_worker_explain(int error, struct text *why)
{
	if (error == -ENOSPC)
		text_str(why, "all rings are read by other workers or processes: load with more, "
			      "`headgate bpf load --pin DIR --workers N`, one for each worker thread over "
			      "these pins");
	else
		text_fmt(why, "no ring: %s", strerror(-error));
}

void sockmap_worker_free(struct sockmap_worker *w)
{
	if (!w)
		return;
	ring_buffer__free(w->events);
	hg_free(w->peek);
	hg_free(w->sockets);
	ring_give(w);
	hg_free(w);
}

int sockmap_worker_fd(const struct sockmap_worker *w)
{
	return ring_buffer__epoll_fd(w->events);
}

/* The ring was full: any of our gates may be waiting. */
static void worker_rescan(struct sockmap_worker *w)
{
	for (uint32_t i = 0; i < w->sockmap->slots.count; i++) {
		struct sockmap_socket *socket = w->sockets[i];

		if (socket && socket->inbound)
			socket->inbound->on_event(socket->inbound);
	}
}

void sockmap_worker_poll(struct sockmap_worker *w)
{
	uint64_t lost;

	w->poll_budget = SOCKMAP_POLL_EVENTS;
	ring_buffer__consume(w->events);
	lost = __atomic_load_n(&w->sockmap->workers[w->ring].lost_events, __ATOMIC_ACQUIRE);
	if (lost != w->lost_events) {
		w->lost_events = lost;
		worker_rescan(w);
	}
}

uint64_t sockmap_worker_next_tick(const struct sockmap_worker *w, uint64_t now_ms)
{
	uint64_t next_ms = SOCKMAP_NO_TICK;

	list_each(node, next, &w->ticking) {
		const struct sockmap_direction *direction = list_entry(node, struct sockmap_direction, tick);

		if (direction->due_ms <= now_ms)
			return 0;
		if (direction->due_ms - now_ms < next_ms)
			next_ms = direction->due_ms - now_ms;
	}
	return next_ms;
}

uint64_t sockmap_worker_tick(struct sockmap_worker *w, uint64_t now_ms)
{
	struct list due;

	list_init(&due);
	list_each(node, next, &w->ticking) {
		if (list_entry(node, struct sockmap_direction, tick)->due_ms > now_ms)
			continue;
		list_remove(node);
		list_add_tail(&due, node);
	}
	for (;;) {
		struct list *node = list_pop(&due);

		if (!node)
			break;
		struct sockmap_direction *direction = list_entry(node, struct sockmap_direction, tick);
		direction->on_event(direction);
	}
	return sockmap_worker_next_tick(w, now_ms);
}
