/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gate/worker.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "user/base/mem.h"
#include "user/gate/pair.h"

/* True when `pid` names no process: the ring of a gateway that was killed can be taken over. */
static bool pid_is_gone(uint32_t pid)
{
	return kill((pid_t)pid, 0) && errno == ESRCH;
}

static bool ring_claim(struct gate_worker_record *record)
{
	uint32_t self = (uint32_t)getpid();
	uint32_t owner = __atomic_load_n(&record->owner_pid, __ATOMIC_RELAXED);

	if (owner != 0 && !pid_is_gone(owner))
		return false;
	return __atomic_compare_exchange_n(&record->owner_pid, &owner, self, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

static struct gate_socket *owner_find(const struct gate_worker *w, struct gate_handle handle)
{
	struct gate_socket *socket;

	if (handle.index >= w->gate->slots.count)
		return NULL;
	socket = w->gate->owners[handle.index];
	/* Another worker's socket can only be here through a ring that was taken over: not ours to touch. */
	if (!socket || socket->worker != w || socket->slot.generation != handle.generation)
		return NULL;
	return socket;
}

static int event_take(void *arg, void *data, size_t len)
{
	struct gate_worker *w = arg;
	const struct gate_event *event = data;
	struct gate_socket *socket;

	if (len < sizeof(*event))
		return 0;
	w->totals.events++;
	socket = owner_find(w, event->gate);
	if (socket && socket->inbound)
		socket->inbound->on_event(socket->inbound);
	else if (socket && socket->outbound && event->reason < GATE_REASON_COUNT &&
		 gate_reason_is_poison((enum gate_reason)event->reason))
		socket->outbound->on_event(socket->outbound);
	/* A negative value ends this round; the event is consumed all the same. */
	return --w->poll_budget == 0 ? -EINTR : 0;
}

int gate_worker_create(struct gate *gate, struct gate_worker **ret_worker)
{
	struct gate_worker *w = hg_calloc(1, sizeof(*w));
	uint32_t ring;
	int error;

	if (!w)
		return -ENOMEM;
	for (ring = 0; ring < gate->worker_count; ring++) {
		if (ring_claim(&gate->workers[ring]))
			break;
	}
	if (ring == gate->worker_count) {
		hg_free(w);
		return -ENOSPC;
	}
	w->gate = gate;
	w->ring = ring;
	w->slot_cursor = (uint32_t)((uint64_t)gate->slots.count * ring / gate->worker_count);
	w->lost_events = __atomic_load_n(&gate->workers[ring].lost_events, __ATOMIC_RELAXED);
	list_init(&w->ticking);
	w->peek = hg_malloc(GATE_PEEK_BYTES);
	w->events = w->peek ? ring_buffer__new(gate->ring_fds[ring], event_take, w, NULL) : NULL;
	if (!w->events) {
		error = w->peek ? -errno : -ENOMEM;
		gate_worker_free(w);
		return error;
	}
	*ret_worker = w;
	return 0;
}

void gate_worker_free(struct gate_worker *w)
{
	if (!w)
		return;
	ring_buffer__free(w->events);
	hg_free(w->peek);
	__atomic_store_n(&w->gate->workers[w->ring].owner_pid, 0, __ATOMIC_RELEASE);
	hg_free(w);
}

int gate_worker_fd(const struct gate_worker *w)
{
	return ring_buffer__epoll_fd(w->events);
}

/* The ring was full: any gate of ours may be waiting. */
static void worker_rescan(struct gate_worker *w)
{
	w->totals.rescans++;
	for (uint32_t i = 0; i < w->gate->slots.count; i++) {
		struct gate_socket *socket = w->gate->owners[i];

		if (socket && socket->worker == w && socket->inbound)
			socket->inbound->on_event(socket->inbound);
	}
}

void gate_worker_poll(struct gate_worker *w)
{
	uint64_t lost;

	w->totals.polls++;
	w->poll_budget = GATE_POLL_EVENTS;
	ring_buffer__consume(w->events);
	lost = __atomic_load_n(&w->gate->workers[w->ring].lost_events, __ATOMIC_ACQUIRE);
	if (lost != w->lost_events) {
		w->lost_events = lost;
		worker_rescan(w);
	}
}

uint64_t gate_worker_next_tick(const struct gate_worker *w, uint64_t now_ms)
{
	uint64_t next_ms = GATE_NO_TICK;

	list_each(node, next, &w->ticking)
	{
		const struct gate_direction *direction = list_entry(node, struct gate_direction, tick);

		if (direction->due_ms <= now_ms)
			return 0;
		if (direction->due_ms - now_ms < next_ms)
			next_ms = direction->due_ms - now_ms;
	}
	return next_ms;
}

uint64_t gate_worker_tick(struct gate_worker *w, uint64_t now_ms)
{
	struct list due;

	list_init(&due);
	list_each(node, next, &w->ticking)
	{
		if (list_entry(node, struct gate_direction, tick)->due_ms > now_ms)
			continue;
		list_remove(node);
		list_add_tail(&due, node);
	}
	for (;;) {
		struct list *node = list_pop(&due);

		if (!node)
			break;
		struct gate_direction *direction = list_entry(node, struct gate_direction, tick);
		direction->on_event(direction);
	}
	return gate_worker_next_tick(w, now_ms);
}
